"""How large jobs are: what is counted without weights is what the real thing has."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from evenhand.errors import InputError
from evenhand.finetune import Job, Model, Training
from evenhand.finetune.estimate.size import estimate_sizes
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.models import llama

SMALL = {
    "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64,
}  # fmt: skip
METHODS = [("full", {}), ("head_only", {}), ("none", {}), ("lora", {"rank": 3})]


def job(model, method="full", options=None, precision="float32", how=None, **said):
    training = Training(1e-3, 2, precision=precision, **(how or {}))
    return Job("arm", Model(str(model), said), method, options or {}, training, 1)


@pytest.fixture
def folder(tmp_path):
    LlamaForSequenceClassification(LlamaConfig(**SMALL)).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("way", "options"), METHODS)
def test_counts_are_those_of_the_real_model(way, options, folder):
    one = job(folder, way, options)
    [size] = estimate_sizes([one], "text", ("a", "b", "c"), 10).estimates
    base = load_base(one.model, "text", ("a", "b", "c"), "float32")
    model = adapt.build_adapted_model(base, one)
    assert size.parameters == sum(p.numel() for p in base.model.parameters())
    assert size.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert size.cached == (way == "head_only")


@pytest.mark.parametrize(("way", "options"), METHODS)
def test_operations_are_those_that_torch_counts(way, options, folder):
    """Products within attention are left out: FlopCounterMode counts some kernels of it and not others."""
    one = job(folder, way, options)
    [size] = estimate_sizes([one], "text", ("a", "b"), 10).estimates
    model = adapt.build_adapted_model(load_base(one.model, "text", ("a", "b"), "float32"), one)
    layers = (torch.ops.aten.mm, torch.ops.aten.addmm)
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=torch.ones(1, 10, dtype=torch.long)).logits
        forward = sum(counter.get_flop_counts()["Global"].get(layer, 0) for layer in layers)
        if way == "full":
            logits.sum().backward()
    counts = counter.get_flop_counts()["Global"]
    assert forward == size.forward
    assert way != "full" or sum(counts.get(layer, 0) for layer in layers) == size.training


def test_operations_by_hand(folder):
    full, head, none = estimate_sizes(
        [job(folder, m) for m in ("full", "head_only", "none")], "text", ("a", "b"), 10
    ).estimates
    # Per layer query and output 16 x 16, key and value 16 x 8, three of 16 x 32; the head 16 x 2.
    weights = 2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32) + 16 * 2
    assert full.forward == head.forward == none.forward == 2 * 10 * weights
    assert full.training == 6 * 10 * weights
    assert none.training == 4 * 10 * weights
    assert full.operations(100, 10, 20, epochs=3) == 3 * (600 + 20) * 10 * weights + 30 * 2 * 10 * weights
    assert head.operations(100, 10, 20, epochs=3) == 130 * 2 * 10 * weights  # the base reads every row once
    assert none.operations(100, 10, 20, epochs=3) == 30 * 2 * 10 * weights
    assert full.fixed_bytes == 16 * full.parameters
    assert none.fixed_bytes == 4 * none.parameters
    assert (head.row_bytes, none.row_bytes) == (0, 0)
    [half] = estimate_sizes([job(folder, precision="bfloat16")], "text", ("a", "b"), 10).estimates
    assert (half.fixed_bytes, half.row_bytes) == (18 * full.parameters, full.row_bytes // 2)


@pytest.mark.parametrize(
    ("name", "task", "parameters"),
    [  # as their pages on the hub have it, with a head of two classes in place of theirs
        ("meta-llama/Llama-2-7b-hf", "text", 6_607_343_616 + 2 * 4096),
        ("mistralai/Mistral-7B-v0.1", "text", 7_110_660_096 + 2 * 4096),
        ("google/vit-base-patch16-224-in21k", "image", 85_798_656 + 2 * 769),
        ("microsoft/swinv2-large-patch4-window12-192-22k", "image", 195_202_932 + 2 * 1537),
    ],
)
def test_models_of_the_recipes_are_counted_without_a_network(name, task, parameters, monkeypatch):
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    full, lora = estimate_sizes([job(name), job(name, "lora", {"rank": 8})], task, ("a", "b"), 64).estimates
    assert full.parameters == full.trainable == parameters
    assert 0 < lora.trainable < 0.02 * parameters


def test_memory_of_llama_2_7b_by_hand(monkeypatch):
    """Full fine-tuning in bfloat16, 256 tokens, 8 rows at a time: the recipe paper/e1_religion_llama2."""
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    name, saving, divided = "meta-llama/Llama-2-7b-hf", {"gradient_checkpointing": True}, {"parallel": "fsdp"}
    jobs = [job(name, precision="bfloat16", how=how) for how in ({}, saving, divided, saving | divided)]
    plain, saved, apart, both = estimate_sizes(jobs, "text", ("a", "b"), 256).estimates
    weights, layer = 6_607_343_616 + 2 * 4096, 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    # Weights and their rounded copies, gradients, two moments: 18 bytes a weight, 119 GB.
    states = (4 + 2 + 4 + 8) * weights
    # What leaves a layer's products for each of 256 tokens, twice over, in 2 bytes: 1.4 GB a row.
    inside = 2 * 2 * 256 * (5 * 4096 + 2 * 11008)
    head = 2 * 2 * 256 * 2
    assert plain.bytes(8) == states + 8 * (32 * inside + head) == pytest.approx(130.1e9, rel=1e-3)
    # The entry of each layer in 4 bytes, and the inside of one: 0.18 GB a row.
    entries = 32 * 4 * 256 * 4096
    assert saved.bytes(8) == states + 8 * (entries + inside + head) == pytest.approx(120.4e9, rel=1e-3)
    # Divided by 8: weights, gradients, moments. Whole for a while: two layers, embedding and head, in 2
    # bytes, and the gradients of a layer.
    rest = weights - 32 * layer
    whole = 2 * (rest + 2 * layer) + 4 * layer
    # In the end one process has the whole model to check it, in 4 bytes and rounded: 39.6 GB.
    checked = (4 + 2) * weights
    assert apart.bytes(4, 8) == max(16 * weights // 8 + whole + 4 * (32 * inside + head), checked)
    assert both.bytes(4, 8) == max(16 * weights // 8 + whole + 4 * (entries + inside + head), checked)
    assert both.bytes(4, 8) == pytest.approx(39.6e9, rel=1e-2)
    # One process has all, and copies are not divided.
    assert (apart.bytes(8), plain.bytes(8, 8)) == (plain.bytes(8), plain.bytes(8))


def test_a_high_rank_is_counted_too(monkeypatch):
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    [lora] = estimate_sizes(
        [job("meta-llama/Llama-2-7b-hf", "lora", {"rank": 4096})], "text", ("a", "b"), 64
    ).estimates
    assert lora.trainable == 64 * 2 * 4096 * 4096 + 2 * 4096


def test_a_shape_that_nobody_knows_is_a_remark(monkeypatch, folder):
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    monkeypatch.setattr(llama, "SHAPES", {"owner/large": SMALL}, raising=False)
    found = estimate_sizes([job("owner/larg"), job(folder)], "text", ("a", "b"), 4)
    assert (found.estimates[0], found.estimates[1].parameters > 0) == (None, True)
    [told] = found.remarks
    assert "'owner/larg': its config.json is not available" in told
    assert "did you mean 'owner/large'?" in told


def test_what_cannot_be_is_refused_all_at_once(folder):
    jobs = [job(folder, family="bert"), job(folder, "lora", {"targets": ("mlp.gat",)})]
    with pytest.raises(InputError) as caught:
        estimate_sizes(jobs, "text", ("a", "b"), 4)
    first, second = caught.value.complaints
    assert "model.family is 'bert', but its family is 'llama'" in first
    assert "arm: targets: the model has no role 'mlp.gat'; did you mean 'mlp.gate'?" in second
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"its config\.json cannot be read"):
        estimate_sizes(jobs[1:], "text", ("a", "b"), 4)


def test_pictures_are_read_in_the_size_of_the_model(tmp_path):
    AutoConfig.for_model(
        "vit", image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32,
    ).save_pretrained(tmp_path)  # fmt: skip
    [size] = estimate_sizes([job(tmp_path, "none")], "image", ("a", "b"), 0).estimates
    patches = 16 * 3 * 8 * 8 * 16  # places x what a patch has x width
    assert size.forward == 2 * (patches + 17 * (4 * 16 * 16 + 2 * 16 * 32) + 16 * 2)


@pytest.mark.parametrize("model_type", ["llama", "bert", "vit"])
def test_what_the_backward_pass_needs_is_about_what_is_estimated(model_type, tmp_path):
    """Bytes that torch really keeps, weights left out, against the estimate of one row."""
    wide = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    wide |= {
        "llama": {"intermediate_size": 172},
        "bert": {"intermediate_size": 256},
        "vit": {"intermediate_size": 256},
    }[model_type]
    kind, task = ("image", "image") if model_type == "vit" else ("text", "text")
    config = AutoConfig.for_model(
        model_type, **wide, **({"image_size": 64, "patch_size": 8} if kind == "image" else {})
    )
    auto = AutoModelForImageClassification if kind == "image" else AutoModelForSequenceClassification
    model = auto.from_config(config, attn_implementation="sdpa")
    config.save_pretrained(tmp_path)
    [size] = estimate_sizes([job(tmp_path)], task, ("a", "b"), 64).estimates
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    row = (
        {"pixel_values": torch.zeros(1, 3, 64, 64)}
        if kind == "image"
        else {"input_ids": torch.ones((1, 64), dtype=torch.long)}
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(**row)
    measured = sum(nbytes for nbytes, _ in kept.values())
    assert measured / 2 < size.row_bytes < measured * 2


def test_an_order_that_is_drawn_can_be_counted(folder):
    options = {"rank": 1, "layer_fraction": 0.5, "layer_order": "random"}
    drawn, front = estimate_sizes(
        [job(folder, "lora", options), job(folder, "lora", {**options, "layer_order": "front"})],
        "text",
        ("a", "b"),
        4,
    ).estimates
    assert drawn.trainable == front.trainable
