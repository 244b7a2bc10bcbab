"""Preparation of a study: fetch or make its models, and validate its jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Prepared
from evenhand.finetune.estimate.shape import local_folder, shape_of
from evenhand.finetune.inputs.encoded_rows import load_tokenizer, tokenize
from evenhand.finetune.modeling import adapt, tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel, load_base
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
        problems = adapt.complaints(base, job)
        complaints |= dict.fromkeys(problems)
        if not problems:
            remarks |= dict.fromkeys([*adapt.remarks(base, job), *task.rows.remarks])
    return Prepared(tuple(complaints), tuple(remarks), revisions)


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
            if path is None:
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
    """Load the base model of a job, with a head for the classes of the data."""
    return load_base(job.model, data.examples.task, data.examples.classes, job.training.precision)
