"""C3A: circular convolutions in blocks beside the frozen weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

_MAX_NATURAL_SIZE = 256

INFO = MethodInfo(
    title="C3A",
    trained="kernels of circular convolutions for each target layer, and the classification head",
    paper="Chen et al. 2025, https://arxiv.org/abs/2407.19342",
    learning_rate=3.0e-1,
    epochs=3,
    size="block_size",
    merges=True,
    weight_decay=False,
    head_rate=0.01,
    layers=("Linear",),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        block_size: length of a kernel, which must divide the widths of the inputs and outputs of all adapted
            layers. With None, their largest common divisor up to 256, which a remark states.
        initialisation: `zero` starts at the base; the others at random kernels.
    """

    block_size: Annotated[int, Field(ge=1)] | None = None
    initialisation: Literal["zero", "xavier_uniform", "kaiming_uniform", "gaussian"] = "zero"


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    size = config.block_size or _natural_size(model, roles, config)
    start = True if config.initialisation == "zero" else config.initialisation
    return _peft.add_adapter(model, roles, config, "C3A", block_size=size, init_weights=start)


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the block sizes to choose among: those that divide the widths of all inputs and outputs."""
    widths = _widths(model, roles, config)
    return sorted(_peft.divisors(widths, max(widths)))


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    if config.block_size is None:
        return []
    return _peft.division_complaint(
        "block_size", config.block_size, _widths(model, roles, config), "inputs and outputs"
    )


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options, and on choices made for this model."""
    if config.block_size is not None:
        return []
    return [
        f"c3a: block_size {_natural_size(model, roles, config)} is the largest up to {_MAX_NATURAL_SIZE} "
        "that divides the widths of all target layers."
    ]


def _natural_size(model: PreTrainedModel, roles: Roles, config: Config) -> int:
    """Return the largest common divisor of the widths of the target layers, up to a limit."""
    return _peft.divisors(_widths(model, roles, config), _MAX_NATURAL_SIZE)[0]


def _widths(model: PreTrainedModel, roles: Roles, config: Config) -> list[int]:
    """Return the widths of the inputs and outputs of the target layers."""
    return [width for shape in _peft.shapes(model, roles, config).values() for width in shape]
