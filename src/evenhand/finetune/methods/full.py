"""Full fine-tuning: every weight is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="full fine-tuning",
    trained="every weight",
    paper="Howard and Ruder 2018, https://arxiv.org/abs/1801.06146",
    learning_rate=1.0e-4,
    epochs=3,
    trains_all=True,
)


class Config(Frozen):
    """No options."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PreTrainedModel:
    """Train every weight."""
    return model.requires_grad_(True)
