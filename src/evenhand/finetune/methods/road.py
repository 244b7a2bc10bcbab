"""RoAd: rotations of pairs of a layer's outputs, and a factor for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

_MAX_NATURAL_SIZE = 64

INFO = MethodInfo(
    title="RoAd",
    trained="angles and factors of pairs of outputs of the target roles, and the classification head",
    paper="Liao and Monz 2024, https://arxiv.org/abs/2409.00119",
    learning_rate=3.0e-3,
    epochs=3,
    size="layer_fraction",
    merges=True,
    layers=("Linear",),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        variant: `road_1` has an angle and a factor for each pair of outputs, `road_2` for each output,
            `road_4` two for each output.
        group_size: even number of outputs within which pairs are formed (element i with i + group_size / 2);
            it must divide the widths of all outputs. With None, their largest common divisor up to 64, which
            a remark states.
    """

    variant: Literal["road_1", "road_2", "road_4"] = "road_1"
    group_size: Annotated[int, Field(ge=2, multiple_of=2)] | None = None


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    size = config.group_size or _natural_size(_widths(model, roles, config))
    return _peft.add_adapter(model, roles, config, "Road", variant=config.variant, group_size=size)


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[float]:
    """Return the shares of the layers to choose among."""
    return _peft.layer_fractions(roles, config)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    widths = _widths(model, roles, config)
    if config.group_size is not None:
        return _peft.division_complaint("group_size", config.group_size, widths, "outputs")
    odd = sorted({width for width in widths if width % 2})
    return [f"targets: outputs of the width {odd[0]} cannot be paired; choose other roles"] if odd else []


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options, and on choices made for this model."""
    if config.group_size is not None:
        return []
    return [
        f"road: group_size {_natural_size(_widths(model, roles, config))} is the largest up to "
        f"{_MAX_NATURAL_SIZE} that divides the outputs of all target layers."
    ]


def _natural_size(widths: list[int]) -> int:
    """Return the largest even common divisor of widths, up to a limit."""
    return next(n for n in _peft.divisors(widths, _MAX_NATURAL_SIZE) if n % 2 == 0)


def _widths(model: PreTrainedModel, roles: Roles, config: Config) -> list[int]:
    """Return the widths of the outputs of the target layers."""
    return [shape[1] for shape in _peft.shapes(model, roles, config).values()]
