"""What a study runs: one job for every model, arm and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evenhand.finetune import Job, Model, Training
from evenhand.spec.identity import run_id
from evenhand.spec.study import Arm, Study, Trial
from evenhand.spec.study import Model as ModelSpec
from evenhand.study.data import drawn


@dataclass(frozen=True)
class Planned:
    """A run that a study asks for.

    Attributes:
        run_id: its identity: all that can change its results.
        job: what is to be done; its `arm` names the trial too.
        arm: the arm that it is for.
        trial: which of the arm's trials it is; None where nothing is tuned.
    """

    run_id: str
    job: Job
    arm: str
    trial: Trial | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.job.arm}, seed {self.job.seed}, {self.job.model.label}"

    def about(self, study: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The first part of its record.

        Args:
            study: the study's name.
            data: the stored facts of the rows.
        """
        return {
            "study": study,
            "model": self.job.model.label,
            "arm": self.job.arm,
            "seed": self.job.seed,
            "job": as_plain(self.job),
            "data": {
                "sha256": data["sha256"],
                "train_ids_sha256": drawn(data, self.job.seed)["train_ids_sha256"],
            },
        }


def plan(study: Study) -> tuple[Planned, ...]:
    """List the runs of a study, seeds outermost: a study that is stopped early has all arms of some seeds.

    Every trial of an arm is a run of its own. Arms and trials that are the same in all but their names share
    their runs: these have one id.
    """
    return tuple(
        _planned(study, model, arm, trial, seed)
        for seed in study.seeds
        for model in study.models
        for arm in study.arms
        for trial in arm.trials or (None,)
    )


def as_plain(job: Job) -> dict[str, Any]:
    """A job as JSON can hold it."""
    return asdict(job)


def from_plain(value: Mapping[str, Any]) -> Job:
    """The job of `as_plain`."""
    return Job(**{**value, "model": Model(**value["model"]), "training": Training(**value["training"])})


def steps(job: Job, train_rows: int) -> int:
    """About how many optimiser steps a run takes, to weigh runs in a progress bar."""
    per_epoch = -(-train_rows // job.training.batch_size)
    return max(1, job.training.epochs * per_epoch)


def _planned(study: Study, model: ModelSpec, arm: Arm, trial: Trial | None, seed: int) -> Planned:
    done = arm if trial is None else arm.tried(trial)
    name = arm.name if trial is None else f"{arm.name} at {trial.name}"
    return Planned(run_id(study, model, done, seed), _job(study, model, done, name, seed), arm.name, trial)


def _job(study: Study, model: ModelSpec, arm: Arm, name: str, seed: int) -> Job:
    training = Training(
        learning_rate=arm.learning_rate, epochs=arm.epochs, **study.training.model_dump(mode="json")
    )
    return Job(
        arm=name,
        model=Model(model.name, dict(model.options), model.label),
        method=arm.method,
        options=arm.config.model_dump(mode="json"),
        training=training,
        seed=seed,
    )
