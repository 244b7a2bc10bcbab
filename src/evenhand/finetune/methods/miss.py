"""MiSS: one trained block of rows that is repeated over the input (Bone is its variant `bat`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="MiSS",
    trained="a block of shards for each layer of the target roles, and the classification head",
    paper="Kang and Yin 2025, https://arxiv.org/abs/2409.15371",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear",),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: height of the block; at rank 16, as many parameters as LoRA has at rank 8 in a square layer.
        dropout: dropout on the adapter's input, in training.
        variant: `miss`; `bat` multiplies the blocks with those of the weights (rank must divide all widths);
            `mini` also repeats the block over the output.
        mini_rank: width of the block of `mini`; it must divide the widths of all outputs.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    variant: Literal["miss", "bat", "mini"] = "miss"
    mini_rank: Annotated[int, Field(ge=1)] = 1


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    start = True if config.variant == "miss" else config.variant
    return _peft.add_adapter(
        model, roles, config, "Miss", r=config.rank, mini_r=config.mini_rank, miss_dropout=config.dropout,
        init_weights=start,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: up to the narrowest input; for `bat` those that divide all widths."""
    sizes = _peft.shapes(model, roles, config).values()
    inputs = [shape[0] for shape in sizes]
    if config.variant == "bat":
        return sorted(_peft.divisors([width for shape in sizes for width in shape], min(inputs)))
    return range(1, min(inputs) + 1)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    sizes = _peft.shapes(model, roles, config).values()
    inputs, outputs = [shape[0] for shape in sizes], [shape[1] for shape in sizes]
    if config.rank > min(inputs):
        return [
            f"rank: got {config.rank}, but the narrowest of the target layers has an input of the width "
            f"{min(inputs)}; give at most that"
        ]
    if config.variant == "bat":
        return _peft.division_complaint("rank", config.rank, [*inputs, *outputs], "inputs and outputs")
    if config.variant == "mini":
        return _peft.division_complaint("mini_rank", config.mini_rank, outputs, "outputs")
    return []
