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
    """The result of a study.

    Attributes:
        result: the document `evenhand.study/1`.
        folder: the folder of the study.
    """

    result: Mapping[str, Any]
    folder: StudyFolder

    @property
    def verdict(self) -> Mapping[str, Any]:
        """The counts of verdicts, the worst row and the sentence."""
        verdict: Mapping[str, Any] = self.result["verdict"]
        return verdict

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """The rows of runs that are not finished, with their errors."""
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
    """Train the missing runs of a study, and judge it.

    Args:
        study: the study.
        output: folder of all studies; this study gets a subfolder with its name.
        workers: number of processes that train at once; None is one per core. With `accelerate`, the number
            of processes per run; None is one per GPU, or 2 without a GPU.
        executor: `processes`, each with its own run; `local` for a single process; `accelerate` to train one
            run after the other, each by all processes.
        trainer: name of the module with `prepare` and `train`.
        watch: called with the progress.

    Returns:
        The result, also if runs failed; the result lists them, and the next call retries them.

    Raises:
        InputError: the study cannot be run here; all complaints together, before training.
        RuntimeError: a process died that had no run.
    """
    refuse_call(study, workers, executor)
    folder = StudyFolder(output / study.name)
    watch(Progress("loading"))
    facts = check_study(study, folder)
    models = bases.read_bases(plan(study), folder.runs_of(facts))
    planned = tuple(models.pinned(run) for run in plan(study))
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
    """Judge the finished runs of a study, and write `result.json`."""
    result = judge(study, folder)
    write_json(folder.result, result)
    return StudyResult(result, folder)


def check_study(study: Study, folder: StudyFolder) -> dict[str, Any]:
    """Load the rows, and check them and the folder.

    Returns:
        Facts of the rows; the rows themselves are discarded, because every worker loads them.

    Raises:
        InputError: all complaints about the rows and the folder.
    """
    facts, complaints = look_at_rows(study.dataset, study)
    complaints += folder.complaints(as_plain(study), facts)
    if not complaints and facts is not None:
        try:
            bases.read_bases(plan(study), folder.runs_of(facts))
        except InputError as error:
            complaints += error.complaints
    if complaints or facts is None:
        raise InputError(complaints)
    return facts


def as_plain(study: Study) -> dict[str, Any]:
    """Convert a study to plain data, as stored in its folder."""
    plain: dict[str, Any] = json.loads(study_json(study))
    return plain
