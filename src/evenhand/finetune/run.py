"""A run from base model to predictions, on one page.

load -> adapt -> train -> predict -> save -> check -> write
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch

from evenhand.errors import InputError
from evenhand.finetune import (
    Data,
    Job,
    Prepared,
    adapt,
    checkpoint,
    checks,
    features,
    memory,
    output,
    signals,
)
from evenhand.finetune.base import Base, load_base
from evenhand.finetune.clock import Clock
from evenhand.finetune.devices import accelerator_of
from evenhand.finetune.goals import goal_of
from evenhand.finetune.linears import fast_linears, halved
from evenhand.finetune.log import Log
from evenhand.finetune.loop import Lesson, fit


def prepare(jobs: Sequence[Job], data: Data) -> Prepared:
    """Load (download, pretrain) every model once, and say what stands against the jobs.

    Args:
        jobs: all runs of a study.
        data: its rows.
    """
    complaints: dict[str, None] = {}
    remarks: dict[str, None] = {}
    lost: set[str] = set()  # models that cannot be had, which takes long enough to find out once
    for job in {(j.model.key, j.arm, j.training): j for j in jobs}.values():
        if job.model.key in lost:
            continue
        try:
            base = _base(job, data)
            goal = goal_of(base, job, data)
        except InputError as error:
            lost.add(job.model.key)
            complaints |= dict.fromkeys(error.complaints)
            continue
        wrong = adapt.complaints(base, job)
        complaints |= dict.fromkeys(wrong)
        if not wrong:
            remarks |= dict.fromkeys([*adapt.remarks(base, job), *goal.remarks])
    return Prepared(tuple(complaints), tuple(remarks))


def train(
    job: Job, data: Data, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, object]:
    """Do one run and write its files.

    Args:
        job: what to do.
        data: rows, and what each is for.
        folder: exists and is empty; gets `train.jsonl`, the table of what the model says (predictions,
            generations or likelihoods), and `adapter/` or `model/`; of a run that is attacked, or that an
            attack learns from, `signals.parquet` and `train_ids.json`.
        progress: called with (optimiser steps done, all steps).

    Returns:
        Plain facts for `run.json`: sizes, seconds, memory, checks, remarks, versions.

    Raises:
        CheckError: the trained model is not what it must be.
        InputError: the job cannot be run.
        FloatingPointError: the loss is no number any more.
    """
    clock = Clock()
    memory.reset()
    accelerator = accelerator_of(job.training.precision)
    base = _base(job, data)
    goal = goal_of(base, job, data)
    model = adapt.adapted(base, job).to(accelerator.device)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    start = checks.at_start(base, model)
    if not job.for_signals:
        checkpoint.begin(model, folder)
    clock.lap("load")

    reader, rows = features.reader_of(base, model, goal.feed, accelerator, flip=job.training.flip)
    lesson = Lesson(rows, goal.answers, goal.train, job.seed)
    probe = signals.probe_of(job, data, rows, accelerator)
    log, steps = Log(folder / "train.jsonl"), 0
    with closing(log), fast_linears(reader, accelerator), halved(reader, accelerator):
        before = probe.margins(reader) if probe else None
        if trainable:
            torch.manual_seed(job.seed)  # dropout: the same stream whatever the method drew before
            check = goal.measuring(reader, rows, accelerator)
            steps = fit(reader, lesson, job.training, accelerator, log, validate=check, progress=progress)
        clock.lap("train")
        after = probe.margins(reader) if probe else None
        told = None if job.for_signals else goal.ask(reader, rows, accelerator)
        clock.lap("predict")
    model = reader.restored() if isinstance(reader, features.Replayed) else reader
    found: dict[str, object] = {"base_frozen": checks.base_frozen(start, model)} if start else {}
    if trainable and told is not None:
        place = checkpoint.save(model, folder)
        clock.lap("save")
        found["reload"] = checks.reloads(base, place, goal, told.sample, accelerator)
        if checkpoint.is_adapted(model):
            found["merged"] = checks.merges(model, goal, accelerator)
    clock.lap("check")
    if told is not None:
        told.write(folder)
    if before is not None and after is not None:
        signals.write(folder, job, data, lesson.rows, before, after)
    clock.lap("save")
    return {
        "parameters": _size(base),
        "trainable_parameters": trainable,
        "steps": steps,
        "seconds": clock.told(),
        "peak_memory_bytes": memory.peak(),
        "checks": found,
        "validation": log.last,
        "remarks": [*adapt.remarks(base, job), *(told.remarks if told else ())],
        "revision": base.revision,
        "device": str(accelerator.device),
        "micro_batch": job.training.micro_batch or min(rows.micro_batch, job.training.batch_size),
        "versions": dict(output.versions()),
    }


def _base(job: Job, data: Data) -> Base:
    return load_base(job.model, data.examples.task, data.examples.classes, job.training.precision)


def _size(base: Base) -> int:
    return sum(p.numel() for p in base.model.parameters())
