"""Options of low-rank adapters: which layers, which scale, which start."""

import json
import math

import numpy as np
import pytest
import torch

from evenhand.finetune import Model, run
from evenhand.finetune.methods import _peft, lora
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.models._roles import Roles, roles_of_name
from tests.finetune import worlds

FLAT = [f"model.layers.{i}.self_attn.{part}_proj" for i in range(5) for part in "qv"]
STAGED = [
    f"encoder.layers.{i}.blocks.{j}.attention.self.query" for i, n in ((0, 2), (1, 3)) for j in range(n)
]


def layers_of(names, fraction, order, **options):
    targets = tuple(dict.fromkeys(role for name in names for role in roles_of_name(name)))
    layers = {role: tuple(name for name in names if role in roles_of_name(name)) for role in targets}
    roles = Roles(layers, dict.fromkeys(names, 4), ("head",))
    config = lora.Config(layer_fraction=fraction, layer_order=order, targets=targets, **options)
    return _peft.target_modules(roles, config)


@pytest.mark.parametrize(
    ("fraction", "order", "expected"),
    [
        (1.0, "front", {0, 1, 2, 3, 4}),
        (0.2, "front", {0}),
        (0.4, "front", {0, 1}),
        (0.4, "back", {3, 4}),
        (0.01, "back", {4}),  # never none
        (0.5, "front", {0, 1, 2}),  # 2.5 is rounded up
    ],
)
def test_layers_by_hand(fraction, order, expected):
    found = layers_of(FLAT, fraction, order)
    assert {int(name.split(".")[2]) for name in found} == expected
    assert len(found) == 2 * len(expected)


def test_blocks_of_stages_are_layers():
    assert layers_of(STAGED, 0.4, "front") == STAGED[:2]
    assert layers_of(STAGED, 0.6, "back") == STAGED[2:]


def test_random_layers_come_from_the_seed():
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        first = layers_of(FLAT, 0.4, "random")
        torch.manual_seed(seed)
        assert layers_of(FLAT, 0.4, "random") == first
        assert len(first) == 4
        seen.add(tuple(first))
    assert len(seen) > 3


def test_alpha_per_rank():
    assert lora.Config(rank=32, alpha_per_rank=2).scale == 64
    assert lora.Config(rank=32).scale == 16


@pytest.mark.parametrize(
    ("kind", "start", "stabilised"),
    [
        *((kind, "pissa", stabilised) for kind in ("bert", "gpt2", "vit") for stabilised in (False, True)),
        ("bert", "olora", True),
        ("llama", "olora", False),
    ],
)
def test_adapter_split_off_the_base_fits_the_original_one(kind, start, stabilised, folders, data, tmp_path):
    options = {**worlds.LOW_RANK, "initialisation": start, "rank_stabilised": stabilised}
    job = worlds.job_of(folders[kind], "lora", options=options)
    facts = run.train(job, data(kind), tmp_path)
    assert facts["checks"]["reload"] < 1e-4  # onto the base as it was pretrained
    assert facts["checks"]["base_frozen"] > 0
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["init_lora_weights"] is True
    assert saved["r"] == 4  # what was cut out of the base is given back beside what was learnt
    assert not list(tmp_path.glob("start*"))


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_split_starts_at_the_base(start, folders):
    """Before a step, base and adapter together are the base; the adapter is not nothing."""
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    config = lora.Config(rank=2, initialisation=start)
    model = lora.apply(base.copy(1), base.roles, config)
    name = base.roles.layers["attention.query"][0]
    layer = model.base_model.model.get_submodule(name)
    plain = base.model.get_submodule(name).weight
    added = layer.get_delta_weight("default")
    assert added.norm() > 0.1 * plain.norm()
    np.testing.assert_allclose((layer.base_layer.weight + added).detach(), plain.detach(), atol=1e-5)


def test_olora_starts_from_orthogonal_columns(folders):
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    model = lora.apply(base.copy(1), base.roles, lora.Config(rank=3, initialisation="olora"))
    name = base.roles.layers["attention.query"][0]
    columns = model.base_model.model.get_submodule(name).lora_B["default"].weight.detach().numpy()
    first = np.linalg.qr(base.model.get_submodule(name).weight.detach().numpy())[0][:, :3]
    np.testing.assert_allclose(columns, first, atol=1e-5)


def test_orthogonal_start(folders, data, tmp_path):
    """Neither matrix is 0, and their product is."""
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    model = lora.apply(base.copy(1), base.roles, lora.Config(rank=4, initialisation="orthogonal"))
    layer = model.base_model.model.get_submodule(base.roles.layers["attention.query"][0])
    a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
    assert a.abs().min() > 0
    assert b.abs().min() > 0
    np.testing.assert_allclose(b @ a, np.zeros((worlds.WIDTH, worlds.WIDTH)), atol=1e-6)
    options = {**worlds.LOW_RANK, "initialisation": "orthogonal"}
    facts = run.train(worlds.job_of(folders["gpt2"], "lora", options=options), data("gpt2"), tmp_path)
    assert facts["checks"]["reload"] < 1e-5
    with pytest.raises(ValueError, match="rank: got 3, which must be even"):
        lora.Config(rank=3, initialisation="orthogonal")


def test_rank_stabilised_scale(folders):
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    name = base.roles.layers["attention.query"][0]
    scales = {}
    for stabilised in (False, True):
        config = lora.Config(rank=4, alpha=8, rank_stabilised=stabilised)
        model = lora.apply(base.copy(1), base.roles, config)
        scales[stabilised] = model.base_model.model.get_submodule(name).scaling["default"]
    assert scales == {False: 8 / 4, True: 8 / math.sqrt(4)}


def test_layer_fraction_in_a_run(folders, data, tmp_path):
    options = {**worlds.LOW_RANK, "layer_fraction": 0.5, "layer_order": "back"}
    facts = run.train(worlds.job_of(folders["llama"], "lora", options=options), data("llama"), tmp_path)
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["target_modules"] == ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]
    width, value = worlds.WIDTH, worlds.WIDTH // 2  # one key-value head of two
    assert facts["trainable_parameters"] == 2 * (width + width) + 2 * (width + value) + 2 * width
