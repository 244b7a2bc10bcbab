"""LN tuning: the normalisation layers of the model are trained, and no other weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo, _peft
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="LN tuning",
    trained="the weights and biases of all normalisation layers, and the classification head",
    paper="Zhao et al. 2024, https://arxiv.org/abs/2312.11420",
    learning_rate=3.0e-3,
    epochs=3,
    merges=True,
    weight_decay=False,
)
#: Ends of the names of classes that normalise, of transformers models that have their own.
_NORMS = ("LayerNorm", "RMSNorm", "GroupNorm")


class Config(Frozen):
    """No options."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Train copies of the normalisation layers with PEFT; the head is trained and saved with them."""
    return _peft.add_to_modules(model, roles, _norms(model, roles), "LNTuning")


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the method does not fit this model; empty if none."""
    return [] if _norms(model, roles) else ["the model has no normalisation layers to train; use lora"]


def _norms(model: PreTrainedModel, roles: Roles) -> list[str]:
    """Return the names of the normalisation layers outside of the head that have weights."""
    import torch  # noqa: PLC0415

    head, kinds = tuple(f"{part}." for part in roles.head), (torch.nn.LayerNorm, torch.nn.GroupNorm)
    return [
        name
        for name, module in model.named_modules()
        if (isinstance(module, kinds) or type(module).__name__.endswith(_NORMS))
        and getattr(module, "weight", None) is not None
        and not f"{name}.".startswith(head)
    ]
