"""A study from spec to result, on one page.

load -> plan -> prepare -> train -> judge -> result.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.errors import CallError, InputError
from evenhand.spec.stored import study_json
from evenhand.spec.study import Study
from evenhand.store.folder import StudyFolder, write_json
from evenhand.study import data as rows
from evenhand.study.execute import EXECUTORS, TRAINER, Crew, Executor, count_workers
from evenhand.study.judge import judge
from evenhand.study.plan import plan
from evenhand.study.progress import Progress, Watch, unwatched
from evenhand.study.schedule import Schedule


@dataclass(frozen=True)
class StudyResult:
    """What a study came to.

    Attributes:
        result: the document `evenhand.study/1`.
        folder: where everything is.
    """

    result: Mapping[str, Any]
    folder: StudyFolder

    @property
    def verdict(self) -> Mapping[str, Any]:
        """Counts of the verdicts, the worst row and the sentence."""
        found: Mapping[str, Any] = self.result["verdict"]
        return found

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """Runs that failed."""
        return list(self.result["failed"])


def run_study(
    study: Study,
    output: Path,
    *,
    workers: int | None = None,
    executor: Executor = "processes",
    trainer: str = TRAINER,
    watch: Watch = unwatched,
) -> StudyResult:
    """Do what is missing of a study, and judge it.

    Args:
        study: what to do.
        output: folder of all studies; this one gets a folder of its name there.
        workers: how many processes train at once; None is one per core.
        executor: `processes`, or `local` for a single one.
        trainer: module with `prepare` and `train`.
        watch: is told how far it is.

    Returns:
        The result, also where runs failed: they are told, and tried again by the next call.

    Raises:
        InputError: the study cannot be run here; every complaint at once, before training.
        RuntimeError: a process died that had no run to do.
    """
    refuse_call(workers, executor)
    folder = StudyFolder(output / study.name)
    watch(Progress("loading"))
    facts = checked(study, folder)
    planned = plan(study)
    plain = as_plain(study)
    with Crew(study, facts, trainer) as crew:
        schedule = Schedule.of(folder.runs_of(facts), planned, rows.sizes(facts))
        if schedule.open:
            watch(Progress("preparing", runs=len(schedule.planned)))
            remarks = crew.prepare(planned)
            folder.create(plain, facts)
            write_json(folder.prepared, {"remarks": remarks})
            crew.train(schedule, count_workers(workers, executor, len(schedule.queue)), watch)
    folder.create(plain, facts)
    watch(Progress("judging", runs=len(schedule.planned)))
    return rebuild(study, folder)


def rebuild(study: Study, folder: StudyFolder) -> StudyResult:
    """Judge a study's finished runs, and write `result.json`."""
    result = judge(study, folder)
    write_json(folder.result, result)
    return StudyResult(result, folder)


def checked(study: Study, folder: StudyFolder) -> dict[str, Any]:
    """Load the rows, and check them and the folder.

    Returns:
        Facts of the rows; the rows themselves are not kept, every worker loads them.

    Raises:
        InputError: every complaint about either.
    """
    complaints: list[str] = []
    facts = None
    try:
        facts = rows.load_checked(study.dataset, study.own_splits, privacy=study.privacy).facts
    except InputError as error:
        complaints += error.complaints
    if facts is not None and study.tuned and not rows.sizes(facts)["validation"]:
        complaints.append(
            f"dataset {study.dataset.name}: has no validation rows, on which 'tune' chooses; give it "
            "some, or take 'tune' out."
        )
    complaints += folder.complaints(as_plain(study), facts)
    if complaints or facts is None:
        raise InputError(complaints)
    return facts


def as_plain(study: Study) -> dict[str, Any]:
    """A study as its folder keeps it."""
    plain: dict[str, Any] = json.loads(study_json(study))
    return plain


def refuse_call(workers: int | None, executor: str) -> None:
    """Complain of a call that cannot be meant."""
    if executor not in EXECUTORS:
        raise CallError(f"executor: got {executor!r}; must be one of {', '.join(EXECUTORS)}.")
    if workers is not None and workers < 1:
        raise CallError(f"workers: got {workers}; must be at least 1.")
