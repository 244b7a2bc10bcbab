"""A folder that holds no base model is refused by what it is, by a dry run as by the preparation."""

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
import transformers

from evenhand.errors import InputError
from evenhand.finetune import run
from evenhand.finetune.estimate import size
from evenhand.finetune.modeling import folder as folders_of
from tests.finetune import worlds

# PEFT asks transformers for what it calls by another name since.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 4321\n"


@pytest.fixture
def bert(folders, tmp_path):
    """A copy of a model's folder, to damage."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "bert"))


@pytest.fixture
def refused(datasets):
    """What the preparation and a dry run say of a folder, which is the same."""

    def said(folder):
        job = worlds.job_of(str(folder), "lora")
        prepared = run.prepare([job], datasets["text"]).complaints
        with pytest.raises(InputError) as raised:
            size.estimate_sizes([job], "text", ("no", "yes"), 8)
        assert tuple(raised.value.complaints) == prepared
        (one,) = prepared
        assert str(folder) in one
        return one

    return said


def change(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def adapter(base, place):
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base)
    peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["key"])).save_pretrained(str(place))
    return place


def test_an_adapter_is_no_base(folders, tmp_path, refused):
    place = adapter(folders["bert"], tmp_path / "only")
    assert f"is an adapter for '{folders['bert']}'" in refused(place)
    assert f"give that base as model: {folders['bert']}" in refused(place)
    # With the files that trainers leave beside it.
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(folders["bert"]) / file, place)
    assert "is an adapter" in refused(place)


def test_an_adapter_that_evenhand_has_saved(folders, datasets, tmp_path, refused):
    run.train(worlds.job_of(folders["bert"], "lora"), datasets["text"], tmp_path)
    assert f"is an adapter for '{folders['bert']}'" in refused(tmp_path / "adapter")


def test_an_adapter_without_its_settings(folders, tmp_path, refused):
    place = adapter(folders["bert"], tmp_path / "only")
    (place / "adapter_config.json").unlink()
    assert "is an adapter (adapter_config.json), not a model; give its base as model" in refused(place)


def test_an_adapter_beside_the_weights(folders, bert, tmp_path, refused):
    place = adapter(folders["bert"], tmp_path / "only")
    for file in place.glob("adapter_*"):
        shutil.copy(file, bert)
    told = refused(bert)
    assert "has an adapter" in told
    assert "beside its weights" in told
    assert "remove adapter_config.json and adapter_model.safetensors from the folder" in told


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"load_in_8bit": True}, "quantization_config"),
    ],
)
def test_quantised_weights(settings, named, bert, refused):
    change(bert, quantization_config=settings)
    told = refused(bert)
    assert "its weights are quantised" in told
    assert named in told
    assert "pip install" not in told
    assert "Give the model that it was quantised from" in told


def test_quantised_by_an_older_file(bert, refused):
    (bert / "quantize_config.json").write_text('{"bits": 4}')
    assert "quantised (quantize_config.json)" in refused(bert)


def test_pickles_alone(bert, refused):
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    (bert / "training_args.bin").write_bytes(b"x")
    told = refused(bert)
    assert "has only pytorch_model.bin, which is a pickle" in told
    assert "training_args" not in told
    assert "BertForSequenceClassification.from_pretrained" in told
    assert "save_pretrained" in told


def test_pickles_in_parts(bert, refused):
    (bert / "model.safetensors").unlink()
    for i in (1, 2):
        (bert / f"pytorch_model-0000{i}-of-00002.bin").write_bytes(b"x")
    (bert / "pytorch_model.bin.index.json").write_text("{}")
    names = "pytorch_model-00001-of-00002.bin, pytorch_model-00002-of-00002.bin"
    assert f"{names}, which are pickles" in refused(bert)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model.gguf", "llama.cpp"),
        ("tf_model.h5", "TensorFlow"),
        ("consolidated.safetensors", "looks for model.safe"),
    ],
)
def test_weights_of_others(file, said, bert, refused):
    (bert / "model.safetensors").rename(bert / file)
    told = refused(bert)
    assert said in told
    assert file in told


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointers(file, bert, refused):
    (bert / file).write_text(POINTER)
    told = refused(bert)
    assert f"{file} is a Git LFS pointer" in told
    assert "git lfs pull" in told


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_web_pages_in_place_of_files(file, bert, refused):
    (bert / file).write_text("\n<!DOCTYPE html>\n<html><body>model.safetensors</body></html>\n")
    told = refused(bert)
    assert f"{file} holds a web page" in told
    assert "/resolve/" in told


def test_pointers_that_nobody_reads(bert, datasets):
    for file in ("pytorch_model.bin", "tf_model.h5", "onnx.safetensors"):
        (bert / file).write_text(POINTER)
    assert run.prepare([worlds.job_of(str(bert), "lora")], datasets["text"]).complaints == ()


@pytest.fixture
def parts(bert):
    """A model in three parts, and its index."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    (bert / "model.safetensors").unlink()
    model.save_pretrained(bert, max_shard_size="20KB")
    return sorted(bert.glob("model-*.safetensors"))


def test_weights_in_parts(bert, parts, datasets, refused):
    assert len(parts) > 2
    whole = shutil.copytree(bert, bert.parent / "whole")
    assert run.prepare([worlds.job_of(str(whole), "lora")], datasets["text"]).complaints == ()
    parts[1].write_text(POINTER)
    assert f"{parts[1].name} is a Git LFS pointer" in refused(bert)
    parts[1].unlink()
    told = refused(bert)
    assert f"1 of the {len(parts)} files with its weights that model.safetensors.index.json names" in told
    assert f"not in the folder ({parts[1].name})" in told
    (bert / "model.safetensors.index.json").write_text("{}")
    assert "has no 'weight_map'" in refused(bert)


def test_a_whole_folder_is_not_complained_of(folders):
    for place in folders.values():
        folders_of.check_folder(place, Path(place))
