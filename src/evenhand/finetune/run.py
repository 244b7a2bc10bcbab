"""A run from base model to predictions, on one page.

load -> adapt -> train -> predict -> save -> check -> write
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch

from evenhand.finetune import Data, Job, checks
from evenhand.finetune.clock import Clock
from evenhand.finetune.estimate.size import stored
from evenhand.finetune.hardware import memory
from evenhand.finetune.hardware.devices import accelerator_of, all_reduce_max, precision_of
from evenhand.finetune.hardware.linears import frozen_weights_in_bf16, onednn_linears
from evenhand.finetune.hardware.parallel import is_sharded, unwrap, wrap_distributed
from evenhand.finetune.inputs import features
from evenhand.finetune.inputs.passes import at_most
from evenhand.finetune.log import Log
from evenhand.finetune.loop import TrainingBatches, fit, micro_batch
from evenhand.finetune.modeling import adapt, checkpoint
from evenhand.finetune.outputs import signals
from evenhand.finetune.outputs import write as output
from evenhand.finetune.prepare import base_of, prepare
from evenhand.finetune.tasks import task_of

__all__ = ["prepare", "stored", "train"]

Progress = Callable[[int, int], None]


def train(
    job: Job, data: Data, folder: Path, *, processes: int = 1, progress: Progress | None = None
) -> dict[str, object]:
    """Do one run and write its files.

    Args:
        job: what to do.
        data: rows, and what each is for.
        folder: exists and is empty; gets `train.jsonl`, the table of what the model says (predictions,
            generations or likelihoods), and `adapter/` or `model/`; of a run that is attacked, or that an
            attack learns from, `signals.parquet` and `train_ids.json`.
        processes: how many do this run together. All are called alike; the first one writes.
        progress: called with (optimiser steps done, all steps).

    Returns:
        Plain facts for `run.json`: sizes, seconds, memory, checks, remarks, versions. Only the first process
        of a group returns any.

    Raises:
        CheckError: the trained model is not what it must be.
        GroupError: there are not so many processes.
        InputError: the job cannot be run.
        FloatingPointError: the loss is no number any more.
    """
    with at_most(job.training.micro_batch):
        return _train(job, data, folder, processes, progress)


def _train(
    job: Job, data: Data, folder: Path, processes: int, progress: Progress | None
) -> dict[str, object]:
    """Do the run, in passes that are not too large."""
    clock = Clock()
    accelerator = accelerator_of(job.training.precision, processes)
    first = accelerator.is_main_process
    base = base_of(job, data)
    goal = task_of(base, job, data)
    held, peak = memory.held(base.model), memory.Peak()
    model = adapt.adapted(base, job)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    start = checks.at_start(base, model)
    if first and not job.for_signals:
        checkpoint.begin(model, folder)
    clock.lap("load")

    reader, rows = features.reader_of(base, model, goal.feed, accelerator, flip=job.training.flip)
    # A head on stored features is small: every process has a copy.
    parallel = "data" if isinstance(reader, features.ModelOnCachedFeatures) else job.training.parallel
    reader = wrap_distributed(reader, base.roles.blocks, parallel, accelerator)
    lesson = TrainingBatches(rows, goal.answers, goal.train, job.seed, processes)
    probe = signals.probe_of(job, data, rows, accelerator)
    log, steps = Log(folder / "train.jsonl" if first else Path(os.devnull)), 0
    with closing(log), onednn_linears(reader, accelerator), frozen_weights_in_bf16(reader, accelerator):
        before = probe.margins(reader) if probe else None
        if trainable:
            # Dropout: the same stream whatever the method drew before, and another one in each process.
            torch.manual_seed(job.seed + (accelerator.process_index << 32))
            steps = fit(
                reader, lesson, job.training, accelerator, log, progress=progress,
                validate=goal.make_validator(reader, rows, accelerator),
            )  # fmt: skip
        clock.lap("train")
        after = probe.margins(reader) if probe else None
        told = None if job.for_signals else goal.predict(reader, rows, accelerator)
        clock.lap("predict")
    taken, divided = all_reduce_max(held + peak.above(), accelerator), is_sharded(reader)
    del model
    reader = unwrap(reader, lambda: adapt.adapted(base, job), accelerator)
    if not first:
        return {}
    model = reader.restored() if isinstance(reader, features.ModelOnCachedFeatures) else reader
    place = checkpoint.save(model, folder, base) if trainable and told is not None else None
    clock.lap("save")
    peak = memory.Peak()
    found: dict[str, object] = {"base_frozen": checks.base_frozen(start, model)} if start else {}
    del model, reader, start  # before what was saved is read: there are never two trained models
    if place is not None and told is not None:
        found |= checks.of_saved(base, place, goal, told.sample, accelerator)
    clock.lap("check")
    if told is not None:
        told.write(folder)
    if before is not None and after is not None:
        signals.write(folder, job, data, lesson.rows, before, after)
    clock.lap("save")
    return {
        "parameters": sum(p.numel() for p in base.model.parameters()),
        "trainable_parameters": trainable,
        "steps": steps,
        "seconds": clock.told(),
        "peak_memory_bytes": taken,
        # Above the trained model, which is let go before the saved one is read.
        "peak_memory_checks_bytes": peak.above(),
        "checks": found,
        "validation": log.last,
        "remarks": [*adapt.remarks(base, job), *(told.remarks if told else ())],
        "revision": base.revision,
        "device": str(accelerator.device),
        "precision": precision_of(accelerator),
        "processes": processes,
        "parallel": None if processes == 1 else "fsdp" if divided else "data",
        "micro_batch": micro_batch(job.training, rows, processes),
        "versions": dict(output.versions()),
    }
