"""LoRA: a product of two thin matrices beside the frozen weights, and the head."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field

from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="LoRA",
    trained="low-rank additions to the target roles, and the classification head",
    paper="Hu et al. 2022, https://arxiv.org/abs/2106.09685",
    learning_rate=1.0e-3,
    epochs=3,
)


class Config(Frozen):
    """Options.

    Attributes:
        rank: of the added matrices; above a layer's width it adds numbers and no freedom, which is told.
        alpha: the addition is scaled by alpha / rank.
        dropout: of the addition's input, in training.
        targets: roles of the layers that get an addition.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("attention.query", "attention.value")


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415  (seconds)

    settings = LoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.alpha),  # PEFT divides by it, whole or not
        lora_dropout=config.dropout,
        target_modules=roles.of(config.targets),
        modules_to_save=list(roles.head),
    )
    with warnings.catch_warnings():
        # PEFT asks transformers for what it calls by another name since.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, settings)


def remarks(roles: Roles, config: Config) -> list[str]:
    """Say what is odd about the options for this model."""
    low = [name for name in roles.of(config.targets) if roles.widths[name] < config.rank]
    if not low:
        return []
    width = min(roles.widths[name] for name in low)
    return [
        f"lora: rank {config.rank} is above the width {width} of {len(low)} layers: there it can do what any "
        "matrix can, and no more."
    ]
