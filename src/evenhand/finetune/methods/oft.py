"""OFT: rotations of the inputs of layers, in blocks, which keep the angles between neurons."""

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
    title="OFT",
    trained="a block-diagonal rotation for each layer of the target roles, and the classification head",
    paper="Qiu et al. 2023, https://arxiv.org/abs/2306.07280",
    learning_rate=1.0e-3,
    epochs=3,
    size="block_size",
    merges=True,
    layers=("Linear", "Embedding"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        block_size: width of the rotated blocks; where it does not divide the width of a layer's input, the
            nearest divisor is taken, and a remark says so.
        dropout: share of the blocks that do not rotate in a training pass.
        cayley_neumann: approximate the rotations by a series: faster, and orthogonal only close to the start.
        terms: number of terms of the series.
        constrained: keep every rotation within `strength` of the identity (COFT).
        strength: bound of the constrained rotations.
        shared: use one rotation for all blocks of a layer.
    """

    block_size: Annotated[int, Field(ge=2)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    cayley_neumann: bool = True
    terms: Annotated[int, Field(ge=1, le=20)] = 5
    constrained: bool = False
    strength: Annotated[float, Field(gt=0)] = 6.0e-5
    shared: bool = False


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "OFT", oft_block_size=config.block_size, module_dropout=config.dropout,
        use_cayley_neumann=config.cayley_neumann, num_cayley_neumann_terms=config.terms,
        coft=config.constrained, eps=config.strength, block_share=config.shared,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the block sizes to choose among: those that divide the widths of all inputs."""
    widths = [shape[0] for shape in _peft.shapes(model, roles, config).values()]
    return sorted(n for n in _peft.divisors(widths, max(widths)) if n > 1)


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options, and on choices made for this model."""
    widths = {shape[0] for shape in _peft.shapes(model, roles, config).values()}
    return [
        f"oft: block_size {config.block_size} does not divide the width {width} of some layers, whose blocks "
        f"have the size {_nearest_divisor(width, config.block_size)}."
        for width in sorted(widths)
        if width % config.block_size
    ]


def _nearest_divisor(width: int, size: int) -> int:
    """Return the divisor of a width that PEFT takes for a block size: the nearest, of two the smaller."""
    return min(_peft.divisors([width], width), key=lambda n: (abs(n - size), n))
