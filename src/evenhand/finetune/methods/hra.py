"""HRA: Householder reflections of the inputs of layers, a rotation of adjustable rank."""

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
    title="HRA",
    trained="the directions of reflections for each layer of the target roles, and the classification head",
    paper="Yuan et al. 2024, https://arxiv.org/abs/2405.17484",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear", "Conv2d"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: number of reflections; even, because they start in equal pairs, which cancel.
        gram_schmidt: make the directions of the reflections orthogonal to each other.
    """

    rank: Annotated[int, Field(ge=2, multiple_of=2)] = 8
    gram_schmidt: bool = False


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(model, roles, config, "HRA", r=config.rank, apply_GS=config.gram_schmidt)


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: even ones up to the narrowest input."""
    return range(2, min(shape[0] for shape in _peft.shapes(model, roles, config).values()) + 1, 2)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    widths = [shape[0] for shape in _peft.shapes(model, roles, config).values()]
    if not config.gram_schmidt or config.rank <= min(widths):
        return []
    return [
        f"rank: got {config.rank}, but at most {min(widths)} directions are orthogonal in the narrowest of "
        "the target layers"
    ]
