"""What LoRA and its kin share: options, the layers they go to, PEFT's adapter."""

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
        rank: of the added matrices; above a layer's width it adds numbers and no freedom, which is told.
        alpha: the addition is scaled by alpha / rank.
        alpha_per_rank: alpha is this times the rank; it goes before `alpha`.
        dropout: of the addition's input, in training.
        targets: roles of the layers that get an addition.
        layer_fraction: share of the model's layers that get one; at least one layer.
        layer_order: which layers: the first ones, the last ones, or drawn from the run's seed.
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
                f"layer_fraction: chooses among layers, but '{outside[0]}' is in none of them; take it out "
                "of targets, or leave layer_fraction at 1"
            )
        return self

    @property
    def scale(self) -> float:
        """Alpha, whichever way it was given."""
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
        model: its own; a `random` choice of layers is drawn from torch's stream, which the seed has set.
        roles: where its layers are.
        config: the options.
        start: PEFT's `init_lora_weights`.
        rank_stabilised: scale by the root of the rank.
        decomposed: train the magnitudes of the weights' columns as well.
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
        # PEFT asks transformers for what it calls by another name since.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, settings)  # type: ignore[return-value]


def target_modules(roles: Roles, config: LowRank) -> list[str]:
    """Names of the modules of the target roles, in the chosen share of the layers.

    A model's layers are counted in its own order: a block of a stage is one layer in models that have stages.
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
    """The numbers in a module's name: its layer, or its stage and block; empty outside of layers."""
    return tuple(int(part) for part in re.findall(r"(?<=\.)\d+(?=\.)", name))


def complaints(model: PreTrainedModel, roles: Roles, config: LowRank) -> list[str]:
    """Say why the adapter that would be trained could not be kept.

    Args:
        model: with its weights, or on the meta device.
        roles: where its layers are.
        config: the options.
    """
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
        f"one of them cannot be merged without changing the other; take '{role}' out of targets"
        for role, other in tied.items()
    ]


def role_of(roles: Roles, name: str, config: LowRank) -> str:
    """The role by which a module became a target."""
    return next(role for role in config.targets if name in roles.layers[role])


def group_by_role(roles: Roles, names: Iterable[str], config: LowRank) -> dict[str, list[str]]:
    """Modules by the role by which each became a target."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(role_of(roles, name, config), []).append(name)
    return modules


def remarks(roles: Roles, config: LowRank, title: str) -> list[str]:
    """Say what is odd about the options for this model."""
    low = [name for name in roles.of(config.targets) if roles.widths[name] < config.rank]
    if not low:
        return []
    width = min(roles.widths[name] for name in low)
    return [
        f"{title}: rank {config.rank} is above the width {width} of {len(low)} layers: there it can do what "
        "any matrix can, and no more."
    ]
