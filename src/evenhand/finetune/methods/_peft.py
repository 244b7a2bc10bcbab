"""Adapters of PEFT: the choice of layers, the builder, and what no adapter of PEFT can do."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from evenhand.finetune.models import ROLES_OUTSIDE_LAYERS
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

_SEEDS = 2**31 - 1
_MAX_FITTING = 6


class Targets(Frozen):
    """Options of every adapter: the adapted layers.

    Attributes:
        targets: roles of the adapted layers.
        layer_fraction: share of the model's layers that are adapted; at least one layer.
        layer_order: the adapted layers: the first ones, the last ones, or drawn from the run's seed.
    """

    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("attention.query", "attention.value")
    layer_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    layer_order: Literal["front", "back", "random"] = "front"

    @model_validator(mode="after")
    def _layers_to_choose_from(self) -> Targets:
        outside = [role for role in self.targets if role in ROLES_OUTSIDE_LAYERS]
        if self.layer_fraction < 1 and outside:
            raise ValueError(
                f"layer_fraction: selects among layers, but '{outside[0]}' is outside of them; remove it "
                "from targets, or leave layer_fraction at 1"
            )
        return self


def add_adapter(
    model: PreTrainedModel, roles: Roles, config: Targets, kind: str, **options: Any
) -> PeftModel:
    """Add an adapter of PEFT to the target layers.

    Args:
        model: modified in place; a `random` choice of layers uses torch's generator, seeded by the caller.
        roles: the layers of the model.
        config: the targets.
        kind: name of PEFT's method: `Lora` for its `LoraConfig`.
        options: of that configuration.
    """
    return add_to_modules(model, roles, target_modules(roles, config), kind, **options)


def add_to_modules(
    model: PreTrainedModel,
    roles: Roles,
    names: Sequence[str] | str | None,
    kind: str,
    attributes: Mapping[str, Any] | None = None,
    **options: Any,
) -> PeftModel:
    """Add an adapter of PEFT to modules; a classification head is trained and saved with it.

    Args:
        model: modified in place.
        roles: the layers of the model.
        names: of the modules; None for a method without target modules.
        kind: name of PEFT's method: `Lora` for its `LoraConfig`.
        attributes: of that configuration, which are not among its fields.
        options: of that configuration.
    """
    import peft  # noqa: PLC0415  (seconds)

    settings = getattr(peft, f"{kind}Config")
    if names is not None:
        options["target_modules"] = names if isinstance(names, str) else list(names)
    if "fan_in_fan_out" in settings.__dataclass_fields__ and not isinstance(names, str):
        kinds = {kind_of(model.get_submodule(name)) for name in names or ()}
        options["fan_in_fan_out"] = "Conv1D" in kinds
    head = list(roles.head) or None
    with quiet():
        adapted = settings(modules_to_save=head, **options)
        for name, value in (attributes or {}).items():
            setattr(adapted, name, value)
        return peft.get_peft_model(model, adapted)  # type: ignore[return-value]


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of PEFT that concern no user while the block runs."""
    with warnings.catch_warnings():
        # PEFT uses a name that newer versions of transformers deprecate.
        warnings.simplefilter("ignore", FutureWarning)
        # Its LN tuning adapts layers that are no matrices.
        warnings.filterwarnings("ignore", "Unsupported layer type", UserWarning)
        # A remark says so.
        warnings.filterwarnings("ignore", "Invalid `oft_block_size`", UserWarning)
        # One butterfly factor of BOFT needs no extension.
        warnings.filterwarnings("ignore", "Failed to load the CUDA extension", UserWarning)
        warnings.filterwarnings("ignore", "Setting boft_n_butterfly_factor to 1", UserWarning)
        # The final ranks of AdaLoRA, which it reads itself.
        warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
        yield


def draw_seed() -> int:
    """Draw a seed for a method's own generators from torch's, so that it follows the seed of the run."""
    import torch  # noqa: PLC0415

    return int(torch.randint(_SEEDS, (1,), device="cpu"))


def target_modules(roles: Roles, config: Targets) -> list[str]:
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


def kind_of(module: Any) -> str:
    """Return the kind of a layer as in `LAYERS`; the name of its class if it is none of them."""
    import torch  # noqa: PLC0415

    for kind in (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Embedding):
        if isinstance(module, kind):
            return kind.__name__
    return type(module).__name__


def shape_of(module: Any) -> tuple[int, int]:
    """Return the widths of a layer's input and output; for a convolution, the input is a whole patch."""
    shape = module.weight.shape
    n_in, n_out = math.prod(shape[1:]), shape[0]
    return (n_out, n_in) if kind_of(module) in ("Conv1D", "Embedding") else (n_in, n_out)


def shapes(model: PreTrainedModel, roles: Roles, config: Targets) -> dict[str, tuple[int, int]]:
    """Return the widths of the input and the output of every layer with a target role, by name."""
    return {name: shape_of(model.get_submodule(name)) for name in roles.of(config.targets)}


def narrowest(model: PreTrainedModel, roles: Roles, config: Targets) -> int:
    """Return the smallest width of an input or output of the target layers."""
    return min(min(shape) for shape in shapes(model, roles, config).values())


def layer_fractions(roles: Roles, config: Targets) -> list[float]:
    """Return a value of `layer_fraction` for every number of layers, with three digits."""
    n_layers = len({layer_of(name) for name in roles.of(config.targets) if layer_of(name)})
    if any(role in ROLES_OUTSIDE_LAYERS for role in config.targets):
        return [1.0]
    return [round(n / n_layers, 3) for n in range(1, n_layers + 1)] or [1.0]


def divisors(widths: Iterable[int], most: int) -> list[int]:
    """Return the common divisors of widths up to a limit, the largest first."""
    common = math.gcd(*widths)
    return [n for n in range(min(most, common), 0, -1) if common % n == 0]


def division_complaint(option: str, value: int, widths: Iterable[int], what: str) -> list[str]:
    """Return the complaint that an option does not divide the widths of all layers; empty if it does.

    Args:
        option: its name.
        value: its value.
        widths: of the target layers.
        what: the divided widths, for the sentence: `inputs and outputs`.
    """
    distinct = sorted(set(widths))
    uneven = [width for width in distinct if width % value]
    if not uneven:
        return []
    fitting = ", ".join(str(n) for n in divisors(distinct, max(distinct))[:_MAX_FITTING])
    return [
        f"{option}: got {value}, which must divide the widths of the {what} of all target layers, but does "
        f"not divide {', '.join(map(str, uneven))}; values that do: {fitting}"
    ]


def count_complaint(option: str, value: int, sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return the complaint that a layer has fewer entries than an option asks for; empty if none has.

    Args:
        option: its name.
        value: its value.
        sizes: widths of the input and the output of the target layers, by name.
    """
    smallest = min(n_in * n_out for n_in, n_out in sizes.values())
    if value <= smallest:
        return []
    return [
        f"{option}: got {value}, but the smallest of the target layers has {smallest} entries; give at most "
        "that"
    ]


def complaints(model: PreTrainedModel, roles: Roles, config: Targets, layers: Sequence[str]) -> list[str]:
    """Return the reasons why the target layers cannot be adapted, or not merged; empty if none.

    Args:
        model: with its weights, or on the meta device.
        roles: the layers of the model.
        config: the targets.
        layers: kinds of layers that the method adapts.
    """
    names = roles.of(config.targets)
    wrong: dict[str, None] = {}
    for name in names:
        kind = kind_of(model.get_submodule(name))
        if kind not in layers:
            wrong[
                f"targets: '{role_of(roles, name, config)}' is of the kind {kind} in this model, which PEFT "
                f"cannot adapt with this method; it adapts {', '.join(layers)}"
            ] = None
    # Tied layers share one parameter: an adapter on one of them would change the other when it is merged.
    modules: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        modules.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    tied: dict[str, str] = {}
    for name in names:
        others = [o for o in modules[id(model.get_submodule(name).weight)] if o != name]
        if others:
            tied[role_of(roles, name, config)] = others[0]
    return [*wrong] + [
        f"targets: '{role}' shares its weights with '{other}', the output layer of this model: an adapter on "
        f"one of them cannot be merged without changing the other; remove '{role}' from targets"
        for role, other in tied.items()
    ]


def role_of(roles: Roles, name: str, config: Targets) -> str:
    """Return the target role of a module."""
    return next(role for role in roles.resolve(config.targets) if name in roles.layers[role])


def group_by_role(roles: Roles, names: Iterable[str], config: Targets) -> dict[str, list[str]]:
    """Group modules by their target role."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(role_of(roles, name, config), []).append(name)
    return modules
