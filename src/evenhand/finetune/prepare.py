"""Before a study: its models are fetched or made, and its jobs are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Prepared
from evenhand.finetune.estimate.shape import at_hand, shape_of
from evenhand.finetune.inputs.batches import encoded, tokenizer_of
from evenhand.finetune.modeling import adapt, tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel, load_base
from evenhand.finetune.tasks import task_of


def prepare(jobs: Sequence[Job], data: Data) -> Prepared:
    """Load (download, pretrain) every model once, and say what stands against the jobs.

    Args:
        jobs: all runs of a study.
        data: its rows.
    """
    complaints: dict[str, None] = {}
    remarks: dict[str, None] = {}
    revisions: dict[str, str] = {}
    lost: set[str] = set()  # models that cannot be had, which takes long enough to find out once
    for job in {(j.model.key, j.arm, j.training): j for j in jobs}.values():
        if job.model.key in lost:
            continue
        try:
            base = base_of(job, data)
            goal = task_of(base, job, data)
        except InputError as error:
            lost.add(job.model.key)
            complaints |= dict.fromkeys(error.complaints)
            continue
        if base.revision is not None:
            revisions[job.model.key] = base.revision
        if base.earlier:
            remarks[base.earlier] = None
        wrong = adapt.complaints(base, job)
        complaints |= dict.fromkeys(wrong)
        if not wrong:
            remarks |= dict.fromkeys([*adapt.remarks(base, job), *goal.remarks])
    return Prepared(tuple(complaints), tuple(remarks), revisions)


def refuse_texts(jobs: Sequence[Job], texts: Callable[[], Sequence[str]]) -> None:
    """Complain of texts that a model's embedding has no rows for, without loading its weights.

    Only models whose files are at hand can be looked at.

    Args:
        jobs: of a study whose models read texts.
        texts: gives them; asked only where a tokenizer has more tokens than the embedding has rows.

    Raises:
        InputError: every complaint at once.
    """
    complaints: dict[str, None] = {}
    for job in {job.model.key: job for job in jobs}.values():
        try:
            place = at_hand(job.model)
            if place is None:
                continue
            config, tokenizer = shape_of(job.model), tokenizer_of(str(place))
            rows = tokens.rows_of(config)
            if tokens.spare(tokenizer, rows):
                limit = min(job.training.max_length, tokenizer.model_max_length)
                tokens.refuse_spare(tokenizer, encoded(tokenizer, texts(), limit), rows, str(place))
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
    if complaints:
        raise InputError(complaints)


def base_of(job: Job, data: Data) -> PretrainedModel:
    """The base model of a job, with a head for the classes of the data."""
    return load_base(job.model, data.examples.task, data.examples.classes, job.training.precision)
