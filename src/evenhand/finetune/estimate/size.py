"""How large jobs are, before anything is loaded: counted on models that have shapes and no weights."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Model, Training
from evenhand.finetune.estimate.flops import count_flops, trace_one_example, within
from evenhand.finetune.estimate.shape import UnknownShapeError, at_hand, located
from evenhand.finetune.modeling import processor
from evenhand.finetune.modeling.adapt import METHODS, misfits
from evenhand.finetune.modeling.checkpoint import head_alone, is_adapted
from evenhand.finetune.modeling.families import KINDS, WRITTEN, family_of
from evenhand.finetune.modeling.pretrained import without_lost_padding
from evenhand.finetune.modeling.weights import weights_in
from evenhand.finetune.models._roles import find_roles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Of float32, of bfloat16.
_FULL, _HALF = 4, 2
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
        whole_bytes: the weights of the whole model, which one process puts on its device to check what was
            trained and what was saved, one after the other; 0 where nothing is trained.
        row_bytes: what one row of a micro-batch keeps for the backward pass; with gradient checkpointing
            what enters the layers, and the inside of the largest one.
        divided_bytes: what the processes of a group share out among them; 0 where each has the whole model.
        gathered_bytes: what each of them puts together again for a while: the weights of two layers and of
            what is in none, and the gradients of one layer.
        forward: floating-point operations to read one row: 2 for every weight and token.
        training: to read it and learn from it: 4 for every frozen weight and token, 6 for every trained one.
        stored_bytes: what is kept of it on the disk: adapter and head, or the whole model, in float32.
        cached: whether the base reads every row once, and only the head is trained, on what it said.
    """

    parameters: int
    trainable: int
    fixed_bytes: int
    whole_bytes: int
    row_bytes: int
    divided_bytes: int
    gathered_bytes: int
    forward: float
    training: float
    stored_bytes: int
    cached: bool

    def bytes(self, micro_batch: int, processes: int = 1) -> int:
        """About how much memory a run takes in each of the processes that do it together: in the largest."""
        fixed = self.fixed_bytes
        if processes > 1 and self.divided_bytes:
            fixed = self.divided_bytes // processes + self.gathered_bytes
        return max(fixed + self.row_bytes * micro_batch, self.whole_bytes)

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


@dataclass(frozen=True, eq=False)
class _MetaModel:
    """A model on the meta device.

    Attributes:
        model: with its head.
        family: the file that knows its layers.
        entering: of every block that the model repeats, how many numbers of a row enter it.
        places: of every layer of weights, at how many places (tokens, patches) of a row it is used.
        head: names of the head's modules.
        lacking: why its weights cannot be had, where that is known.
        place: folder with its files; None where these are not at hand.
    """

    model: PreTrainedModel
    family: ModuleType
    entering: Mapping[str, int]
    places: Mapping[str, int]
    head: tuple[str, ...]
    lacking: str
    place: Path | None

    def misfits(self, job: Job, *, weights: bool) -> list[str]:
        """Why a job's method does not fit its layers, or what is in them, where that is at hand."""
        roles = find_roles(self.model, self.family.ROLES, self.head)
        stored = weights_in(self.place, roles, self.family.ROLES) if weights and self.place else None
        return misfits(self.model, roles, job, stored)


def sizes(
    jobs: Sequence[Job], task: str, classes: Sequence[str], tokens: int, *, weights: bool = True
) -> Sizes:
    """Count what jobs take, without weights: of a model only its configuration is read.

    Args:
        jobs: of a study.
        task: what a model is to learn.
        classes: names of the classes.
        tokens: of a text, as long as most are.
        weights: also look at weights that a method asks for, one layer at a time, where they are at hand.

    Raises:
        InputError: a model is of another family or task than is said, or a method does not fit it; every
            complaint at once.
    """
    bare: dict[str, _MetaModel | None] = {}
    found: dict[str, Size] = {}
    remarks: dict[str, None] = {}
    complaints: dict[str, None] = {}
    keys = [repr((j.model.key, j.method, sorted(j.options.items()), *_ways(j.training))) for j in jobs]
    for key, job in zip(keys, jobs, strict=True):
        model = job.model.key
        try:
            if model not in bare:
                bare[model] = None
                bare[model] = _bare(job.model, task, len(classes), tokens)
            one = bare[model]
            if one is not None and one.lacking:
                remarks[f"the weights of '{job.model.name}': {one.lacking}."] = None
            if one is not None and key not in found:
                found[key] = _size(one, job, weights=weights)
        except UnknownShapeError as error:
            remarks |= dict.fromkeys(error.complaints)
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
    if complaints:
        raise InputError(complaints)
    return Sizes(tuple(found.get(key) for key in keys), tuple(remarks))


def stored(jobs: Sequence[Job], data: Data) -> list[int | None]:
    """About how many bytes each job leaves of its model on the disk; None where that cannot be counted."""
    try:
        # How long texts are changes nothing here.
        found = sizes(jobs, data.examples.task, data.examples.classes, 8, weights=False).found
    except Exception:  # an estimate that fails is no reason not to train
        return [None] * len(jobs)
    return [
        0 if job.for_signals else None if size is None else size.stored_bytes
        for job, size in zip(jobs, found, strict=True)
    ]


def refuse_weights(jobs: Sequence[Job], task: str) -> None:
    """Complain of weights that a method cannot work with, in models whose files are at hand.

    What else is wrong with a model is said when it is loaded.

    Args:
        jobs: of a study.
        task: what a model is to learn.

    Raises:
        InputError: every complaint at once.
    """
    complaints: dict[str, None] = {}
    for job in {(j.model.key, j.arm): j for j in jobs}.values():
        if not hasattr(registry.load(METHODS, job.method), "weight_complaints") or at_hand(job.model) is None:
            continue
        with contextlib.suppress(InputError):
            bare = _bare(job.model, task, 0 if task in WRITTEN else 2, 8)
            complaints |= dict.fromkeys(bare.misfits(job, weights=True))
    if complaints:
        raise InputError(complaints)


def _ways(training: Training) -> tuple[object, ...]:
    """What sizes depend on of how a model is trained."""
    return training.precision, training.parallel, training.gradient_checkpointing


def _bare(model: Model, task: str, classes: int, tokens: int) -> _MetaModel:
    """A model of the right shape, without weights."""
    import transformers  # noqa: PLC0415

    config, why, place = located(model)
    family = family_of(config, model.name, task)
    said = model.options.get("family")
    if said is not None and family.__name__.rpartition(".")[2] != said:
        known = family.__name__.rpartition(".")[2]
        raise InputError(f"model '{model.name}': model.family is '{said}', but its family is '{known}'.")
    without_lost_padding(config)
    if classes:
        config.num_labels = classes
    with torch.device("meta"):
        made = getattr(transformers, KINDS[task]).from_config(config)
    head = family.HEAD if classes else ()
    blocks = find_roles(made, family.ROLES, head).blocks
    size: int | tuple[int, int] = tokens
    if task == "image":
        size = processor.fitted(processor.preparation_in(place, config, model.name), made, model.name).size
    return _MetaModel(made, family, *trace_one_example(made, blocks, size), head, why, place)


def _size(bare: _MetaModel, job: Job, *, weights: bool) -> Size:
    """Adapt the bare model, and count."""
    method = registry.load(METHODS, job.method)
    roles = find_roles(bare.model, bare.family.ROLES, bare.head)
    if wrong := bare.misfits(job, weights=weights):
        raise InputError(wrong)
    try:
        with torch.device("meta"), _RealRandperm():
            model = method.apply(copy.deepcopy(bare.model), roles, method.Config(**job.options))
    except InputError as error:
        raise InputError(f"{job.arm}: {what}" for what in error.complaints) from None
    held = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    inside = bare.model.base_model_prefix + "."
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    partial = is_adapted(model) or head_alone(model, bare.head)
    cached = bool(trained) and not is_adapted(model) and not any(n.startswith(inside) for n in trained)
    numbers, forward, backward = count_flops(model, bare.places)
    half = job.training.precision == "bfloat16"
    width = _HALF if half else _FULL
    divided = job.training.parallel == "fsdp" and not cached
    return Size(
        parameters=sum(p.numel() for p in bare.model.parameters()),
        trainable=trainable,
        fixed_bytes=held * (_FULL + _HALF if half else _FULL) + trainable * _BYTES_TRAINED,
        whole_bytes=held * (_FULL + _HALF if half else _FULL) if trained else 0,
        row_bytes=0 if cached or not trained else _kept(bare, numbers, job.training, width),
        divided_bytes=(held * _FULL + trainable * _BYTES_TRAINED) if divided else 0,
        gathered_bytes=_gathered(model, list(bare.entering), width) if divided else 0,
        forward=forward,
        training=forward + backward,
        stored_bytes=_FULL * (held if trained and not partial else trainable),
        cached=cached,
    )


def _kept(bare: _MetaModel, numbers: Mapping[str, int], training: Training, width: int) -> int:
    """Bytes that one row keeps for the backward pass, of numbers that take so many bytes each."""
    every = sum(numbers.values())
    if not (training.gradient_checkpointing and bare.entering):
        return _BETWEEN * width * every
    blocks = [sum(n for name, n in numbers.items() if within(name, block)) for block in bare.entering]
    # What runs from block to block stays in float32.
    return _FULL * sum(bare.entering.values()) + _BETWEEN * width * (every - sum(blocks) + max(blocks))


def _gathered(model: Any, blocks: Sequence[str], width: int) -> int:  # noqa: ANN401
    """Bytes that a process puts together of a divided model: two blocks, the rest, one block's gradients."""
    weights = dict.fromkeys((*blocks, ""), 0)
    trained = dict.fromkeys((*blocks, ""), 0)
    for name, p in model.named_parameters():
        block = next((block for block in blocks if within(name, block)), "")
        weights[block] += p.numel()
        trained[block] += p.numel() * p.requires_grad
    rest = weights.pop("")
    return width * (rest + 2 * max(weights.values(), default=0)) + _FULL * max(trained.values())


class _RealRandperm(TorchFunctionMode):
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
