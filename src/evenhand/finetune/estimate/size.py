"""Size and cost of jobs before anything is loaded, counted on models with shapes but without weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Training
from evenhand.finetune.estimate.flops import count_flops, in_block
from evenhand.finetune.estimate.meta import MetaModel, build_meta_model
from evenhand.finetune.estimate.shape import UnknownShapeError, local_folder
from evenhand.finetune.estimate.trial import trial_complaints
from evenhand.finetune.hardware.quantised import quantised_layers
from evenhand.finetune.modeling.adapt import METHODS, is_ready
from evenhand.finetune.modeling.checkpoint import is_adapted, saved_weights, trains_head_only
from evenhand.finetune.modeling.families import GENERATIVE_TASKS

#: Bytes of a float32 and of a bfloat16 number.
_FLOAT32_BYTES, _BFLOAT16_BYTES = 4, 2
#: Per trained weight: its gradient, and the two moments that AdamW stores in float32.
_BYTES_PER_TRAINED_WEIGHT = 4 + 8
#: Stored for the backward pass: the outputs of linear layers, and about as much again between them.
_ACTIVATION_FACTOR = 2


@dataclass(frozen=True)
class Size:
    """Size and cost of a job: counts are exact, bytes and operations are estimates.

    Attributes:
        parameters: number of parameters of the base model with its head.
        trainable: number of trained parameters of the adapted model.
        fixed_bytes: weights in float32 and, in bfloat16, their rounded copies, or quantised weights and their
            scales; gradients and AdamW's two moments of the trained weights.
        check_bytes: all weights of the model, which one process loads on its device to check first the
            trained and then the saved model; 0 where nothing is trained.
        row_bytes: activations stored per row of a micro-batch for the backward pass; with gradient
            checkpointing the inputs of the layers, and the inside of the largest one.
        divided_bytes: bytes that the processes of a group divide among them; 0 where each has a full copy.
        gathered_bytes: bytes that each of them gathers at a time: the weights of two layers and of the
            modules outside of layers, and the gradients of one layer.
        forward: floating-point operations of a forward pass per row: 2 per weight and token.
        training: operations of a training step per row: 4 per frozen weight and token, 6 per trained one.
        stored_bytes: bytes on disk: adapter and head, or the full model, in float32.
        cached: True if the base runs once over every row, and only the head is trained on its features.
    """

    parameters: int
    trainable: int
    fixed_bytes: int
    check_bytes: int
    row_bytes: int
    divided_bytes: int
    gathered_bytes: int
    forward: float
    training: float
    stored_bytes: int
    cached: bool

    def bytes(self, micro_batch: int, processes: int = 1) -> int:
        """Estimate the peak memory of a run in each process of its group, in bytes."""
        fixed = self.fixed_bytes
        if processes > 1 and self.divided_bytes:
            fixed = self.divided_bytes // processes + self.gathered_bytes
        return max(fixed + self.row_bytes * micro_batch, self.check_bytes)

    def operations(self, train: int, validation: int, test: int, epochs: int) -> float:
        """Estimate the floating-point operations of a run from its numbers of rows and epochs."""
        if self.cached:
            return self.forward * (train + validation + test)
        learnt = self.training * train * epochs if self.trainable else 0.0
        checked = self.forward * validation * epochs if self.trainable else 0.0
        return learnt + checked + self.forward * (validation + test)


@dataclass(frozen=True)
class Sizes:
    """Sizes of several jobs.

    Attributes:
        estimates: one size per job, in order; None where the shape of the model is not available.
        remarks: the reasons for missing estimates and weights.
    """

    estimates: tuple[Size | None, ...]
    remarks: tuple[str, ...]


def estimate_sizes(
    jobs: Sequence[Job], task: str, classes: Sequence[str], tokens: int, *, weights: bool = True
) -> Sizes:
    """Estimate the sizes of jobs from the configurations of their models.

    Args:
        jobs: of a study.
        task: task of the dataset.
        classes: names of the classes.
        tokens: length of a typical text.
        weights: also read the weights that a method has to inspect, one layer at a time, if they are local.

    Raises:
        InputError: a model has another family or task than declared, or a method does not fit it; all
            complaints together.
    """
    metas: dict[str, MetaModel | None] = {}
    estimates: dict[str, Size] = {}
    remarks: dict[str, None] = {}
    complaints: dict[str, None] = {}
    keys = [
        repr((j.model.key, j.method, sorted(j.options.items()), *_size_settings(j.training))) for j in jobs
    ]
    for key, job in zip(keys, jobs, strict=True):
        model = job.model.key
        if is_ready(job):  # it trains nothing, and its folder may hold only an adapter
            continue
        try:
            if model not in metas:
                metas[model] = None
                metas[model] = build_meta_model(job.model, task, len(classes), tokens)
            meta = metas[model]
            if meta is not None and meta.why_no_weights:
                remarks[f"the weights of '{job.model.name}': {meta.why_no_weights}."] = None
            if meta is not None and key not in estimates:
                estimates[key] = _count_size(meta, job, weights=weights)
        except UnknownShapeError as error:
            remarks |= dict.fromkeys(error.complaints)
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
    if complaints:
        raise InputError(complaints)
    return Sizes(tuple(estimates.get(key) for key in keys), tuple(remarks))


def stored(jobs: Sequence[Job], data: Data) -> list[int | None]:
    """Estimate the bytes that each job stores of its model on disk; None where no estimate is possible."""
    try:
        # The length of texts does not matter here.
        estimates = estimate_sizes(
            jobs, data.examples.task, data.examples.classes, 8, weights=False
        ).estimates
    except Exception:  # a failed estimate must not prevent the training
        return [None] * len(jobs)
    return [
        0 if job.for_signals or is_ready(job) else None if size is None else size.stored_bytes
        for job, size in zip(jobs, estimates, strict=True)
    ]


def check_weights(jobs: Sequence[Job], task: str) -> None:
    """Check that methods can work with the weights of models with local files.

    All other problems of a model are reported when it is loaded.

    Args:
        jobs: of a study.
        task: task of the dataset.

    Raises:
        InputError: all complaints together.
    """
    complaints: dict[str, None] = {}
    for job in {(j.model.key, j.arm): j for j in jobs}.values():
        if (
            not hasattr(registry.load(METHODS, job.method), "weight_complaints")
            or local_folder(job.model) is None
        ):
            continue
        with contextlib.suppress(InputError):
            classes = 0 if task in GENERATIVE_TASKS else 2
            meta = build_meta_model(job.model, task, classes, 8, traced=False)
            complaints |= dict.fromkeys(meta.misfits(job, weights=True))
    if complaints:
        raise InputError(complaints)


def _size_settings(training: Training) -> tuple[object, ...]:
    """Return the settings of the training that sizes depend on."""
    return training.precision, training.parallel, training.gradient_checkpointing


def _count_size(meta: MetaModel, job: Job, *, weights: bool) -> Size:
    """Adapt a copy of the meta model, and count parameters, bytes and operations."""
    if complaints := meta.misfits(job, weights=weights):
        raise InputError(complaints)
    model = meta.adapted(job)
    if complaints := trial_complaints(meta, model, job):
        raise InputError(complaints)
    n_weights = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    inside = f"{meta.roles.backbone}."
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    saved = trainable if trains_head_only(model, meta.roles.head) else n_weights if trained else 0
    if is_adapted(model):
        # PEFT computes what it saves of a prefix, which has no values here; at most, that is what is trained.
        prefix = model.active_peft_config.is_prompt_learning
        saved = trainable if prefix else sum(weight.numel() for weight in saved_weights(model).values())
    cached = bool(trained) and not is_adapted(model) and not any(n.startswith(inside) for n in trained)
    numbers, forward, backward = count_flops(model, meta.uses)
    half = job.training.precision == "bfloat16"
    width = _BFLOAT16_BYTES if half else _FLOAT32_BYTES
    weight_bytes = _weight_bytes(model, _FLOAT32_BYTES + _BFLOAT16_BYTES if half else _FLOAT32_BYTES)
    divided = job.training.parallel == "fsdp" and not cached
    return Size(
        parameters=sum(p.numel() for p in meta.model.parameters()),
        trainable=trainable,
        fixed_bytes=weight_bytes + trainable * _BYTES_PER_TRAINED_WEIGHT,
        check_bytes=weight_bytes if trained else 0,
        row_bytes=0 if cached or not trained else _activation_bytes(meta, numbers, job.training, width),
        divided_bytes=(n_weights * _FLOAT32_BYTES + trainable * _BYTES_PER_TRAINED_WEIGHT) if divided else 0,
        gathered_bytes=_gathered_bytes(model, list(meta.block_inputs), width) if divided else 0,
        forward=forward,
        training=forward + backward,
        stored_bytes=_FLOAT32_BYTES * saved,
        cached=cached,
    )


def _weight_bytes(model: Any, width: int) -> int:
    """Return the bytes of a model's weights: `width` of each, or those of a quantised layer."""
    packed = {id(layer.weight): layer.bytes for _, layer in quantised_layers(model)}
    return sum(packed.get(id(p), width * p.numel()) for p in model.parameters())


def _activation_bytes(meta: MetaModel, numbers: Mapping[str, int], training: Training, width: int) -> int:
    """Estimate the bytes of activations stored per row for the backward pass.

    Args:
        meta: the model.
        numbers: elements that leave each layer.
        training: whether gradient checkpointing is on.
        width: bytes per element.
    """
    total = sum(numbers.values())
    if not (training.gradient_checkpointing and meta.block_inputs):
        return _ACTIVATION_FACTOR * width * total
    blocks = [sum(n for name, n in numbers.items() if in_block(name, block)) for block in meta.block_inputs]
    # The residual stream between blocks stays in float32.
    return _FLOAT32_BYTES * sum(meta.block_inputs.values()) + _ACTIVATION_FACTOR * width * (
        total - sum(blocks) + max(blocks)
    )


def _gathered_bytes(model: Any, blocks: Sequence[str], width: int) -> int:
    """Estimate the bytes that a process gathers of a sharded model.

    FSDP prefetches the next block while one runs: two blocks, the modules outside of blocks, and the
    gradients of one block.
    """
    weights = dict.fromkeys((*blocks, ""), 0)
    trained = dict.fromkeys((*blocks, ""), 0)
    for name, p in model.named_parameters():
        block = next((block for block in blocks if in_block(name, block)), "")
        weights[block] += p.numel()
        trained[block] += p.numel() * p.requires_grad
    rest = weights.pop("")
    return width * (rest + 2 * max(weights.values(), default=0)) + _FLOAT32_BYTES * max(trained.values())
