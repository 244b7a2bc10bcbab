"""Models and adapters that exist already: their predictions as tables, and what is refused."""

import io
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import peft
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from evenhand.cli import main
from evenhand.finetune import run
from evenhand.finetune.modeling.ready import ReadySource, load_ready
from tests.finetune import worlds

DATA = worlds.data_of(worlds.texts())
PICTURES = worlds.data_of(worlds.pictures())


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    place = tmp_path_factory.mktemp("bases")
    return {family: worlds.folder_of(place, family) for family in ("bert", "llama", "vit")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, bases):
    """Runs of three methods on BERT, with their adapters and models."""
    place = tmp_path_factory.mktemp("trained")
    folders = {}
    for method in ("full", "lora", "head_only"):
        for seed in (1, 2) if method == "lora" else (1,):
            folder = place / f"{method}{seed}"
            folder.mkdir()
            run.train(worlds.job_of(bases["bert"], method, seed=seed), DATA, folder)
            folders[f"{method}{seed}"] = folder
    return folders


@pytest.fixture
def posts(tmp_path):
    return table(tmp_path / "posts.parquet")


def table(path, data=DATA):
    """The validation and test rows of the runs, as a user's table."""
    examples = data.examples
    rows = np.concatenate([data.parts.validation, data.parts.test]).tolist()
    group = examples.attributes[0]
    columns = {
        "name": [examples.ids[i] for i in rows],
        "text": [examples.inputs[i] for i in rows],
        "label": [examples.classes[examples.labels[i]] for i in rows],
        "group": [group.groups[group.codes[i]] for i in rows],
    }
    pq.write_table(pa.table(columns), path)
    return str(path)


def call(*words):
    """Exit code of `evenhand predict` on a table of posts."""
    return main(["predict", *map(str, words)])


def on(posts, *words):
    return call(
        posts,
        "--text",
        "text",
        "--label",
        "label",
        "--positive",
        "yes",
        "--by",
        "group",
        "--id",
        "name",
        *words,
    )


def scores_of(path):
    found = pq.read_table(path).to_pydict()
    return dict(zip(found["example_id"], found["score"], strict=True))


def test_adapters_of_runs_predict_bit_for_bit(trained, posts, tmp_path, capsys):
    to = tmp_path / "to"
    arms = [f"--arm=lora={trained[f'lora{i}'] / 'adapter'}" for i in (1, 2)]
    arms += [f"--arm=full={trained['full1'] / 'model'}", f"--arm=head={trained['head_only1'] / 'adapter'}"]
    assert on(posts, *arms, "--to", to) == 0
    told = capsys.readouterr()
    assert "lora, run 2 (2 of 4): predicting" in told.err
    assert "not known whether the models were trained on these rows" in told.err
    assert "4 tables of" in told.out
    for file, name in (
        ("lora-1", "lora1"),
        ("lora-2", "lora2"),
        ("full-1", "full1"),
        ("head-1", "head_only1"),
    ):
        own = scores_of(trained[name] / "predictions.parquet")
        found = scores_of(to / f"{file}.parquet")
        assert found.keys() == own.keys()
        if name == "head_only1":  # it was trained on stored features, in batches of another length
            for key, score in own.items():
                np.testing.assert_allclose(found[key], score, atol=1e-6)
        else:
            assert found == own
    result = tmp_path / "result.json"
    files = sorted(map(str, to.glob("*.parquet")))
    options = "--arm", "arm", "--run", "run", "--by", "group", "--reference", "full", "--metric", "accuracy"
    assert main(["audit", *files, *options, "--json", str(result)]) == 0
    document = json.loads(result.read_text())
    assert {c["candidate"] for c in document["comparisons"]} == {"lora", "head"}
    record = json.loads((to / "predict.json").read_text())
    assert record["tables"]["lora-1.parquet"]["kind"] == "LORA"
    assert record["tables"]["lora-1.parquet"]["peft_version"] == peft.__version__


def test_pictures(bases, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    run.train(worlds.job_of(bases["vit"], "lora"), PICTURES, folder)
    examples, rows = PICTURES.examples, [*PICTURES.parts.validation, *PICTURES.parts.test]
    pictures = []
    for i in rows:
        stream = io.BytesIO()
        Image.fromarray(examples.inputs[i]).save(stream, "png")
        pictures.append(stream.getvalue())
    labels = [examples.classes[examples.labels[i]] for i in rows]
    columns = {"name": [examples.ids[i] for i in rows], "picture": pictures, "label": labels}
    pq.write_table(pa.table(columns), tmp_path / "faces.parquet")
    words = "--image", "picture", "--positive", "yes", "--id", "name", "--to", tmp_path / "to"
    assert call(tmp_path / "faces.parquet", *words, f"--arm=a={folder / 'adapter'}") == 0
    assert scores_of(tmp_path / "to" / "a-1.parquet") == scores_of(folder / "predictions.parquet")


def test_a_second_call_makes_only_what_is_missing(trained, posts, tmp_path, capsys):
    to, adapter = tmp_path / "to", tmp_path / "adapter"
    shutil.copytree(trained["lora1"] / "adapter", adapter)
    one, two = f"--arm=a={adapter}", f"--arm=b={trained['lora2'] / 'adapter'}"
    assert on(posts, one, "--to", to) == 0
    before = (to / "a-1.parquet").stat().st_mtime_ns
    assert on(posts, one, two, "--to", to) == 0
    assert "a, run 1 (1 of 2): done before" in capsys.readouterr().err
    assert (to / "a-1.parquet").stat().st_mtime_ns == before
    weights = load_file(adapter / "adapter_model.safetensors")
    changed = {key: value * 2 for key, value in weights.items()}
    save_file(changed, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    assert on(posts, one, two, "--to", to) == 0
    assert (to / "a-1.parquet").stat().st_mtime_ns != before


def test_a_folder_with_other_files_is_left_alone(trained, posts, tmp_path, capsys):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("x")
    assert on(posts, f"--arm=a={trained['lora1'] / 'adapter'}", "--to", tmp_path / "to") == 2
    assert "has other files (mine.txt)" in capsys.readouterr().err


def test_classes_are_matched_by_name(trained, posts, tmp_path):
    """A model whose outputs are in the other order gives the same predictions."""
    folder = tmp_path / "swapped"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(trained["full1"] / "model")
    with torch.no_grad():
        for p in model.classifier.parameters():
            p.copy_(p.flip(0).clone())
    model.config.id2label, model.config.label2id = {0: "yes", 1: "no"}, {"yes": 0, "no": 1}
    model.save_pretrained(folder)
    for path in (trained["full1"] / "model").glob("tokenizer*"):
        shutil.copy(path, folder)
    to = tmp_path / "to"
    assert on(posts, f"--arm=a={folder}", f"--arm=b={trained['full1'] / 'model'}", "--to", to) == 0
    for one, other in zip(
        scores_of(to / "a-1.parquet").values(), scores_of(to / "b-1.parquet").values(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def adapter_of(bases, folder, **changes):
    """An adapter that PEFT alone has saved, with its head."""
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        bases["bert"], num_labels=2, ignore_mismatched_sizes=True
    )
    options = {"target_modules": ["query"], "modules_to_save": ["classifier"], "task_type": "SEQ_CLS", "r": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(plain, peft.LoraConfig(**options | changes))
        model.save_pretrained(folder)
    return model


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_of_someone_else(bases, posts, tmp_path, capsys):
    model = adapter_of(bases, tmp_path / "theirs").eval()
    arm = f"--arm=a={tmp_path / 'theirs'}"
    assert on(posts, arm, "--to", tmp_path / "to") == 2
    told = capsys.readouterr().err
    assert "its classes (LABEL_0, LABEL_1" in told
    assert "--classes" in told
    assert on(posts, arm, "--classes", "a=no,yes", "--to", tmp_path / "to") == 0
    found = scores_of(tmp_path / "to" / "a-1.parquet")
    tokenizer = transformers.AutoTokenizer.from_pretrained(bases["bert"])
    rows = pq.read_table(posts).to_pydict()
    for name, text in zip(rows["name"], rows["text"], strict=True):
        with torch.no_grad():
            own = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
        np.testing.assert_allclose(found[name], own, atol=1e-5)
    # The outputs in the other order: the scores are exchanged.
    assert on(posts, arm, "--classes", "a=yes,no", "--to", tmp_path / "other") == 0
    for name, score in scores_of(tmp_path / "other" / "a-1.parquet").items():
        np.testing.assert_allclose(score, found[name][::-1], atol=1e-6)


def whole_model(bases, folder, names):
    """A model with a trained head whose classes have these names."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        bases["bert"], num_labels=len(names), ignore_mismatched_sizes=True
    ).eval()
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: i for i, name in enumerate(names)}
    model.save_pretrained(folder)
    worlds.tokenizer(folder)
    return model


def own_scores(model, bases, posts):
    """A model's probabilities by transformers alone, by the id of the row."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(bases["bert"])
    rows = pq.read_table(posts).to_pydict()
    with torch.no_grad():
        return {
            name: model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].numpy()
            for name, text in zip(rows["name"], rows["text"], strict=True)
        }


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("NEGATIVE", "POSITIVE")])
def test_classes_rename_the_outputs_of_a_whole_model(names, bases, posts, tmp_path, capsys):
    model = whole_model(bases, tmp_path / "theirs", names)
    arm = f"--arm=a={tmp_path / 'theirs'}"
    assert on(posts, arm, "--to", tmp_path / "to") == 2
    assert "--classes" in capsys.readouterr().err
    for order, step in (("no,yes", 1), ("yes,no", -1)):
        to = tmp_path / order
        assert on(posts, arm, "--classes", f"a={order}", "--to", to) == 0
        found = scores_of(to / "a-1.parquet")
        for name, score in own_scores(model, bases, posts).items():
            np.testing.assert_allclose(found[name], score[::step], atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_without_a_head_uses_the_trained_head_of_its_base(bases, posts, tmp_path):
    plain = whole_model(bases, tmp_path / "base", ("NEGATIVE", "POSITIVE"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = peft.LoraConfig(r=2, target_modules=["query"], init_lora_weights=False)
        model = peft.get_peft_model(plain, config).eval()
        model.save_pretrained(tmp_path / "theirs")
    call = f"--arm=a={tmp_path / 'theirs'}", "--base", f"a={tmp_path / 'base'}", "--classes", "a=no,yes"
    assert on(posts, *call, "--to", tmp_path / "to") == 0
    found = scores_of(tmp_path / "to" / "a-1.parquet")
    for name, score in own_scores(model, bases, posts).items():
        np.testing.assert_allclose(found[name], score, atol=1e-5)


def test_classes_are_as_many_as_the_outputs(bases, posts, tmp_path, capsys):
    whole_model(bases, tmp_path / "theirs", ("x", "y", "z"))
    call = f"--arm=a={tmp_path / 'theirs'}", "--classes", "a=no,yes", "--to", tmp_path / "to"
    assert on(posts, *call) == 2
    assert "--classes has 2 names, and the model 3 outputs (x, y, z)" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_head_that_nobody_trained_is_refused(bases, posts, tmp_path, capsys):
    adapter_of(bases, tmp_path / "theirs", modules_to_save=None, task_type=None)
    call = f"--arm=a={tmp_path / 'theirs'}", "--classes", "a=no,yes", "--to", tmp_path / "to"
    assert on(posts, *call) == 2
    assert "--classes has 2 names, and the model 5 outputs" in capsys.readouterr().err  # those of the base
    folder = tmp_path / "plain"
    transformers.BertModel(worlds.config_of("bert")).save_pretrained(folder)
    worlds.tokenizer(folder)
    assert on(posts, *call, "--base", f"a={folder}") == 2
    told = capsys.readouterr().err
    assert "neither the adapter nor its base" in told
    assert "classifier" in told
    assert on(posts, f"--arm=a={folder}", "--classes", "a=no,yes", "--to", tmp_path / "to") == 2
    assert "no file of it has weights for classifier" in capsys.readouterr().err
    assert not list((tmp_path / "to").glob("*.parquet"))


def damage(trained, tmp_path, change):
    """A copy of an adapter, with other settings."""
    folder = Path(shutil.copytree(trained["lora1"] / "adapter", tmp_path / "damaged"))
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(settings | change))
    return folder


def test_settings_that_peft_does_not_know(trained, posts, tmp_path, capsys):
    arm = f"--arm=a={damage(trained, tmp_path, {'use_hyperlora': True})}"
    assert on(posts, arm, "--to", tmp_path / "to") == 2
    told = capsys.readouterr().err
    assert "does not know its settings use_hyperlora" in told
    assert f"it was saved by PEFT {peft.__version__}" in told
    assert on(posts, arm, "--lenient", "--to", tmp_path / "to") == 0
    assert "they are ignored (--lenient)" in capsys.readouterr().err


def test_a_kind_of_adapter_that_peft_does_not_know(trained, posts, tmp_path, capsys):
    assert (
        on(posts, f"--arm=a={damage(trained, tmp_path, {'peft_type': 'HYPER'})}", "--to", tmp_path / "to")
        == 2
    )
    assert "names no kind of adapter that PEFT" in capsys.readouterr().err


def test_a_base_of_another_machine(trained, posts, tmp_path, capsys, bases):
    elsewhere = damage(trained, tmp_path, {"base_model_name_or_path": "/nowhere/models/bert"})
    arm = f"--arm=a={elsewhere}"
    assert on(posts, arm, "--to", tmp_path / "to") == 2
    assert "the folder /nowhere/models/bert, which does not exist on this machine" in capsys.readouterr().err
    assert on(posts, arm, "--base", f"a={bases['bert']}", "--to", tmp_path / "to") == 0
    assert "was trained on /nowhere/models/bert, and is loaded onto" in capsys.readouterr().err
    own = scores_of(trained["lora1"] / "predictions.parquet")
    assert scores_of(tmp_path / "to" / "a-1.parquet") == own


def test_a_base_that_does_not_fit(trained, posts, tmp_path, capsys, bases):
    call = f"--arm=a={trained['lora1'] / 'adapter'}", "--base", f"a={bases['llama']}", "--to", tmp_path / "to"
    assert on(posts, *call) == 2
    assert "neither the adapter nor its base" in capsys.readouterr().err


def test_weights_without_a_place_are_refused(trained, posts, tmp_path, capsys):
    folder = damage(trained, tmp_path, {})
    weights = load_file(folder / "adapter_model.safetensors")
    name = next(key for key in weights if ".lora_A." in key)
    weights[name.replace("layer.0", "layer.7")] = weights[name].clone()
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    assert on(posts, f"--arm=a={folder}", "--to", tmp_path / "to") == 2
    assert "1 of its weights have no counterpart" in capsys.readouterr().err


def test_missing_weights_are_refused(trained, posts, tmp_path, capsys):
    folder = damage(trained, tmp_path, {})
    weights = load_file(folder / "adapter_model.safetensors")
    del weights[next(key for key in weights if ".lora_B." in key)]
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    assert on(posts, f"--arm=a={folder}", "--to", tmp_path / "to") == 2
    assert "no counterpart" in capsys.readouterr().err


def test_pickled_adapters_are_not_read(trained, posts, tmp_path, capsys):
    folder = damage(trained, tmp_path, {})
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    assert on(posts, f"--arm=a={folder}", "--to", tmp_path / "to") == 2
    assert "pickles" in capsys.readouterr().err


OLD_NAMES = {
    "vit.layers.": "vit.encoder.layer.",
    ".q_proj.": ".attention.query.",
    ".v_proj.": ".attention.value.",
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_under_the_names_of_transformers_4(bases, tmp_path, capsys):
    plain = transformers.AutoModelForImageClassification.from_pretrained(
        bases["vit"], num_labels=2, ignore_mismatched_sizes=True
    )
    options = {"r": 2, "target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(plain, peft.LoraConfig(**options, init_lora_weights=False)).eval()
        model.save_pretrained(tmp_path / "new")
    old = tmp_path / "old"
    old.mkdir()
    weights = {}
    for key, weight in load_file(tmp_path / "new" / "adapter_model.safetensors").items():
        for now, before in OLD_NAMES.items():
            key = key.replace(now, before)
        weights[key] = weight
    assert any(".encoder.layer.1.attention.attention.query.lora_B." in key for key in weights)
    save_file(weights, old / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = json.loads((tmp_path / "new" / "adapter_config.json").read_text())
    settings["target_modules"] = ["query", "value"]
    (old / "adapter_config.json").write_text(json.dumps(settings))
    found = []
    for name in ("new", "old"):
        ready = load_ready(
            ReadySource(str(tmp_path / name), classes=("no", "yes")), "image", ("no", "yes"), "float32"
        )
        with torch.no_grad():
            found.append(ready.model(pixel_values=torch.ones(1, 3, 16, 16)).logits)
            own = model(pixel_values=torch.ones(1, 3, 16, 16)).logits
        assert torch.equal(found[-1], own)
    assert "they are matched by what they do" in ready.remarks[0]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_added_tokens_resize_the_embedding(bases, posts, tmp_path):
    """An adapter that was trained with more tokens brings their rows and its own tokenizer."""
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        bases["bert"], num_labels=2, ignore_mismatched_sizes=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(bases["bert"])
    tokenizer.add_tokens(["w1 w2 w3", "slur", *(f"new{i}" for i in range(9))])
    plain.resize_token_embeddings(max(len(tokenizer), worlds.VOCABULARY + 4))
    options = {"target_modules": ["query"], "modules_to_save": ["classifier"], "task_type": "SEQ_CLS", "r": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(plain, peft.LoraConfig(**options)).eval()
        model.save_pretrained(tmp_path / "theirs", save_embedding_layers=True)
    tokenizer.save_pretrained(tmp_path / "theirs")
    call = f"--arm=a={tmp_path / 'theirs'}", "--classes", "a=no,yes", "--to", tmp_path / "to"
    assert on(posts, *call) == 0
    rows = pq.read_table(posts).to_pydict()
    found = scores_of(tmp_path / "to" / "a-1.parquet")
    with torch.no_grad():
        own = model(**tokenizer(rows["text"][0], return_tensors="pt")).logits.softmax(-1)[0]
    np.testing.assert_allclose(found[rows["name"][0]], own, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--arm", "nothing", "--text", "text"], "--arm 'nothing': write it as NAME=MODEL"),
        (["--arm", "a=/no/such", "--text", "text", "--base", "b=c"], "--base: no --arm has the name 'b'"),
        (["--arm", "a=/no/such"], "--text or --image: give exactly one"),
        (
            ["--arm", "a=/no/such", "--text", "text", "--max-length", "0"],
            "--max-length 0: it must be at least 1",
        ),
        (["--arm", "a=nobody/no-such", "--text", "text", "--positive", "yes"], "'nobody/no-such': not found"),
        (["--arm", "a=b", "--text", "txt", "--positive", "yes"], "txt"),
    ],
)
def test_wrong_calls(words, told, posts, tmp_path, capsys):
    assert call(posts, *words, "--to", tmp_path / "to") == 2
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "to").glob("*")) if (tmp_path / "to").exists() else True
