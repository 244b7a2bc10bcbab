"""How large jobs are, before anything is loaded: counted on models that have shapes and no weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from evenhand import registry
from evenhand.errors import InputError, nearest
from evenhand.finetune import Job, Model
from evenhand.finetune.adapt import METHODS
from evenhand.finetune.base import FAMILIES, KINDS, family_of
from evenhand.finetune.checkpoint import is_adapted
from evenhand.finetune.models._roles import find_roles

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

#: Seconds to wait for the hub's answer.
_PATIENCE = 10.0
#: AdamW keeps two float32 numbers per trained weight, beside the gradient.
_BYTES_TRAINED = 4 + 8
#: Saved for the backward pass: besides what leaves linear layers, about as much again in between.
_BETWEEN = 2


@dataclass(frozen=True)
class Size:
    """What a job takes: counts are exact, bytes and operations are estimates.

    Attributes:
        parameters: of the base model with its head.
        trainable: of the adapted model.
        fixed_bytes: weights in float32 and, in bfloat16, their rounded copies; gradients and AdamW's two
            moments of what is trained.
        row_bytes: what one row of a micro-batch keeps for the backward pass.
        forward: floating-point operations to read one row: 2 for every weight and token.
        training: to read it and learn from it: 4 for every frozen weight and token, 6 for every trained one.
        cached: whether the base reads every row once, and only the head is trained, on what it said.
    """

    parameters: int
    trainable: int
    fixed_bytes: int
    row_bytes: int
    forward: float
    training: float
    cached: bool

    def bytes(self, micro_batch: int) -> int:
        """About how much memory training takes."""
        return self.fixed_bytes + self.row_bytes * micro_batch

    def operations(self, train: int, validation: int, test: int, epochs: int) -> float:
        """About how many floating-point operations a run takes, on so many rows."""
        if self.cached:
            return self.forward * (train + validation + test)
        learnt = self.training * train * epochs if self.trainable else 0.0
        checked = self.forward * validation * epochs if self.trainable else 0.0
        return learnt + checked + self.forward * (validation + test)


@dataclass(frozen=True)
class Sizes:
    """What jobs take.

    Attributes:
        found: one size per job, in order; None where the shape of the model cannot be had.
        remarks: why not.
    """

    found: tuple[Size | None, ...]
    remarks: tuple[str, ...]


class _UnknownShapeError(InputError):
    """The shape of a model cannot be had here."""


@dataclass(frozen=True, eq=False)
class _Bare:
    """A model on the meta device.

    Attributes:
        model: with its head.
        family: the file that knows its layers.
        head: names of the head's modules.
        places: of every layer of weights, at how many places (tokens, patches) of a row it is used.
    """

    model: PreTrainedModel
    family: ModuleType
    head: tuple[str, ...]
    places: Mapping[str, int]


def sizes(jobs: Sequence[Job], task: str, classes: Sequence[str], tokens: int) -> Sizes:
    """Count what jobs take, without weights: of a model only its configuration is read.

    Args:
        jobs: of a study.
        task: what a model is to learn.
        classes: names of the classes.
        tokens: of a text, as long as most are.

    Raises:
        InputError: a model is of another family or task than is said, or a method does not fit it; every
            complaint at once.
    """
    bare: dict[str, _Bare | None] = {}
    found: dict[str, Size] = {}
    remarks: dict[str, None] = {}
    complaints: dict[str, None] = {}
    keys = [repr((j.model.key, j.method, sorted(j.options.items()), j.training.precision)) for j in jobs]
    for key, job in zip(keys, jobs, strict=True):
        model = job.model.key
        try:
            if model not in bare:
                bare[model] = None
                bare[model] = _bare(job.model, task, len(classes), tokens)
            one = bare[model]
            if one is not None and key not in found:
                found[key] = _size(one, job)
        except _UnknownShapeError as error:
            remarks |= dict.fromkeys(error.complaints)
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
    if complaints:
        raise InputError(complaints)
    return Sizes(tuple(found.get(key) for key in keys), tuple(remarks))


def _bare(model: Model, task: str, classes: int, tokens: int) -> _Bare:
    """A model of the right shape, without weights."""
    import transformers  # noqa: PLC0415

    config = shape_of(model)
    family = family_of(config, model.name, task)
    said = model.options.get("family")
    if said is not None and family.__name__.rpartition(".")[2] != said:
        known = family.__name__.rpartition(".")[2]
        raise InputError(f"model '{model.name}': model.family is '{said}', but its family is '{known}'.")
    if classes:
        config.num_labels = classes
    with torch.device("meta"):
        made = getattr(transformers, KINDS[task]).from_config(config)
    return _Bare(made, family, family.HEAD if classes else (), _places(made, task, tokens))


def shape_of(model: Model) -> PretrainedConfig:
    """The configuration of a model: of its folder, of the hub, or of the shapes that its family knows.

    Raises:
        InputError: its folder cannot be read, or it cannot be had.
    """
    from transformers import AutoConfig  # noqa: PLC0415

    folder = Path(model.name).expanduser()
    if model.name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, model.name)
        options = {**model.options, "pretraining": "none"}  # which has the same shape, and takes no time
        folder = Path(plugin.build(plugin.Config(**options)))
    if folder.is_dir():
        try:
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:
            raise InputError(f"model '{model.name}': its config.json cannot be read ({error}).") from None
    file = _config_file(model)
    if file is not None:
        return AutoConfig.from_pretrained(file, trust_remote_code=False)
    return _known_shape(model)


def _config_file(model: Model) -> str | None:
    """The config.json of a hub model: downloaded earlier, or now; None when it cannot be had."""
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache  # noqa: PLC0415

    revision = model.options.get("revision")
    try:
        cached = try_to_load_from_cache(model.name, "config.json", revision=revision)
        if isinstance(cached, str):
            return cached
        HfApi().model_info(model.name, revision=revision, timeout=_PATIENCE)
        return str(hf_hub_download(model.name, "config.json", revision=revision))
    except Exception:  # no network, no such model, or none that may be read without a key
        return None


def _known_shape(model: Model) -> PretrainedConfig:
    """A shape out of a family's table."""
    from transformers import AutoConfig  # noqa: PLC0415

    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in registry.names(FAMILIES):
        family = registry.load(FAMILIES, name)
        for hub_id, fields in getattr(family, "SHAPES", {}).items():
            known[hub_id] = (family.INFO.model_types[0], dict(fields))
    if model.name not in known:
        raise _UnknownShapeError(
            f"model '{model.name}': its config.json cannot be had from the hub, and its shape is not among "
            f"those that are known here; {nearest(model.name, sorted(known))}"
        )
    kind, fields = known[model.name]
    return AutoConfig.for_model(fields.pop("model_type", kind), **fields)


def _size(bare: _Bare, job: Job) -> Size:
    """Adapt the bare model, and count."""
    method = registry.load(METHODS, job.method)
    roles = find_roles(bare.model, bare.family.ROLES, bare.head)
    try:
        with torch.device("meta"), _RealOrder():
            model = method.apply(copy.deepcopy(bare.model), roles, method.Config(**job.options))
    except InputError as error:
        raise InputError(f"{job.arm}: {what}" for what in error.complaints) from None
    held = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    inside = bare.model.base_model_prefix + "."
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    cached = bool(trained) and not is_adapted(model) and not any(n.startswith(inside) for n in trained)
    numbers, forward, backward = _work(model, bare.places)
    halved = job.training.precision == "bfloat16"
    return Size(
        parameters=sum(p.numel() for p in bare.model.parameters()),
        trainable=trainable,
        fixed_bytes=held * (6 if halved else 4) + trainable * _BYTES_TRAINED,
        row_bytes=0 if cached or not trained else _BETWEEN * numbers * (2 if halved else 4),
        forward=forward,
        training=forward + backward,
        cached=cached,
    )


class _RealOrder(TorchFunctionMode):
    """Orders are drawn for real, also where tensors have no content: their numbers are looked at."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call a function of torch."""
        given = dict(kwargs or {})
        if func is torch.randperm:
            given.setdefault("device", "cpu")
        return func(*args, **given)


def _places(model: PreTrainedModel, task: str, tokens: int) -> dict[str, int]:
    """Let a model without weights read one row, and note at how many places each of its layers is used."""
    found: dict[str, int] = {}
    hooks = []
    for name, layer in _layers(model):

        def note(
            _: object, __: object, leaving: torch.Tensor, name: str = name, width: int = _width(layer)
        ) -> None:
            found[name] = leaving.numel() // width

        hooks.append(layer.register_forward_hook(note))
    try:
        with torch.no_grad(), torch.device("meta"):
            model(**_row(model.config, task, tokens))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _work(model: Any, places: Mapping[str, int]) -> tuple[int, float, float]:  # noqa: ANN401
    """What an adapted model does for one row.

    Args:
        model: adapted.
        places: of the layers of its base; what was added to a layer is used where the layer is.

    Returns:
        How many numbers leave its layers of weights, and operations forward and backward.
    """
    numbers, forward, backward = 0, 0.0, 0.0
    for name, layer in _layers(model):
        if "original_module" in name:  # PEFT keeps the head that it replaced
            continue
        around = _parents(name.removeprefix("base_model.model."))
        used = next((places[base] for base in around if base in places), 0)
        weight: Any = layer.weight
        operations = 2.0 * used * weight.numel()
        numbers += used * _width(layer)
        forward += operations
        backward += operations * (2 if weight.requires_grad else 1)
    return numbers, forward, backward


def _layers(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Layers of weights that multiply."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) or _is_conv1d(module):
            yield name, module


def _parents(name: str) -> Iterator[str]:
    """A module's name, and those of the modules around it, from the inside out."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _is_conv1d(module: torch.nn.Module) -> bool:
    """Whether this is GPT-2's linear layer, whose matrix is turned."""
    return type(module).__name__ == "Conv1D"


def _width(module: torch.nn.Module) -> int:
    """How many numbers leave a layer at each place."""
    weight: Any = module.weight
    return int(weight.shape[1 if _is_conv1d(module) else 0])


def _row(config: PretrainedConfig, task: str, tokens: int) -> dict[str, torch.Tensor]:
    """A row for a model to read."""
    if task != "image":
        # RoBERTa keeps two positions for itself.
        tokens = min(tokens, getattr(config, "max_position_embeddings", tokens + 2) - 2)
        return {"input_ids": torch.zeros((1, tokens), dtype=torch.long)}
    side = config.image_size
    high, wide = (side, side) if isinstance(side, int) else side
    return {"pixel_values": torch.zeros((1, config.num_channels, high, wide))}
