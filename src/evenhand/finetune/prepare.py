"""Preparation of a study: fetch or make its models, and validate its jobs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Prepared, split_revision
from evenhand.finetune.estimate.shape import local_folder, shape_of
from evenhand.finetune.estimate.trial import Trials
from evenhand.finetune.inputs.encoded_rows import load_tokenizer, tokenize
from evenhand.finetune.modeling import adapt, tokens
from evenhand.finetune.modeling.families import GENERATIVE_TASKS
from evenhand.finetune.modeling.pretrained import PretrainedModel, load_base
from evenhand.finetune.modeling.ready import ReadyModel, ReadySource, Reordered, load_ready
from evenhand.finetune.tasks import build_task


def prepare(jobs: Sequence[Job], data: Data) -> Prepared:
    """Load (download, pretrain) every model once, and collect the problems of the jobs.

    Args:
        jobs: all runs of a study.
        data: its rows.
    """
    complaints: dict[str, None] = {}
    remarks: dict[str, None] = {}
    revisions: dict[str, str] = {}
    trials = Trials()
    unavailable: set[str] = set()  # keys of models that cannot be loaded; a second try would take as long
    for job in {(j.model.key, j.arm, j.training): j for j in jobs}.values():
        if job.model.key in unavailable:
            continue
        try:
            base = load_job_base(job, data)
            task = build_task(base, job, data)
        except InputError as error:
            unavailable.add(job.model.key)
            complaints |= dict.fromkeys(error.complaints)
            continue
        if base.revision is not None:
            revisions[job.model.key] = base.revision
        if base.earlier:
            remarks[base.earlier] = None
        problems = adapt.complaints(base, job) or trials.complaints(job, data.examples.task)
        complaints |= dict.fromkeys(problems)
        if not problems:
            remarks |= dict.fromkeys([*job_remarks(base, job, data), *task.rows.remarks])
    return Prepared(tuple(complaints), tuple(remarks), revisions)


def build_job_model(base: PretrainedModel, job: Job, data: Data) -> Any:
    """Build the model of a run: the base, adapted by the job's method, or a copy of the ready model."""
    if not adapt.is_ready(job):
        return adapt.build_adapted_model(base, job)
    ready = _ready(job, data)
    model = Reordered(copy.deepcopy(ready.model), ready.order).requires_grad_(False)
    if base.task == "text":  # by which a head locates the last token
        model.config.pad_token_id = base.model.config.pad_token_id
    return model


def job_remarks(base: PretrainedModel, job: Job, data: Data) -> list[str]:
    """Return notes about a job's method on its model, or about its ready model."""
    return list(_ready(job, data).remarks) if adapt.is_ready(job) else adapt.remarks(base, job)


def ready_facts(job: Job, data: Data) -> dict[str, Any]:
    """Return the record of a job's ready model; empty for other jobs."""
    return {"existing": _ready(job, data).facts} if adapt.is_ready(job) else {}


def _ready(job: Job, data: Data) -> ReadyModel:
    """Load the ready model of a job, whose model is its source.

    Raises:
        InputError: the model cannot be loaded, or the task is not a classification.
    """
    examples, options = data.examples, job.model.options
    if examples.task in GENERATIVE_TASKS:
        raise InputError(f"{job.arm}: existing models can only classify, and the task is {examples.task}.")
    base, base_revision = split_revision(str(options["base"])) if "base" in options else (None, None)
    source = ReadySource(
        job.model.name, options.get("revision"), base, base_revision, tuple(options.get("classes", ())),
        bool(options.get("lenient", False)),
    )  # fmt: skip
    folder = Path(source.name).expanduser()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    files = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    return _load_ready(source, examples.task, examples.classes, job.training.precision, files)


@lru_cache(maxsize=1)
def _load_ready(
    source: ReadySource, task: str, classes: tuple[str, ...], precision: str, _: tuple[object, ...]
) -> ReadyModel:
    """Load a ready model, or return the last one if its files are the same."""
    return load_ready(source, task, classes, precision)


def check_texts(jobs: Sequence[Job], texts: Callable[[], Sequence[str]]) -> None:
    """Check that a model's embedding has rows for the tokens of all texts, without loading its weights.

    Models without local files are skipped.

    Args:
        jobs: of a study whose models read texts.
        texts: returns the texts; called only if a tokenizer has more tokens than the embedding has rows.

    Raises:
        InputError: all complaints together.
    """
    complaints: dict[str, None] = {}
    for job in {job.model.key: job for job in jobs}.values():
        try:
            path = local_folder(job.model)
            if path is None or adapt.is_ready(job):
                continue
            config, tokenizer = shape_of(job.model), load_tokenizer(str(path))
            rows = tokens.rows_of(config)
            if tokens.tokens_without_rows(tokenizer, rows):
                limit = min(job.training.max_length, tokenizer.model_max_length)
                tokens.check_tokens(tokenizer, tokenize(tokenizer, texts(), limit), rows, str(path))
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
    if complaints:
        raise InputError(complaints)


def load_job_base(job: Job, data: Data) -> PretrainedModel:
    """Load the base model of a job, with a head for the classes of the data; or the ready model's base."""
    if adapt.is_ready(job):
        ready = _ready(job, data)
        return replace(ready.base, revision=ready.facts["commit"])
    return load_base(job.model, data.examples.task, data.examples.classes, job.training.precision)
