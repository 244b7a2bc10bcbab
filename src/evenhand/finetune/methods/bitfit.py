"""BitFit: the biases of the model are trained, and no other weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo, _peft
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="BitFit",
    trained="all biases, and the classification head",
    paper="Ben Zaken et al. 2022, https://arxiv.org/abs/2106.10199",
    learning_rate=3.0e-3,
    epochs=3,
    merges=True,
)


class Config(Frozen):
    """No options."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Train the biases as those of an adapter without adapted layers, so that PEFT saves and loads them."""
    from peft.utils.constants import DUMMY_TARGET_MODULES  # noqa: PLC0415

    return _peft.add_to_modules(model, roles, DUMMY_TARGET_MODULES, "Lora", bias="all")


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the method does not fit this model; empty if none."""
    head = tuple(f"{part}." for part in roles.head)
    if any(name.endswith(".bias") and not name.startswith(head) for name, _ in model.named_parameters()):
        return []
    return ["the model has no biases to train; use ln_tuning, which trains its norms, or lora"]
