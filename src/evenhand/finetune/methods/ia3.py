"""IA3: vectors that multiply the outputs of layers, or their inputs, element by element."""

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
    title="IA3",
    trained="a factor for each output (or input) of the target roles, and the classification head",
    paper="Liu et al. 2022, https://arxiv.org/abs/2205.05638",
    learning_rate=5.0e-3,
    epochs=3,
    size="layer_fraction",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv1D", "Conv2d"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        targets: roles of the adapted layers; in the paper keys, values, and the hidden activations of the
            feed-forward layers.
        feedforward: roles of `targets` whose inputs are multiplied, instead of their outputs.
    """

    targets: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "attention.key", "attention.value", "mlp.down",
    )  # fmt: skip
    feedforward: tuple[str, ...] = ("mlp.down",)


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    names = _peft.target_modules(roles, config)
    inward = {name for role in config.feedforward if role in config.targets for name in roles.of([role])}
    return _peft.add_to_modules(
        model, roles, names, "IA3", feedforward_modules=[name for name in names if name in inward]
    )


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[float]:
    """Return the shares of the layers to choose among."""
    return _peft.layer_fractions(roles, config)
