"""A head that a checkpoint brings along is matched by its classes' names, or drawn anew."""

import json

import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from evenhand.finetune import Model, run
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

KINDS = {"vit": transformers.AutoModelForImageClassification}
FAMILIES = ("bert", "roberta", "distilbert", "gpt2", "vit")


def checkpoint(place, kind, names, *, label2id=None):
    """A model with a head whose classes have names, and the head itself, drawn widely."""
    folder = place / "old"
    config = worlds.config_of(kind)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    torch.manual_seed(3)
    model = KINDS.get(kind, transformers.AutoModelForSequenceClassification).from_config(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "classifier" in name or "score" in name:
                p.normal_()
    model.save_pretrained(folder)
    if kind in worlds.TEXT:
        worlds.tokenizer(folder, ends=kind != "gpt2")
    if label2id is not None:
        said = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(said | label2id))
    return str(folder), model.eval()


def base_of(folder, classes, task="text"):
    return load_base(Model(folder), task, tuple(classes), "float32")


def logits(model, kind):
    torch.manual_seed(1)
    if kind == "vit":
        inputs = {"pixel_values": torch.randn(4, 3, 16, 16)}
    else:
        inputs = {"input_ids": torch.randint(4, 30, (4, 6)), "attention_mask": torch.ones(4, 6).long()}
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("kind", FAMILIES)
def test_classes_are_matched_by_name(kind, tmp_path):
    folder, model = checkpoint(tmp_path, kind, ["toxic", "fine", "Unsure "])
    base = base_of(folder, ("unsure", "fine", "toxic"), "image" if kind == "vit" else "text")
    told = logits(model, kind)
    for seed in (1, 2):
        torch.testing.assert_close(logits(base.copy(seed), kind), told[:, [2, 1, 0]])
    assert "matched by name" in base.remark
    assert "all seeds start from the same head" in base.remark
    assert base.model.config.id2label == {0: "unsure", 1: "fine", 2: "toxic"}


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("names", [("POSITIVE", "NEGATIVE"), ("a", "b", "c"), ("LABEL_0", "LABEL_1")])
def test_other_classes_get_a_new_head_per_seed(kind, names, tmp_path):
    folder, model = checkpoint(tmp_path, kind, names)
    base = base_of(folder, ("fine", "toxic"), "image" if kind == "vit" else "text")
    one, again, two = (logits(base.copy(seed), kind) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, two)
    old = dict(model.named_parameters())
    for name, p in base.copy(1).named_parameters():
        if any(name.startswith(f"{part}.") for part in base.roles.head):
            assert p.shape != old[name].shape or not torch.equal(p, old[name])
        else:
            assert torch.equal(p, old[name])
    assert f"a head for other classes ({', '.join(names)}) than the data (fine, toxic)" in base.remark


def test_numbers_are_what_labels_without_names_mean(tmp_path):
    folder, model = checkpoint(tmp_path, "bert", ["LABEL_0", "LABEL_1"])
    base = base_of(folder, ("0", "1"))
    torch.testing.assert_close(logits(base.copy(7), "bert"), logits(model, "bert"))
    assert "matched by name" not in base.remark
    assert "it is used" in base.remark


def test_names_that_contradict_each_other(tmp_path):
    folder, _ = checkpoint(tmp_path, "bert", ["no", "yes"], label2id={"label2id": {"yes": 0, "no": 1}})
    base = base_of(folder, ("no", "yes"))
    assert "inconsistently" in base.remark
    assert not torch.allclose(logits(base.copy(1), "bert"), logits(base.copy(2), "bert"))


def test_a_checkpoint_without_a_head_says_nothing(tmp_path):
    folder = tmp_path / "plain"
    torch.manual_seed(0)
    transformers.BertModel(worlds.config_of("bert")).save_pretrained(folder)
    worlds.tokenizer(folder)
    base = base_of(str(folder), ("no", "yes"))
    assert base.remark == ""
    assert base.new_modules == ("classifier",)


def test_runs_say_what_the_trained_head_says(tmp_path, datasets):
    data = datasets["text"]
    folder, model = checkpoint(tmp_path, "bert", ["yes", "no"])
    texts = [data.examples.inputs[i] for i in data.parts.test]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        own = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
    jobs = [worlds.job_of(folder, "none", seed=seed) for seed in (1, 2)]
    assert any("matched by name" in remark for remark in run.prepare(jobs, data).remarks)
    for job in jobs:
        place = tmp_path / f"run{job.seed}"
        place.mkdir()
        assert any("matched by name" in remark for remark in run.train(job, data, place)["remarks"])
        table = pq.read_table(place / "predictions.parquet").to_pydict()
        scores = [s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"]
        np.testing.assert_allclose(scores, own[:, [1, 0]], atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_is_saved_says_the_classes(tmp_path, datasets):
    folder, _ = checkpoint(tmp_path, "bert", ["yes", "no"])
    for method in ("lora", "full"):
        (tmp_path / method).mkdir()
        run.train(worlds.job_of(folder, method), datasets["text"], tmp_path / method)
    assert transformers.AutoConfig.from_pretrained(tmp_path / "full" / "model").id2label == {
        0: "no",
        1: "yes",
    }
    adapter = tmp_path / "lora" / "adapter"
    said = json.loads((adapter / "adapter_config.json").read_text())
    assert said["auto_mapping"]["id2label"] == {"0": "no", "1": "yes"}
    # As a stranger loads it, onto the base.
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    loaded = peft.PeftModel.from_pretrained(plain, str(adapter)).eval()
    examples, rows = datasets["text"].examples, datasets["text"].parts.test
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        inputs = tokenizer([examples.inputs[i] for i in rows], padding=True, return_tensors="pt")
        scores = loaded(**inputs).logits.softmax(-1)
    table = pq.read_table(tmp_path / "lora" / "predictions.parquet").to_pydict()
    told = [s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"]
    np.testing.assert_allclose(told, scores, atol=1e-5)
