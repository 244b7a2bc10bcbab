"""What a run leaves of its model: as little as was trained, which strangers load by the README beside it."""

import json
import re
import weakref

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from safetensors.torch import load_file

from evenhand.finetune import run
from evenhand.finetune.estimate.size import estimate_sizes
from evenhand.finetune.modeling import adapt, checkpoint
from tests.finetune import worlds


def trained(folder, method, data, place, **changes):
    place.mkdir(parents=True, exist_ok=True)
    facts = run.train(worlds.job_of(folder, method, epochs=1, **changes), data, place)
    return facts


def by_readme(adapter):
    """The model as the README's lines load it, with transformers and PEFT alone."""
    text = (adapter / "README.md").read_text()
    code = re.search("```python\n(.*?)```", text, re.DOTALL)[1]
    assert "evenhand" not in code
    scope = {"ADAPTER": str(adapter)}
    transformers.logging.set_verbosity_error()
    torch.manual_seed(999)  # another head than any run's
    exec(code, scope)
    return scope["model"].eval(), text


def scores_of(place):
    table = pq.read_table(place / "predictions.parquet").to_pydict()
    return np.array([s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"])


def asked(model, folder, kind, data):
    shown = [data.examples.inputs[i] for i in data.parts.test]
    if kind in worlds.IMAGE:
        inputs = {"pixel_values": (torch.tensor(np.stack(shown)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5}
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        inputs = tokenizer(shown, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits.softmax(-1).numpy()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("way", ["lora", "dora", "head_only"])
@pytest.mark.parametrize("kind", ["bert", "distilbert", "llama", "vit"])
def test_strangers_load_an_adapter_with_its_classes(kind, way, folders, data, tmp_path):
    rows = data(kind)
    facts = trained(folders[kind], way, rows, tmp_path)
    assert facts["checks"]["reload"] < 1e-5
    model, text = by_readme(tmp_path / "adapter")
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert model.config.label2id == {"no": 0, "yes": 1}
    assert "in the order of the logits: 0 is `no`, 1 is `yes`" in text
    np.testing.assert_allclose(asked(model, folders[kind], kind, rows), scores_of(tmp_path), atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_many_classes_with_awkward_names(folders, tmp_path):
    examples = worlds.texts(n=90, classes=9)
    names = ("it's", 'a "b"', "`c`", "ä", "5", "f\\n", "{g}", "h, i", "j")
    rows = worlds.data_of(worlds.replace(examples, classes=names))
    for method in ("lora", "head_only"):
        trained(folders["bert"], method, rows, tmp_path / method)
        model, _ = by_readme(tmp_path / method / "adapter")
        assert tuple(model.config.id2label[i] for i in range(9)) == names
        told = asked(model, folders["bert"], "bert", rows)
        np.testing.assert_allclose(told, scores_of(tmp_path / method), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2", "swinv2"])
def test_a_head_is_all_that_head_only_stores(kind, folders, data, tmp_path):
    facts = trained(folders[kind], "head_only", data(kind), tmp_path)
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert sum(value.numel() for value in stored.values()) == facts["trainable_parameters"]
    assert not (tmp_path / "model").exists()
    task = "image" if kind == "swinv2" else "text"
    [size] = estimate_sizes([worlds.job_of(folders[kind], "head_only")], task, ("no", "yes"), 8).estimates
    assert size.stored_bytes == 4 * facts["trainable_parameters"]
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert said["auto_mapping"]["id2label"] == {"0": "no", "1": "yes"}


def test_a_trained_model_is_let_go_before_the_saved_one_is_read(folders, data, tmp_path, monkeypatch):
    for kind, method in (("bert", "full"), ("bert", "lora"), ("vit", "head_only"), ("llama", "dora")):
        models, alive = [], []
        make, load = adapt.build_adapted_model, checkpoint.reload

        def adapted(*args, make=make, models=models):
            model = make(*args)
            models.append(weakref.ref(next(model.parameters())))
            return model

        def reload(*args, load=load, models=models, alive=alive):
            checkpoint.gc.collect()
            alive += [one() is not None for one in models]
            return load(*args)

        with monkeypatch.context() as patched:
            patched.setattr(adapt, "build_adapted_model", adapted)
            patched.setattr(checkpoint, "reload", reload)
            facts = trained(folders[kind], method, data(kind), tmp_path / kind / method)
        assert alive == [False]
        assert facts["checks"]["reload"] < 1e-5


def test_sizes_count_the_model_that_is_checked(folders):
    """Where a model is divided, one process has it whole in the end."""
    job = worlds.job_of(folders["llama"], "full", parallel="fsdp")
    [size] = estimate_sizes([job], "text", ("no", "yes"), 8).estimates
    assert size.check_bytes == 4 * size.parameters
    assert size.bytes(1, processes=1000) == max(
        size.divided_bytes // 1000 + size.gathered_bytes + size.row_bytes, size.check_bytes
    )
