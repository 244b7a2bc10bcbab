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
from evenhand.finetune.hardware import memory, quantised
from evenhand.finetune.hardware.devices import accelerator_of, all_reduce_max, precision_of
from evenhand.finetune.hardware.linears import frozen_weights_in_bf16, onednn_linears
from evenhand.finetune.hardware.parallel import copy_of, is_sharded, unwrap, wrap_distributed
from evenhand.finetune.inputs import features
from evenhand.finetune.inputs.passes import limit_rows_of_a_pass
from evenhand.finetune.log import Log
from evenhand.finetune.loop import Hooks, TrainingBatches, fit, rows_of_a_micro_batch
from evenhand.finetune.modeling import adapt, checkpoint
from evenhand.finetune.outputs import signals
from evenhand.finetune.outputs import write as writing
from evenhand.finetune.prepare import build_job_model, job_remarks, load_job_base, prepare, ready_facts
from evenhand.finetune.tasks import build_task

__all__ = ["prepare", "stored", "train"]

Progress = Callable[[int, int], None]


def train(
    job: Job, data: Data, folder: Path, *, processes: int = 1, progress: Progress | None = None
) -> dict[str, object]:
    """Execute one run and write its files.

    Args:
        job: the run.
        data: rows and their split.
        folder: an existing, empty folder; receives `train.jsonl`, the table of the model's outputs
            (predictions, generations or likelihoods), and `adapter/` or `model/`; for the targets and
            references of an attack also `signals.parquet` and `train_ids.json`.
        processes: number of processes that execute this run together. Each makes the same call; the first
            one writes.
        progress: called with (optimiser steps done, all steps).

    Returns:
        Plain facts for `run.json`: sizes, seconds, memory, checks, remarks, versions. In a group, only the
        first process returns any.

    Raises:
        CheckError: the trained model fails a check.
        GroupError: the group has another number of processes.
        InputError: the job cannot be run.
        FloatingPointError: the loss or a prediction is NaN or infinite.
    """
    with limit_rows_of_a_pass(job.training.micro_batch):
        return _train(job, data, folder, processes, progress)


def _train(
    job: Job, data: Data, folder: Path, processes: int, progress: Progress | None
) -> dict[str, object]:
    """Execute the run, with the limit on the rows of a pass already set."""
    clock = Clock()
    accelerator = accelerator_of(job.training.precision, processes)
    first = accelerator.is_main_process
    base = load_job_base(job, data)
    task = build_task(base, job, data)
    base_bytes, peak = memory.load_pages(base.model), memory.Peak()
    model = build_job_model(base, job, data)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    quantisation, library = quantised.settings_of(model), quantised.versions(model)
    start = {} if adapt.is_ready(job) else checks.copy_frozen_weights(base, model)
    if first and not job.for_signals:
        checkpoint.save_initial_adapter(model, folder)
    clock.lap("load")

    reader, encoded = features.reader_of(base, model, task.rows.encoded, accelerator, flip=job.training.flip)
    # A head on stored features is small, so every process has a copy of it.
    parallel = "data" if isinstance(reader, features.ModelOnCachedFeatures) else job.training.parallel
    reader = wrap_distributed(reader, base.roles.blocks, parallel, accelerator)
    batches = TrainingBatches(encoded, task.rows.targets, task.rows.train, job.seed, processes)
    probe = signals.build_probe(job, data, encoded, accelerator)
    log, steps = Log(folder / "train.jsonl" if first else Path(os.devnull)), 0
    with closing(log), onednn_linears(reader, accelerator), frozen_weights_in_bf16(reader, accelerator):
        before = probe.margins(reader) if probe else None
        if trainable:
            # Dropout draws from the same stream whatever the method drew before, and from another one in
            # each process.
            torch.manual_seed(job.seed + (accelerator.process_index << 32))
            # No variable refers to the hooks, which refer to the model: it is released below.
            steps = fit(
                reader, batches, job.training, accelerator, log,
                Hooks(
                    task.make_validator(reader, encoded, accelerator), progress,
                    **adapt.method_hooks(job, copy_of(reader)),
                ),
            )  # fmt: skip
        clock.lap("train")
        after = probe.margins(reader) if probe else None
        output = None if job.for_signals else task.predict(reader, encoded, accelerator)
        clock.lap("predict")
    peak_bytes = all_reduce_max(base_bytes + peak.bytes_above_start(), accelerator)
    sharded = is_sharded(reader)
    del model
    reader = unwrap(reader, lambda: build_job_model(base, job, data), accelerator)
    if not first:
        return {}
    model = reader.restored() if isinstance(reader, features.ModelOnCachedFeatures) else reader
    path = checkpoint.save(model, folder, base) if trainable and output is not None else None
    clock.lap("save")
    peak = memory.Peak()
    findings: dict[str, object] = {"base_frozen": checks.check_frozen_weights(start, model)} if start else {}
    del model, reader, start  # before the saved model is read: memory never holds two trained models
    if path is not None and output is not None:
        merges = adapt.merges(job)
        findings |= checks.check_saved(base, path, task, output.sample, accelerator, merges=merges)
    clock.lap("check")
    if output is not None:
        output.write(folder)
    if before is not None and after is not None:
        signals.write(folder, job, data, batches.rows, before, after)
    clock.lap("save")
    return {
        "parameters": sum(p.numel() for p in base.model.parameters()),
        "trainable_parameters": trainable,
        "steps": steps,
        "seconds": clock.seconds(),
        "peak_memory_bytes": peak_bytes,
        # Measured above the trained model, which is released before the saved one is read.
        "peak_memory_checks_bytes": peak.bytes_above_start(),
        "checks": findings,
        "validation": log.last,
        "remarks": [*job_remarks(base, job, data), *(output.remarks if output else ())],
        "revision": base.revision,
        **ready_facts(job, data),
        **({"quantisation": quantisation} if quantisation else {}),
        "device": str(accelerator.device),
        "precision": precision_of(accelerator),
        "processes": processes,
        "parallel": None if processes == 1 else "fsdp" if sharded else "data",
        "micro_batch": rows_of_a_micro_batch(job.training, encoded, processes),
        "versions": {**dict(writing.versions()), **library},
    }
