"""Before a study: its models are fetched or made, and its jobs are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Prepared, adapt
from evenhand.finetune.base import Base, load_base
from evenhand.finetune.goals import goal_of


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
            base = base_of(job, data)
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


def base_of(job: Job, data: Data) -> Base:
    """The base model of a job, with a head for the classes of the data."""
    return load_base(job.model, data.examples.task, data.examples.classes, job.training.precision)
