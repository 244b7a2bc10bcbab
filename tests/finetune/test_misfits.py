"""Methods that do not fit a model's layers or weights are refused before training, and by a dry run."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from evenhand.cli import main
from evenhand.datasets import PromptSet, PromptTemplate
from evenhand.errors import InputError
from evenhand.finetune import run
from evenhand.finetune.estimate import size
from tests.finetune import worlds

RANK = {"rank": 4, "alpha": 8.0, "dropout": 0.0}


def model_of(place, kind, change=None, auto=transformers.AutoModel, **config):
    """A model without a head in a folder of its own, its weights changed."""
    folder = place / kind
    made = worlds.config_of(kind)
    for name, value in config.items():
        setattr(made, name, value)
    torch.manual_seed(5)
    model = auto.from_config(made)
    if change:
        with torch.no_grad():
            change(model)
    model.save_pretrained(folder)
    if kind in worlds.TEXT:
        worlds.tokenizer(folder, ends=kind not in worlds.DECODERS)
    return str(folder)


def job(folder, method, **options):
    return worlds.job_of(folder, method, options={**RANK, **options}, epochs=1)


def complaints(folder, data, method, **options):
    return run.prepare([job(folder, method, **options)], data).complaints


def dry(folder, method, task="text", classes=("no", "yes"), **options):
    """What a dry run complains of."""
    try:
        size.estimate_sizes([job(folder, method, **options)], task, classes, 8)
    except InputError as error:
        return tuple(error.complaints)
    return ()


def prune_llama(model):
    for layer in model.layers:
        layer.self_attn.o_proj.weight[:5] = 0


def prune_gpt2(model):
    model.h[1].attn.c_proj.weight[:, 3:6] = 0


def prune_vit(model):
    model.embeddings.patch_embeddings.projection.weight[2] = 0


ZEROS = [
    (
        "llama",
        prune_llama,
        "attention.output",
        "'attention.output' of layer 0 has 5 rows of zeros",
        "of layer 1",
    ),
    (
        "gpt2",
        prune_gpt2,
        "attention.output",
        "'attention.output' of layer 1 has 3 columns of zeros",
        "layer 1",
    ),
    ("vit", prune_vit, "embedding", "'embedding' has 1 rows of zeros", "DoRA divides"),
]


@pytest.mark.parametrize(("kind", "prune", "role", "said", "also"), ZEROS)
def test_dora_on_rows_of_zeros(kind, prune, role, said, also, tmp_path, datasets):
    data = datasets["image" if kind == "vit" else "text"]
    folder = model_of(tmp_path, kind, prune)
    (told,) = complaints(folder, data, "dora", targets=(role,))
    assert said in told
    assert also in told
    assert "by whose norm DoRA divides" in told
    assert complaints(folder, data, "lora", targets=(role,)) == ()
    task = "image" if kind == "vit" else "text"
    assert dry(folder, "dora", task, targets=(role,)) == (told,)
    assert dry(folder, "lora", task, targets=(role,)) == ()


def test_zeros_in_files_of_several_parts_and_older_names(tmp_path):
    """The checkpoint of a classifier in parts, whose layers are called as transformers 4 called them."""
    made = transformers.AutoModelForImageClassification.from_config(worlds.config_of("vit"))
    old = {}
    for name, value in made.state_dict().items():
        for new, former in (("q_proj", "attention.query"), ("layers.", "layer.")):
            name = name.replace(f".{new}", f".{former}")
        old[name.replace("vit.layer.", "vit.encoder.layer.")] = value.detach().clone()
    key = "vit.encoder.layer.1.attention.attention.query.weight"
    old[key][4:8] = 0
    made.config.save_pretrained(tmp_path)
    halves = [k for k in old if k < key], [k for k in old if k >= key]
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for file, keys in zip(names, halves, strict=True):
        save_file({k: old[k] for k in keys}, tmp_path / file, metadata={"format": "pt"})
    index = {k: file for file, keys in zip(names, halves, strict=True) for k in keys}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (told,) = dry(str(tmp_path), "dora", "image", targets=("attention.query",))
    assert "'attention.query' of layer 1 has 4 rows of zeros" in told
    assert dry(str(tmp_path), "dora", "image", targets=("attention.value",)) == ()


def test_validate_and_a_dry_run_tell_of_zeros(tmp_path, capsys):
    folder = model_of(tmp_path, "llama", prune_llama)
    (tmp_path / "study.yaml").write_text(
        f"name: pruned\ndataset: {{name: synthetic_posts, rows: 120}}\nmodel: {folder}\nseeds: [1]\n"
        "methods:\n  full: {}\n  dora: {targets: [attention.query, attention.output], rank: [1, 2]}\n"
    )
    calls = (
        ["validate", str(tmp_path / "study.yaml")],
        ["run", str(tmp_path / "study.yaml"), "--dry-run", "--speed", "1", "--output", str(tmp_path / "out")],
    )
    for call in calls:
        assert main(call) == 2
        said = capsys.readouterr().err
        assert (
            f"dora[rank=1] on '{folder}': targets: 'attention.output' of layer 0 has 5 rows of zeros" in said
        )
        assert "dora[rank=2]" in said
        assert "Traceback" not in said
        assert main([*call, "-o", "methods.dora.targets=[attention.query]"]) == 0
        capsys.readouterr()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("kind", "prune", "role", "said", "also"), ZEROS)
def test_without_the_complaint_there_would_be_no_number(
    kind, prune, role, said, also, tmp_path, datasets, monkeypatch
):
    data = datasets["image" if kind == "vit" else "text"]
    folder = model_of(tmp_path, kind, prune)
    with pytest.raises(FloatingPointError) as raised:
        run.train(job(folder, "dora", targets=(role,)), data, tmp_path)
    assert "at step 1" in str(raised.value)
    assert "learning rate" not in str(raised.value)
    assert "no step was taken yet" in str(raised.value)


def test_only_layers_that_are_adapted_count(tmp_path, datasets):
    folder = model_of(tmp_path, "gpt2", prune_gpt2)
    for order, n in (("front", 0), ("back", 1), ("random", 1)):
        options = {"targets": ("attention.output",), "layer_fraction": 0.5, "layer_order": order}
        assert len(complaints(folder, datasets["text"], "dora", **options)) == n


@pytest.mark.parametrize(
    ("kind", "roles"), [("bert", ("attention.query",)), ("gpt2", ("mlp.up", "mlp.down"))]
)
def test_pissa_has_no_more_singular_vectors_than_a_layer_is_wide(kind, roles, tmp_path, datasets):
    folder = model_of(tmp_path, kind)
    options = {"targets": roles, "initialisation": "pissa"}
    for found in (
        complaints(folder, datasets["text"], "lora", **options, rank=33),
        dry(folder, "lora", **options, rank=33),
    ):
        assert len(found) == len(roles)
        assert "rank: got 33" in found[0]
        assert f"of which '{roles[0]}' has only 32 (in 2 layers)" in found[0]
    assert dry(folder, "lora", **options, rank=32) == ()
    assert complaints(folder, datasets["text"], "lora", **options, rank=32) == ()
    (tmp_path / "run").mkdir()
    found = run.train(job(folder, "lora", **options, rank=32), datasets["text"], tmp_path / "run")
    assert found["checks"]["reload"] < 1e-4


def test_olora_decomposes_linear_layers_only(tmp_path, datasets):
    options = {"targets": ("attention.query",), "initialisation": "olora"}
    folder = model_of(tmp_path, "gpt2")
    assert dry(folder, "lora", **options, rank=2) == complaints(
        folder, datasets["text"], "lora", **options, rank=2
    )
    (told,) = dry(folder, "lora", **options, rank=2)
    assert "olora decomposes layers of the kind Linear, but some targets are Conv1D" in told
    (told,) = dry(model_of(tmp_path, "bert"), "lora", **options, rank=33)
    assert (
        "olora starts from orthogonal columns, of which 'attention.query' has only 32 (in 2 layers)" in told
    )


def test_a_matrix_of_several_roles_counts_once(tmp_path):
    (told,) = dry(
        model_of(tmp_path, "gpt2"), "lora", targets=("attention.query",), initialisation="pissa", rank=33
    )
    assert "'attention.query' has only 32 (in 2 layers)" in told


def test_pissa_on_an_embedding(tmp_path, datasets):
    folder = model_of(tmp_path, "bert")
    (told,) = complaints(
        folder, datasets["text"], "lora", targets=("embedding",), initialisation="pissa", rank=2
    )
    assert "which pissa cannot initialise" in told


def test_a_high_rank_from_an_ordinary_start_is_harmless(tmp_path, datasets):
    folder = model_of(tmp_path, "bert")
    assert complaints(folder, datasets["text"], "lora", targets=("attention.query",), rank=64) == ()
    assert dry(folder, "dora", targets=("attention.query",), rank=64) == ()


@pytest.fixture
def language(datasets):
    """Plain text."""
    found = datasets["text"]
    examples = dataclasses.replace(
        found.examples, task="language", classes=(), labels=np.zeros(len(found.examples.ids), np.int64)
    )
    return dataclasses.replace(found, examples=examples)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("way", ["lora", "dora"])
def test_an_embedding_that_is_shared_with_the_output(kind, way, tmp_path, language):
    writes = transformers.AutoModelForCausalLM
    tied = model_of(tmp_path / "tied", kind, auto=writes, tie_word_embeddings=True)
    free = model_of(tmp_path / "free", kind, auto=writes, tie_word_embeddings=False)
    both = {"targets": ("embedding", "attention.query")}
    for found in (complaints(tied, language, way, **both), dry(tied, way, "language", (), **both)):
        (told,) = found
        assert "'embedding' shares its weights with 'lm_head', the output layer" in told
        assert "remove 'embedding' from targets" in told
        assert tied in told
    assert dry(free, way, "language", (), **both) == ()
    assert complaints(free, language, way, **both) == ()
    assert complaints(tied, language, way, targets=("attention.query",)) == ()


def test_a_classifier_shares_nothing(tmp_path, datasets):
    folder = model_of(tmp_path, "gpt2", tie_word_embeddings=True)
    assert complaints(folder, datasets["text"], "lora", targets=("embedding",)) == ()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("way", ["lora", "dora"])
def test_an_embedding_of_its_own_is_adapted_and_merged(kind, way, tmp_path, language):
    free = model_of(tmp_path, kind, auto=transformers.AutoModelForCausalLM, tie_word_embeddings=False)
    (tmp_path / "run").mkdir()
    form = PromptTemplate("one", "a", "w1 ", " w2", (" w3", " w4"), ("w3", "w4"), ("no", "yes"))
    asks = dataclasses.replace(language.examples, prompts=PromptSet((form,), 4))
    options = {"targets": ("embedding", "attention.query")}
    found = run.train(
        job(free, way, **options), dataclasses.replace(language, examples=asks), tmp_path / "run"
    )
    assert found["checks"]["merged"] < 1e-4
    assert found["checks"]["reload"] < 1e-4
