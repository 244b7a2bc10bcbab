"""Stand-ins: tiny models of every family, which the real code loads."""

from __future__ import annotations

import pytest

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.estimate.standin import declared_family, stand_in, width
from evenhand.finetune.modeling.pretrained import load_base

FAMILIES = {
    name: module.INFO.task
    for name in registry.names("evenhand.finetune.models")
    if hasattr(module := registry.load("evenhand.finetune.models", name), "TINY")
}


def test_the_families_of_the_recipes_have_one():
    assert {"llama", "bert", "vit"} <= set(FAMILIES)


@pytest.mark.parametrize("kin", FAMILIES)
def test_a_stand_in_loads_with_all_roles_of_its_family(kin):
    folder = stand_in(kin, FAMILIES[kin])
    base = load_base(Model(str(folder)), FAMILIES[kin], ("a", "b", "c"), "float32")
    assert base.family.name == kin
    assert {"embedding", "attention.query", "attention.value", "mlp.up", "mlp.down"} <= set(base.roles.layers)
    named = [base.roles.widths[n] for role, names in base.roles.layers.items() for n in names if "." in role]
    assert min(named) >= min(width(kin), 16)
    # Only the head has no weights: every method can be tried.
    assert all(name.startswith(base.roles.head) for name in base.new_modules)
    assert sum(p.numel() for p in base.model.parameters()) < 500_000
    assert stand_in(kin, FAMILIES[kin]) == folder
    assert declared_family(Model(str(folder)), FAMILIES[kin]) == kin


def test_what_has_no_stand_in_is_told():
    with pytest.raises(InputError, match=r"'lama' has no stand-in; did you mean 'llama'"):
        stand_in("lama", "text")
    with pytest.raises(InputError, match="ViT, which transformers offers for image classification; the"):
        stand_in("vit", "text")


def test_a_family_that_nobody_says_is_asked_for(monkeypatch):
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    assert declared_family(Model("owner/x", {"family": "bert"}), "text") == "bert"
    with pytest.raises(InputError, match="name its family"):
        declared_family(Model("owner/x"), "text")
