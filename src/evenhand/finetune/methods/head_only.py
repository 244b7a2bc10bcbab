"""Head only: a classifier on the features of the frozen base (a linear probe)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="head only",
    trained="the classification head",
    paper="Kumar et al. 2022, https://arxiv.org/abs/2202.10054",
    learning_rate=1.0e-2,
    epochs=10,
    head_only=True,
    merges=True,
)


class Config(Frozen):
    """No options."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PreTrainedModel:
    """Train the head's modules and nothing else."""
    model.requires_grad_(False)
    for name in roles.head:
        model.get_submodule(name).requires_grad_(True)
    return model
