"""GraLoRA: LoRA in a grid of blocks of the weights, each with matrices of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="GraLoRA",
    trained="low-rank additions to blocks of the target roles, and the classification head",
    paper="Jung et al. 2025, https://arxiv.org/abs/2505.20355",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear", "Conv1D"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of the blocks' matrices, a multiple of `blocks`; it has as many parameters as LoRA of this
            rank.
        alpha: scale of the adapter: its output is multiplied by alpha / (rank + hybrid_rank).
        blocks: number of blocks along the input, and along the output; it must divide the widths of both.
        hybrid_rank: rank of an ordinary LoRA beside the blocks; 0 for none.
        dropout: dropout on the adapter's input, in training.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    blocks: Annotated[int, Field(ge=1)] = 2
    hybrid_rank: Annotated[int, Field(ge=0)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _blocks_divide_rank(self) -> Config:
        if self.rank % self.blocks:
            raise ValueError(f"rank: got {self.rank}, which must be a multiple of blocks ({self.blocks})")
        return self


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "Gralora", r=config.rank, alpha=config.alpha, gralora_k=config.blocks,
        hybrid_r=config.hybrid_rank, gralora_dropout=config.dropout,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: multiples of `blocks` up to the narrowest width."""
    return range(config.blocks, _peft.narrowest(model, roles, config) + 1, config.blocks)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    widths = [width for shape in _peft.shapes(model, roles, config).values() for width in shape]
    return _peft.division_complaint("blocks", config.blocks, widths, "inputs and outputs")
