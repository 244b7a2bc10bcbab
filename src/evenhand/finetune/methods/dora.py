"""DoRA: LoRA on the direction of every weight column, and a magnitude of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.finetune.methods import MethodInfo, _lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="DoRA",
    trained="low-rank directions and magnitudes of the target roles, and the classification head",
    paper="Liu et al. 2024, https://arxiv.org/abs/2402.09353",
    learning_rate=1.0e-3,
    epochs=3,
)


class Config(_lora.LowRank):
    """Options: those of every low-rank adapter."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _lora.add(model, roles, config, decomposed=True)


def remarks(roles: Roles, config: Config) -> list[str]:
    """Say what is odd about the options for this model."""
    return _lora.told(roles, config, "dora")
