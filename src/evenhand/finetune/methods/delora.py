"""DeLoRA: LoRA with normalised directions, whose strength is bounded and trained separately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="DeLoRA",
    trained="low-rank directions and their strength for each target layer, and the classification head",
    paper="Bini et al. 2025, https://arxiv.org/abs/2503.18225",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear",),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of the added matrices.
        strength: value at which the trained bound (lambda) of the update's norm starts.
        dropout: dropout on the adapter's input, in training.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    strength: Annotated[float, Field(gt=0)] = 15.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "Delora", r=config.rank, delora_lambda=config.strength,
        module_dropout=config.dropout,
    )  # fmt: skip
