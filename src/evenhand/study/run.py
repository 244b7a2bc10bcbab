"""A study from spec to result, on one page.

load -> plan -> prepare -> train -> judge -> result.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.spec.stored import study_json
from evenhand.spec.study import Study
from evenhand.store.folder import StudyFolder, write_json
from evenhand.study import bases
from evenhand.study import data as rows
from evenhand.study.look import look_at_rows
from evenhand.study.plan import plan
from evenhand.study.results.document import judge
from evenhand.study.workers.pool import TRAINER, Executor, WorkerPool, count_workers, refuse_call
from evenhand.study.workers.progress import Progress, Watch, unwatched
from evenhand.study.workers.schedule import Schedule


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
        workers: how many processes train at once; None is one per core. With `accelerate`, how many do each
            run together; None is one per GPU, or 2 without any.
        executor: `processes`, each with a run of its own; `local` for a single one; `accelerate` for one run
            after the other, by all of them.
        trainer: module with `prepare` and `train`.
        watch: is told how far it is.

    Returns:
        The result, also where runs failed: they are told, and tried again by the next call.

    Raises:
        InputError: the study cannot be run here; every complaint at once, before training.
        RuntimeError: a process died that had no run to do.
    """
    refuse_call(study, workers, executor)
    folder = StudyFolder(output / study.name)
    watch(Progress("loading"))
    facts = checked(study, folder)
    models = bases.look(plan(study), folder.runs_of(facts))
    planned = tuple(models.pinned(one) for one in plan(study))
    plain = as_plain(study)
    group = (workers or 0) if executor == "accelerate" else None
    with WorkerPool(study, facts, trainer, group=group, bases=models) as crew:
        schedule = Schedule.of(folder.runs_of(facts), planned, rows.sizes(facts))
        if schedule.open:
            watch(Progress("preparing", runs=len(schedule.planned)))
            at_once = count_workers(workers, executor, len(schedule.queue))
            remarks = crew.prepare(planned, at_once)
            folder.refuse_full(sum(crew.stored.get(run_id) or 0 for run_id in schedule.queue))
            folder.create(plain, facts)
            write_json(folder.prepared, {"remarks": remarks})
            crew.train(schedule, at_once, watch)
        elif folder.prepared_fault:
            write_json(folder.prepared, {"remarks": crew.prepare(planned)})
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
    facts, complaints = look_at_rows(study.dataset, study)
    complaints += folder.complaints(as_plain(study), facts)
    if not complaints and facts is not None:
        try:
            bases.look(plan(study), folder.runs_of(facts))
        except InputError as error:
            complaints += error.complaints
    if complaints or facts is None:
        raise InputError(complaints)
    return facts


def as_plain(study: Study) -> dict[str, Any]:
    """A study as its folder keeps it."""
    plain: dict[str, Any] = json.loads(study_json(study))
    return plain
