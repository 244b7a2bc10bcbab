"""The runs of a study: one job for every model, arm and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from evenhand.finetune import Job, Membership, Model, Training, split_revision
from evenhand.spec.identity import run_id
from evenhand.spec.sections.existing import EXISTING, EXISTING_MODELS
from evenhand.spec.study import Arm, Study, Trial
from evenhand.spec.study import Model as ModelSpec
from evenhand.store.runs import GENERATIONS, LIKELIHOODS, PREDICTIONS, SIGNALS, TRAIN_IDS
from evenhand.study.data import train_digest
from evenhand.study.membership import halves, target, train_rows

#: Tables of the tasks that generate or score texts; other tasks write predictions.
TABLES = {"translation": GENERATIONS, "language": LIKELIHOODS}


@dataclass(frozen=True)
class Planned:
    """A run of a study's plan.

    Attributes:
        run_id: the hash of everything that can change the run's results.
        job: the job; its `arm` includes the name of the trial.
        arm: the arm of the run.
        trial: the trial of the arm; None if the arm is not tuned.
    """

    run_id: str
    job: Job
    arm: str
    trial: Trial | None = None

    @property
    def title(self) -> str:
        """A readable name: arm, seed and model."""
        return f"{self.what}, seed {self.job.seed}, {self.job.model.label}"

    @property
    def what(self) -> str:
        """The arm with its trial, or with the half that the run is trained on."""
        return self.job.arm if self.half is None else f"{self.job.arm} on half {self.half}"

    @property
    def kind(self) -> str:
        """A name shared by runs that differ only in seeds and halves."""
        return self.job.arm if self.half is None else f"{self.job.arm} on halves"

    @property
    def half(self) -> int | None:
        """The half of the rows that a run for attacks only is trained on; None for other runs."""
        return None if self.job.membership is None else self.job.membership.half

    def about(self, study: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Build the first part of the run's record.

        Args:
            study: the name of the study.
            data: the stored facts of the rows.
        """
        return {
            "study": study,
            "model": self.job.model.label,
            "arm": self.job.arm,
            "seed": self.job.seed,
            "job": as_plain(self.job),
            "data": {"sha256": data["sha256"], "train_ids_sha256": train_digest(data, self.job)},
        }


def plan(study: Study) -> tuple[Planned, ...]:
    """List the runs of a study, with seeds outermost: a study stopped early has all arms for some seeds.

    Every trial of an arm has its own run. Arms and trials that differ only in their names share runs, which
    have the same id. Runs for attacks only come last, with the same halves for every arm.
    """
    judged = tuple(
        _planned(study, model, arm, trial, seed, target(study.privacy))
        for seed in study.seeds
        for model in study.models
        for arm in study.arms
        for trial in arm.trials or (None,)
    )
    attacked = tuple(
        _planned(study, model, arm, None, membership.seed + (membership.half or 0), membership)
        for membership in halves(study.privacy)
        for model in study.models
        for arm in study.arms
    )
    return (*judged, *attacked)


def job_of(study: Study, model: ModelSpec, arm: Arm) -> Job:
    """Return the job of an arm on a model, with the first seed."""
    return _job(study, model, arm, arm.name, study.seeds[0])


def as_plain(job: Job) -> dict[str, Any]:
    """Convert a job to plain data for JSON."""
    plain = asdict(job)
    if job.membership is None:
        del plain["membership"]
    return plain


def tables(job: Job, task: str) -> tuple[str, ...]:
    """List the tables that a finished run must have written for its task."""
    written = () if job.for_signals else (TABLES.get(task, PREDICTIONS),)
    return written if job.membership is None else (*written, SIGNALS, TRAIN_IDS)


def steps(job: Job, sizes: Mapping[str, int]) -> int:
    """Count the optimiser steps of a run that trains, given the sizes of the parts."""
    per_epoch = -(-train_rows(job, sizes) // job.training.batch_size)
    return max(1, job.training.epochs * per_epoch)


def _planned(
    study: Study, model: ModelSpec, arm: Arm, trial: Trial | None, seed: int, membership: Membership | None
) -> Planned:
    done = arm if trial is None else arm.with_trial(trial)
    done = done.on(model.label)
    name = arm.name if trial is None else f"{arm.name} at {trial.name}"
    membership_facts = None if membership is None else asdict(membership)
    job = replace(_job(study, model, done, name, seed), membership=membership)
    return Planned(run_id(study, model, done, seed, membership=membership_facts), job, arm.name, trial)


def _job(study: Study, model: ModelSpec, arm: Arm, name: str, seed: int) -> Job:
    training = Training(
        learning_rate=arm.learning_rate, epochs=arm.epochs, **study.training.model_dump(mode="json")
    )
    return Job(
        arm=name,
        model=_ready_model(study, model, arm, seed) or Model(model.name, dict(model.options), model.label),
        method=arm.method,
        options=arm.config.model_dump(mode="json"),
        training=training,
        seed=seed,
    )


def _ready_model(study: Study, model: ModelSpec, arm: Arm, seed: int) -> Model | None:
    """Return the model that exists already of a seed's run; None for an arm that is trained."""
    names: tuple[str, ...] = getattr(arm.config, EXISTING_MODELS, ())
    if arm.method != EXISTING:
        return None
    name, revision = split_revision(names[study.seeds.index(seed)])
    options = arm.config.model_dump(mode="json", exclude={EXISTING_MODELS}, exclude_defaults=True)
    return Model(name, options if revision is None else {**options, "revision": revision}, model.label)
