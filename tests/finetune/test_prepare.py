"""What is wrong with a model or a method is said before anything is trained."""

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
import transformers

from evenhand.finetune import Model, run
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds


def said(folder, data, method="full", **changes):
    return run.prepare([worlds.job_of(str(folder), method, **changes)], data)


@pytest.fixture
def bert(folders, tmp_path):
    """A copy of a model's folder, to damage."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "bert"))


def test_all_complaints_at_once(folders, datasets, tmp_path):
    unknown = worlds.job_of(
        folders["bert"], "lora", options={"rank": 2, "targets": ("attention.qery", "mlp.op")}
    )
    missing = worlds.job_of(str(tmp_path / "nowhere"), "full")
    told = run.prepare([unknown, missing, missing], datasets["text"]).complaints
    assert len(told) == 3
    assert "did you mean 'attention.query'?" in told[0]
    assert "nowhere" in told[2]


def test_unknown_family(bert, datasets):
    config = json.loads((bert / "config.json").read_text()) | {"model_type": "wav2vec2"}
    (bert / "config.json").write_text(json.dumps(config))
    (told,) = said(bert, datasets["text"]).complaints
    assert "belongs to the family wav2vec2, which transformers offers for none of evenhand's tasks" in told
    assert "the dataset needs text classification" in told


def test_no_weights(bert, datasets):
    (bert / "model.safetensors").unlink()
    (told,) = said(bert, datasets["text"]).complaints
    assert "It must hold config.json, model.safetensors" in told


def test_pickled_weights_are_not_read(bert, datasets):
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    (told,) = said(bert, datasets["text"]).complaints
    assert "pytorch_model.bin" in told


def test_code_of_others_is_not_run(bert, datasets, tmp_path):
    mark = tmp_path / "ran"
    (bert / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    config = json.loads((bert / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}
    (bert / "config.json").write_text(json.dumps(config))
    (told,) = said(bert, datasets["text"]).complaints
    assert "needs code of its authors (auto_map in config.json), which evenhand does not run" in told
    assert not mark.exists()


def test_a_type_that_transformers_does_not_know(bert, datasets):
    config = json.loads((bert / "config.json").read_text()) | {"model_type": "bret"}
    (bert / "config.json").write_text(json.dumps(config))
    (told,) = said(bert, datasets["text"]).complaints
    assert "does not know its model_type, 'bret'" in told
    assert "did you mean 'bert'?" in told.lower()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_in_half_precision_are_read_in_float32(bert, datasets, dtype, tmp_path):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    folder = tmp_path / dtype
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    for path in bert.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert not said(folder, datasets["text"], "lora").complaints
    base = load_base(Model(str(folder)), "text", ("no", "yes"), "float32")
    assert {p.dtype for p in base.model.parameters()} == {torch.float32}
    own = dict(model.named_parameters())
    for name, p in base.model.named_parameters():
        if not name.startswith("classifier"):
            assert torch.equal(p, own[name].float())


def test_texts_model_for_pictures(folders, datasets):
    (told,) = said(folders["bert"], datasets["image"]).complaints
    assert "offers for text classification; the dataset needs image classification" in told


def test_no_tokenizer(bert, datasets):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bert / name).unlink()
    (told,) = said(bert, datasets["text"]).complaints
    assert "tokenizer" in told


@pytest.mark.parametrize("offline", ["1", None])
def test_no_network(offline, datasets, monkeypatch):
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline is not None)

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "model_info", unreachable)
    start = time.perf_counter()
    (told,) = said("nobody/no-such-model", datasets["text"]).complaints
    assert time.perf_counter() - start < 5
    assert "put config.json" in told
    assert "https://huggingface.co/nobody/no-such-model" in told
    assert "tiny_text" in told


def test_rank_above_the_width_is_told(folders, datasets):
    options = {"rank": 64, "alpha": 1.0, "dropout": 0.0, "targets": ("attention.query",)}
    told = said(folders["bert"], datasets["text"], "lora", options=options)
    assert not told.complaints
    assert "rank 64 is above the width 32 of 2 layers" in told.remarks[0]
