"""Every method on every family: it trains, saves, and a stranger's code loads the same model."""

import json
import warnings

import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from peft.tuners.tuners_utils import BaseTuner
from safetensors.torch import load_file, save_file

from evenhand import registry
from evenhand.finetune import Model, checks, run
from evenhand.finetune.estimate import size
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.adapt import METHODS
from evenhand.finetune.modeling.pretrained import FAMILIES, load_base
from evenhand.finetune.modeling.ready import ReadySource, load_ready
from tests.finetune import worlds

AUTO = {
    True: transformers.AutoModelForImageClassification,
    False: transformers.AutoModelForSequenceClassification,
}


def stranger(folder, base, family):
    """The model as plain transformers and PEFT load it."""
    auto = AUTO[family in worlds.IMAGE]
    if (folder / "model").exists():
        return auto.from_pretrained(folder / "model").eval()
    transformers.logging.set_verbosity_error()
    torch.manual_seed(999)  # another head than any run's
    plain = auto.from_pretrained(base, num_labels=2, ignore_mismatched_sizes=True, **quantised(folder))
    plain.config.pad_token_id = 3 if family in worlds.DECODERS else 0
    if not (folder / "adapter").exists():
        return plain.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own, of what it does not know in its own files
        return worlds.exact(peft.PeftModel.from_pretrained(plain, str(folder / "adapter")).eval())


def quantised(folder):
    """The argument of `from_pretrained` for the base of an adapter that states a quantised one."""
    file = folder / "adapter" / "adapter_config.json"
    stated = (json.loads(file.read_text())["auto_mapping"] or {}) if file.exists() else {}
    settings = stated.get("quantization_config")
    return {"quantization_config": transformers.BitsAndBytesConfig(**settings)} if settings else {}


def by_hand(model, base, data, family):
    """Scores of the test rows, one at a time."""
    inputs = [data.examples.inputs[i] for i in data.parts.test]
    rows = []
    for one in inputs:
        if family in worlds.IMAGE:
            pixels = (torch.tensor(one).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
            told = {"pixel_values": pixels}
        else:
            told = transformers.AutoTokenizer.from_pretrained(base)(one, return_tensors="pt")
        with torch.no_grad():
            rows.append(torch.softmax(model(**told).logits[0].double(), -1).numpy())
    return np.array(rows)


def test_families_all_have_a_model():
    plain = {f for f in registry.names(FAMILIES) if not hasattr(registry.load(FAMILIES, f), "build")}
    assert plain <= {*worlds.TEXT, *worlds.IMAGE}


def test_method_trains_saves_and_reloads(family, method, folders, data, tmp_path):
    base, rows, seen = folders[family], data(family), []
    job = worlds.job_of(base, method)
    info = registry.load(METHODS, method).INFO
    prepared = run.prepare([job], rows)
    assert not prepared.complaints
    facts = run.train(job, rows, tmp_path, progress=lambda *done: seen.append(done))
    json.dumps(facts)
    table = pq.read_table(tmp_path / "predictions.parquet").to_pydict()
    test = [i for i, s in enumerate(table["split"]) if s == "test"]
    scores = np.array([table["score"][i] for i in test])
    if method == "none":
        assert facts["steps"] == 0
        assert not seen
        assert facts["validation"] is None
        assert facts["trainable_parameters"] == 0
        assert not (tmp_path / "adapter").exists()
        assert not (tmp_path / "model").exists()
    else:
        steps = 2 * -(-len(rows.parts.train) // 16)
        assert facts["steps"] == steps
        assert seen == [(i + 1, steps) for i in range(steps)]
        assert facts["checks"]["reload"] < 1e-5
        lines = [json.loads(x) for x in (tmp_path / "train.jsonl").read_text().splitlines()]
        assert [x["step"] for x in lines if "loss" in x] == list(range(1, steps + 1))
        told = [x["validation"] for x in lines if "validation" in x]
        assert len(told) == 2
        assert told[-1] == facts["validation"]
        plain = by_hand(stranger(tmp_path, base, family), base, rows, family)
        np.testing.assert_allclose(scores, plain, atol=1e-5)
    if not info.trains_all:
        assert facts["checks"]["base_frozen"] > 10_000
    assert ("merged" in facts["checks"]) == info.merges
    if info.merges:
        assert facts["checks"]["merged"] < 1e-5
    check_estimate(job, rows, facts, tmp_path)
    for saved in tmp_path.glob("[am]*/"):  # `evenhand predict` finds a place for every weight
        assert load_ready(ReadySource(str(saved)), rows.examples.task, ("no", "yes"), "float32").remarks == ()
    assert facts["peak_memory_bytes"] >= 4 * facts["parameters"]
    seconds = facts["seconds"]
    assert {"load", "train", "predict", "total"} <= set(seconds)
    assert sum(v for k, v in seconds.items() if k != "total") == pytest.approx(seconds["total"], abs=0.3)


def check_estimate(job, rows, facts, place):
    """A dry run counts the trained parameters, and what is saved, on a model without weights."""
    examples = rows.examples
    (found,) = size.estimate_sizes([job], examples.task, examples.classes, 8).estimates
    assert found.trainable == facts["trainable_parameters"]
    weights = [load_file(file) for file in place.glob("*/*.safetensors")]
    saved = sum(value.numel() * value.element_size() for file in weights for value in file.values())
    ranks_shrink = job.method == "adalora"  # it starts with 4, and saves 2
    assert saved < found.stored_bytes if ranks_shrink else saved >= found.stored_bytes
    assert saved <= 1.1 * found.stored_bytes + 4096


def test_method_starts_where_it_says(method, folders, data):
    """Before the first step, a model computes what its base does, and no bit less."""
    family = worlds.families_of(method)[-1]
    base = load_base(Model(folders[family]), data(family).examples.task, ("no", "yes"), "float32")
    job, info = worlds.job_of(folders[family], method), registry.load(METHODS, method).INFO
    torch.manual_seed(3)
    inputs = {"pixel_values": torch.randn(4, 3, 16, 16)}
    if family not in worlds.IMAGE:
        inputs = {"input_ids": torch.randint(4, 30, (4, 6)), "attention_mask": torch.ones(4, 6)}
    with torch.no_grad():
        models = base.copy(13), adapted_of(base, job)
        plain, adapted = (model.eval()(**inputs).logits for model in models)
    assert torch.allclose(plain, adapted, atol=1e-6) == info.identity_at_start


def test_method_trains_what_it_counts(method, folders, data):
    """No weight of the base that is compared after training is among the trained ones."""
    family = worlds.families_of(method)[-1]
    base = load_base(Model(folders[family]), data(family).examples.task, ("no", "yes"), "float32")
    model = adapted_of(base, worlds.job_of(folders[family], method))
    frozen = checks.copy_frozen_weights(base, model)
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    trained = {n.replace(".base_layer.", ".") for n, p in inner.named_parameters() if p.requires_grad}
    assert not trained & set(frozen)
    outside = {n for n, _ in base.model.named_parameters() if not n.startswith(base.roles.head)}
    assert outside == set(frozen) | (trained & outside)
    assert (frozen == {}) == registry.load(METHODS, method).INFO.trains_all


def adapted_of(base, job):
    return adapt.build_adapted_model(base, job)


def test_methods_learn(folders, data, tmp_path):
    rows = data("bert")
    reached = {}
    for method, rate in (("full", 2e-3), ("lora", 2e-2), ("head_only", 5e-2)):
        place = tmp_path / method
        place.mkdir()
        reached[method] = run.train(
            worlds.job_of(folders["bert"], method, learning_rate=rate, epochs=12), rows, place
        )
    assert reached["full"]["validation"]["accuracy"] > 0.9
    assert reached["lora"]["validation"]["accuracy"] > 0.9


def test_parameters_by_hand(folders, data, tmp_path):
    job = worlds.job_of(folders["llama"], "lora", epochs=1)
    facts = run.train(job, data("llama"), tmp_path)
    # Two layers; queries 32 -> 32, values 32 -> 16 (one of two key-value heads); a head of 32 x 2.
    assert facts["trainable_parameters"] == 2 * 2 * ((32 + 32) + (32 + 16)) + 64
    trained = run.train(
        worlds.job_of(folders["llama"], "head_only", epochs=1), data("llama"), folder(tmp_path)
    )
    assert trained["trainable_parameters"] == 64


def folder(place):
    made = place / "again"
    made.mkdir()
    return made


def test_frozen_weight_that_changes_is_found(folders, data, tmp_path, monkeypatch):
    job, rows = worlds.job_of(folders["bert"], "lora"), data("bert")
    fit = run.fit

    def careless(model, *args, **kwargs):
        steps = fit(model, *args, **kwargs)
        weight = dict(model.named_parameters())["base_model.model.bert.encoder.layer.0.output.dense.weight"]
        weight.data[0, 0] += 1e-6
        return steps

    monkeypatch.setattr(run, "fit", careless)
    with pytest.raises(checks.CheckError, match=r"bert.encoder.layer.0.output.dense.weight' changed"):
        run.train(job, rows, tmp_path)


@pytest.mark.parametrize("target", ["query.base_layer.weight", "query.base_layer.bias"])
def test_weight_under_an_adapter_that_changes_is_found(folders, data, tmp_path, monkeypatch, target):
    fit = run.fit

    def careless(model, *args, **kwargs):
        steps = fit(model, *args, **kwargs)
        next(p for n, p in model.named_parameters() if n.endswith(target)).data.add_(1e-6)
        return steps

    monkeypatch.setattr(run, "fit", careless)
    with pytest.raises(checks.CheckError, match="changed in training"):
        run.train(worlds.job_of(folders["bert"], "lora"), data("bert"), tmp_path)


def test_lost_head_is_found(folders, data, tmp_path, monkeypatch):
    save = run.checkpoint.save

    def forgetful(model, place, base):
        saved = save(model, place, base)
        file = saved / "adapter_model.safetensors"
        save_file({k: v for k, v in load_file(file).items() if "classifier" not in k}, file)
        return saved

    monkeypatch.setattr(run.checkpoint, "save", forgetful)
    with pytest.raises(checks.CheckError, match="reloaded"):
        run.train(worlds.job_of(folders["bert"], "lora"), data("bert"), tmp_path)


def test_wrong_merge_is_found(folders, data, tmp_path, monkeypatch):
    merge = BaseTuner.merge_and_unload

    def wrong(model, *args, **kwargs):
        merged = merge(model, *args, **kwargs)
        for name, p in merged.named_parameters():
            if name.endswith("value.weight"):
                p.data.normal_()
        return merged

    monkeypatch.setattr(BaseTuner, "merge_and_unload", wrong)
    with pytest.raises(checks.CheckError, match="the merged model"):
        run.train(worlds.job_of(folders["bert"], "lora", learning_rate=0.05), data("bert"), tmp_path)


def test_importing_a_method_imports_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; from evenhand import registry\n"
        "for kind in ('methods', 'models'):\n"
        "    package = 'evenhand.finetune.' + kind\n"
        "    for n in registry.names(package): registry.load(package, n)\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
