"""No adaptation: the base model unchanged; a head that its checkpoint lacks stays untrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="no adaptation", trained="nothing", paper="", learning_rate=1.0e-3, epochs=1,
)  # fmt: skip


class Config(Frozen):
    """No options."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PreTrainedModel:
    """Freeze everything."""
    return model.requires_grad_(False)
