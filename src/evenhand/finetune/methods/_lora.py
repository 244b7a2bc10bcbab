"""Shared code of LoRA and DoRA: their options and PEFT's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from evenhand.finetune.methods import _peft
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles


class Scaled(Frozen):
    """Options of a product of two thin matrices.

    Attributes:
        rank: rank of the added matrices; a rank above a layer's width adds parameters but no capacity, which
            is reported.
        alpha: scale of the adapter: its output is multiplied by alpha / rank.
        alpha_per_rank: sets alpha to this value times the rank; overrides `alpha`.
        dropout: dropout on the adapter's input, in training.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    alpha_per_rank: Annotated[float, Field(gt=0)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("rank", mode="before")
    @classmethod
    def _not_nothing(cls, value: object) -> object:
        if value == 0 and not isinstance(value, bool):
            raise ValueError("got 0, which adapts nothing; rank 0 is the method head_only")
        return value

    @property
    def scale(self) -> float:
        """Alpha, from `alpha` or `alpha_per_rank`."""
        return self.alpha if self.alpha_per_rank is None else self.alpha_per_rank * self.rank


class LowRank(_peft.Targets, Scaled):
    """Options of every low-rank adapter: those of a product of matrices, and the adapted layers."""


def add_adapters(
    model: PreTrainedModel,
    roles: Roles,
    config: LowRank,
    *,
    start: bool | str = True,
    rank_stabilised: bool = False,
    decomposed: bool = False,
) -> PeftModel:
    """Add the adapters with PEFT; a classification head is trained and saved with them.

    Args:
        model: modified in place.
        roles: the layers of the model.
        config: the options.
        start: PEFT's `init_lora_weights`.
        rank_stabilised: scale by alpha / sqrt(rank) (rsLoRA).
        decomposed: also train the magnitudes of the weights' columns (DoRA).
    """
    return _peft.add_adapter(
        model, roles, config, "Lora", r=config.rank, lora_alpha=config.scale, lora_dropout=config.dropout,
        init_lora_weights=start, use_rslora=rank_stabilised, use_dora=decomposed,
    )  # fmt: skip


def rank_complaints(
    roles: Roles, config: LowRank, names: Sequence[str], start: str, vectors: str
) -> list[str]:
    """Return the reasons why layers have fewer vectors than the rank, for a start that takes them.

    Args:
        roles: the layers of the model.
        config: the options.
        names: of the layers.
        start: name of the initialisation.
        vectors: what it starts from, for the sentence: `singular vectors`.
    """
    wrong = []
    low = [name for name in names if roles.widths[name] < config.rank]
    for role, group in _peft.group_by_role(roles, low, config).items():
        width = min(roles.widths[name] for name in group)
        wrong.append(
            f"rank: got {config.rank}, but {start} starts from {vectors}, of which '{role}' has "
            f"only {width} (in {len(group)} layers); give at most {width}, or leave initialisation at kaiming"
        )
    return wrong


def remarks(roles: Roles, config: LowRank, title: str) -> list[str]:
    """Return notes on unusual options for this model."""
    low = [name for name in roles.of(config.targets) if roles.widths[name] < config.rank]
    if not low:
        return []
    width = min(roles.widths[name] for name in low)
    return [
        f"{title}: rank {config.rank} is above the width {width} of {len(low)} layers, where a higher rank "
        "adds parameters but no capacity."
    ]
