"""Checkpoints of many families without a file of evenhand's: trained, saved, reloaded, merged, loaded.

A tiny random base of each `model_type` is saved as pretraining leaves it. Every method's run compares its
saved model with the trained one, reloaded and merged; here plain transformers and PEFT load it once more.
"""

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import run
from evenhand.finetune.estimate import trial
from evenhand.finetune.estimate.match import ParameterCounter
from evenhand.finetune.estimate.size import estimate_sizes
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.families import AUTO_CLASSES
from tests.finetune import worlds, zoo
from tests.finetune.test_writing import of_texts

#: Run with every change: one of each kind of structure. The others take minutes.
EVERY_TIME = {
    "text": ("qwen3", "modernbert", "t5", "xlnet", "mixtral"),
    "image": ("dinov2", "convnext", "resnet"),
    "language": ("gemma2",),
}
TEXT = (
    "albert arcee bart bert big_bird biogpt bloom camembert convbert ctrl data2vec-text deberta "
    "deberta-v2 deepseek_v3 diffllama distilbert doge electra ernie esmc eurobert exaone4 falcon gemma "
    "gemma2 gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj gte helium jetmoe llama "
    "longformer mbart megatron-bert minicpm3 ministral3 mistral mobilebert mpnet mpt mt5 nemotron "
    "nomic_bert nystromformer olmo2 olmo3 opt persimmon phi phi3 phimoe plbart qwen2 qwen2_moe qwen3_5_text "
    "qwen3_moe qwen3_next rembert roberta roformer seed_oss smollm3 stablelm starcoder2 xlm-roberta"
)
IMAGE = (
    "beit clip convnextv2 data2vec-vision deit dinov2_with_registers focalnet hiera ijepa mobilevit pvt_v2 "
    "regnet segformer siglip swin swinv2 vit vit_msn"
)
LANGUAGE = "falcon granite llama mamba olmo2 opt phi3 qwen3 qwen3_moe gpt_neox"
CASES = [
    *(pytest.param(task, kind, id=f"{task}-{kind}") for task in EVERY_TIME for kind in EVERY_TIME[task]),
    *(
        pytest.param(task, kind, id=f"{task}-{kind}", marks=pytest.mark.slow)
        for task, kinds in (("text", TEXT), ("image", IMAGE), ("language", LANGUAGE))
        for kind in kinds.split()
    ),
]


def rows_of(task):
    if task == "language":
        return of_texts([f"w{i % 7} w{i % 5} w3 w{i % 11} w1" for i in range(40)])
    if task == "image":
        return worlds.data_of(worlds.pictures(n=32, size=32))
    return worlds.data_of(worlds.texts(n=48))


def stranger(folder, base, task, reference):
    """The saved model as plain transformers and PEFT load it."""
    auto = getattr(transformers, AUTO_CLASSES[task])
    if (folder / "model").exists():
        return auto.from_pretrained(folder / "model").eval()
    torch.manual_seed(999)  # another head than the run's
    labels = {} if task == "language" else {"num_labels": 2}
    plain = auto.from_pretrained(base, **labels)
    if task == "text":
        plain.config.pad_token_id = reference.config.pad_token_id
    return peft.PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()


def by_hand(model, base, data, task):
    """Probabilities of the test rows, one at a time."""
    rows = []
    for one in (data.examples.inputs[i] for i in data.parts.test):
        if task == "image":
            inputs = {"pixel_values": (torch.tensor(one).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5}
        else:
            inputs = transformers.AutoTokenizer.from_pretrained(base)(one, return_tensors="pt")
        with torch.no_grad():
            rows.append(torch.softmax(model(**inputs).logits[0].double(), -1).numpy())
    return np.array(rows)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("task", "kind"), CASES)
def test_a_family_trains_saves_and_reloads(task, kind, tmp_path):
    base, data = zoo.folder_of(tmp_path, kind, task), rows_of(task)
    for method in ("full", "lora", "head_only")[: 2 if task == "language" else 3]:
        folder = tmp_path / method
        folder.mkdir()
        job = worlds.job_of(base, method, epochs=1)
        prepared = run.prepare([job], data)
        assert not prepared.complaints
        facts = run.train(job, data, folder)
        assert facts["checks"]["reload"] < 1e-4
        assert (facts["trainable_parameters"] == facts["parameters"]) == (method == "full")
        if method != "full":
            assert facts["checks"]["base_frozen"] > 1000
            assert facts["checks"]["merged"] < 1e-4
        if task == "language":
            continue
        table = pq.read_table(folder / "predictions.parquet").to_pydict()
        scores = [s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = stranger(folder, base, task, _reference(base, task))
        np.testing.assert_allclose(scores, by_hand(model, base, data, task), atol=1e-4)
    shutil.rmtree(base)


def _reference(base, task):
    """A loaded base, whose configuration has the token for padding that the run chose."""
    from evenhand.finetune import Model
    from evenhand.finetune.modeling.pretrained import load_base

    return load_base(Model(base, label="tiny"), task, ("no", "yes"), "float32").model


def test_a_model_without_an_attention_mask_is_refused(tmp_path):
    """FNet mixes all positions of a batch, so that a text's prediction depends on the other texts."""
    base = zoo.folder_of(tmp_path, "fnet", "text")
    (complaint,) = run.prepare([worlds.job_of(base, "full")], rows_of("text")).complaints
    assert "depend on the padding" in complaint


def test_what_is_unusual_about_a_model_is_said(tmp_path):
    base, data = zoo.folder_of(tmp_path, "resnet", "image"), rows_of("image")
    lora, full = (run.prepare([worlds.job_of(base, name)], data).remarks for name in ("lora", "full"))
    assert "has no layers for one of the default targets (attention.query, attention.value)" in lora[0]
    assert "linear layers are adapted (all-linear)" in lora[0]
    assert "has batch normalisation, so that training depends on the number of rows" in full[0]
    vit = zoo.folder_of(tmp_path, "vit", "image")
    assert not run.prepare([worlds.job_of(vit, name) for name in ("lora", "full")], data).remarks


def test_layers_with_the_name_of_the_head_are_not_trained_with_it(tmp_path):
    base = zoo.folder_of(tmp_path, "poolformer", "image")
    jobs = [worlds.job_of(base, name) for name in ("lora", "head_only")]
    complaints = run.prepare(jobs, rows_of("image")).complaints
    assert len(complaints) == 2
    for complaint in complaints:
        assert "has the module norm, and other layers have names that end in the same way" in complaint
    assert not run.prepare([worlds.job_of(base, "full")], rows_of("image")).complaints


def test_a_head_that_looks_for_an_end_is_told_of_texts_without(tmp_path):
    base = zoo.folder_of(tmp_path, "bart", "text")
    worlds.tokenizer(tmp_path / "bart-text", ends=False)
    (complaint,) = run.prepare([worlds.job_of(base, "full")], rows_of("text")).complaints
    assert "does not read these texts" in complaint
    assert "eos" in complaint


def test_statistics_of_frozen_batch_norms_stay(tmp_path):
    base = zoo.folder_of(tmp_path, "resnet", "image")
    folder = tmp_path / "run"
    folder.mkdir()
    data = rows_of("image")
    run.train(worlds.job_of(base, "lora", epochs=1), data, folder)
    plain = transformers.AutoModelForImageClassification.from_pretrained(base, num_labels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    scores = [s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"]
    np.testing.assert_allclose(scores, by_hand(model, base, data, "image"), atol=1e-5)


def test_the_page_lists_the_families_that_are_tried():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for kinds, task, title in (
        (TEXT, "text", "texts"), (IMAGE, "image", "pictures"), (LANGUAGE, "language", "models that write"),
    ):  # fmt: skip
        listed = re.search(rf"^- {title}: ((?:.|\n  )*)", page, re.MULTILINE)[1]
        assert {*re.split(r",\s+", listed.strip())} == {*kinds.split(), *EVERY_TIME[task]}


@pytest.mark.parametrize("kind", ["resnet", "mobilenet_v2"])
def test_a_dry_run_reads_one_row_of_a_model_with_batch_norms(kind, tmp_path):
    """At 32 pixels its last maps have one pixel, over which a batch norm in training has no variance."""
    base = zoo.folder_of(tmp_path, kind, "image")
    sizes = estimate_sizes([worlds.job_of(base, "full")], "image", ("no", "yes"), 8)
    assert sizes.estimates[0].forward > 0


@pytest.mark.parametrize("kind", ["mobilenet_v1", "mobilenet_v2"])
def test_adapters_that_fail_when_they_run_are_refused_before_training(kind, tmp_path):
    """These models read the stride of a convolution, which PEFT's wrapped layers do not have."""
    base, data = zoo.folder_of(tmp_path, kind, "image"), rows_of("image")
    for method in ("lora", "boft", "hira"):
        job = worlds.job_of(base, method)
        (complaint,) = run.prepare([job], data).complaints
        title = registry.load(adapt.METHODS, method).INFO.title
        assert complaint.startswith(f"{method} on '{base}': the model cannot run with {title} on layers of")
        assert "Conv2d" in complaint
        assert "has no attribute 'stride'" in complaint
        with pytest.raises(InputError, match="a trial pass of one row ends in AttributeError"):
            estimate_sizes([job], "image", ("no", "yes"), 8)
    assert not run.prepare([worlds.job_of(base, name) for name in ("full", "head_only")], data).complaints


@pytest.mark.parametrize("name", ["lokr", "loha", "shira", "waveft"])
def test_what_cannot_be_computed_without_weights_is_no_complaint(name, tmp_path):
    """Some adapters read values in a pass, which the meta device does not have."""
    base = zoo.folder_of(tmp_path, "vit", "image")
    options = {"n_frequency": 50} if name == "waveft" else {}
    assert not run.prepare([worlds.job_of(base, name, options=options)], rows_of("image")).complaints


def test_a_failure_without_weights_that_weights_do_not_repeat_is_no_complaint(tmp_path, monkeypatch):
    base = zoo.folder_of(tmp_path, "vit", "image")
    real = trial.run_example

    def fails(model, inner, size, device="meta"):
        if device == "meta" and model is not inner:
            raise ValueError("only here")
        real(model, inner, size, device)

    monkeypatch.setattr(trial, "run_example", fails)
    assert not run.prepare([worlds.job_of(base, "lora")], rows_of("image")).complaints


@pytest.mark.parametrize("kind", ["t5", "rembert"])
def test_a_dry_run_says_so_where_no_row_runs_without_weights(kind, tmp_path):
    """T5 looks for its padding, RemBERT reads values of the row; what is trained is counted nevertheless."""
    base = zoo.folder_of(tmp_path, kind, "text")
    job = worlds.job_of(base, "lora")
    sizes = estimate_sizes([job], "text", ("no", "yes"), 8)
    assert sizes.estimates == (None,)
    assert "no row can be run through it without its weights" in sizes.remarks[0]
    rank, count = ParameterCounter(job.model, "text").nearest(job, 2000)
    assert rank >= 1
    assert 1 / 1.5 < count / 2000 < 1.5
