"""BOFT: orthogonal OFT in small blocks, with a trained scale for each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="BOFT",
    trained="a block-diagonal rotation and output scales for each target layer, and the classification head",
    paper="Liu et al. 2024, https://arxiv.org/abs/2311.06243",
    learning_rate=3.0e-3,
    epochs=3,
    size="block_size",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv2d"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        block_size: width of the rotated blocks; it must divide the width of every adapted layer's input.
        dropout: share of the blocks that do not rotate in a training pass.
    """

    block_size: Annotated[int, Field(ge=2)] = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    # PEFT computes products of several butterfly factors only with a CUDA extension, which it compiles when
    # it is first used, and takes one factor on every other machine; one factor is the same on all of them.
    return _peft.add_adapter(
        model, roles, config, "BOFT", boft_block_size=config.block_size, boft_n_butterfly_factor=1,
        boft_dropout=config.dropout,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the block sizes to choose among: those that divide the widths of all inputs."""
    widths = [shape[0] for shape in _peft.shapes(model, roles, config).values()]
    return sorted(n for n in _peft.divisors(widths, max(widths)) if n > 1)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    widths = [shape[0] for shape in _peft.shapes(model, roles, config).values()]
    return _peft.division_complaint("block_size", config.block_size, widths, "inputs")
