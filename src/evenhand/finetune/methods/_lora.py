"""Shared code of low-rank methods: their options, the choice of layers, and PEFT's adapter."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from evenhand.finetune.models import ROLES_OUTSIDE_LAYERS
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles


class LowRank(Frozen):
    """Options of every low-rank adapter.

    Attributes:
        rank: rank of the added matrices; a rank above a layer's width adds parameters but no capacity, which
            is reported.
        alpha: scale of the adapter: its output is multiplied by alpha / rank.
        alpha_per_rank: sets alpha to this value times the rank; overrides `alpha`.
        dropout: dropout on the adapter's input, in training.
        targets: roles of the adapted layers.
        layer_fraction: share of the model's layers that are adapted; at least one layer.
        layer_order: the adapted layers: the first ones, the last ones, or drawn from the run's seed.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    alpha_per_rank: Annotated[float, Field(gt=0)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("attention.query", "attention.value")
    layer_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    layer_order: Literal["front", "back", "random"] = "front"

    @field_validator("rank", mode="before")
    @classmethod
    def _not_nothing(cls, value: object) -> object:
        if value == 0 and not isinstance(value, bool):
            raise ValueError("got 0, which adapts nothing; rank 0 is the method head_only")
        return value

    @model_validator(mode="after")
    def _layers_to_choose_from(self) -> LowRank:
        outside = [role for role in self.targets if role in ROLES_OUTSIDE_LAYERS]
        if self.layer_fraction < 1 and outside:
            raise ValueError(
                f"layer_fraction: selects among layers, but '{outside[0]}' is outside of them; remove it "
                "from targets, or leave layer_fraction at 1"
            )
        return self

    @property
    def scale(self) -> float:
        """Alpha, from `alpha` or `alpha_per_rank`."""
        return self.alpha if self.alpha_per_rank is None else self.alpha_per_rank * self.rank


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
        model: modified in place; a `random` choice of layers uses torch's generator, seeded by the caller.
        roles: the layers of the model.
        config: the options.
        start: PEFT's `init_lora_weights`.
        rank_stabilised: scale by alpha / sqrt(rank) (rsLoRA).
        decomposed: also train the magnitudes of the weights' columns (DoRA).
    """
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415  (seconds)

    names = target_modules(roles, config)
    transposed = any(type(model.get_submodule(name)).__name__ == "Conv1D" for name in names)
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.scale,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=names,
        modules_to_save=list(roles.head) or None,
        init_lora_weights=start,  # type: ignore[arg-type]
        use_rslora=rank_stabilised,
        use_dora=decomposed,
        fan_in_fan_out=transposed,
    )
    with warnings.catch_warnings():
        # PEFT uses a name that newer versions of transformers deprecate.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, settings)  # type: ignore[return-value]


def target_modules(roles: Roles, config: LowRank) -> list[str]:
    """Return the names of the modules with the target roles, in the selected share of the layers.

    Layers are counted in the order of the model; in models with stages, each block of a stage is one layer.
    """
    names = roles.of(config.targets)
    layers = sorted({layer_of(name) for name in names if layer_of(name)})
    if config.layer_fraction == 1 or not layers:
        return names
    n = max(1, math.floor(config.layer_fraction * len(layers) + 0.5))
    if config.layer_order == "random":
        import torch  # noqa: PLC0415

        selected = {layers[i] for i in torch.randperm(len(layers))[:n].tolist()}
    else:
        selected = set(layers[:n] if config.layer_order == "front" else layers[-n:])
    return [name for name in names if layer_of(name) in selected]


def layer_of(name: str) -> tuple[int, ...]:
    """Return the numbers in a module's name: its layer, or its stage and block; empty outside of layers."""
    return tuple(int(part) for part in re.findall(r"(?<=\.)\d+(?=\.)", name))


def complaints(model: PreTrainedModel, roles: Roles, config: LowRank) -> list[str]:
    """Return the reasons why a trained adapter could not be merged; empty if none.

    Args:
        model: with its weights, or on the meta device.
        roles: the layers of the model.
        config: the options.
    """
    # Tied layers share one parameter: an adapter on one of them would change the other when it is merged.
    modules: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        modules.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    tied: dict[str, str] = {}
    for name in roles.of(config.targets):
        others = [o for o in modules[id(model.get_submodule(name).weight)] if o != name]
        if others:
            tied[role_of(roles, name, config)] = others[0]
    return [
        f"targets: '{role}' shares its weights with '{other}', the output layer of this model: an adapter on "
        f"one of them cannot be merged without changing the other; remove '{role}' from targets"
        for role, other in tied.items()
    ]


def role_of(roles: Roles, name: str, config: LowRank) -> str:
    """Return the target role of a module."""
    return next(role for role in config.targets if name in roles.layers[role])


def group_by_role(roles: Roles, names: Iterable[str], config: LowRank) -> dict[str, list[str]]:
    """Group modules by their target role."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(role_of(roles, name, config), []).append(name)
    return modules


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
