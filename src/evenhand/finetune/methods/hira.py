"""HiRA: the weights are multiplied, element by element, by a low-rank matrix: an update of high rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="HiRA",
    trained="low-rank factors of the target roles, and the classification head",
    paper="Huang et al. 2025, https://openreview.net/forum?id=TwJrTz9cRS",
    learning_rate=4.5e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear", "Conv1D", "Conv2d", "Embedding"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of the added matrices.
        dropout: dropout on the adapter's input, in training.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(model, roles, config, "Hira", r=config.rank, hira_dropout=config.dropout)
