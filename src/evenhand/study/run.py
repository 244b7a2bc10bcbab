"""A study from spec to result, on one page.

load -> plan -> prepare -> train -> judge -> result.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.spec.stored import as_plain
from evenhand.spec.study import Study
from evenhand.store.folder import StudyFolder, write_json
from evenhand.study import bases
from evenhand.study import data as rows
from evenhand.study.bases import Bases
from evenhand.study.look import check_study
from evenhand.study.matching import choose_sizes
from evenhand.study.plan import plan
from evenhand.study.results.document import judge
from evenhand.study.workers.messages import Open, Step, Train
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
    study = choose_sizes(study)
    folder = StudyFolder(output / study.name)
    watch(Progress("loading"))
    facts = check_study(study, folder)
    models = bases.read_bases(plan(study), folder.runs_of(facts))
    planned, plain = [models.pinned(run) for run in plan(study)], as_plain(study)
    jobs = {run.run_id: run.job for run in planned}
    schedule = Schedule.of(folder.runs_of(facts), planned, rows.sizes(facts))
    opening = Open(study.dataset, study.split_seeds, facts["sha256"], trainer)
    group = (workers or 0) if executor == "accelerate" else None
    with WorkerPool(opening, count_workers(workers, executor, len(schedule.queue)), group=group) as pool:
        if schedule.open:
            watch(Progress("preparing", runs=len(schedule.planned)))
            prepared = pool.prepare(list(jobs.values()))
            stored = dict(zip(jobs, prepared.stored, strict=False))
            folder.refuse_full(sum(stored.get(run_id) or 0 for run_id in schedule.queue))
            folder.create(plain, facts)
            write_json(folder.prepared, {"remarks": list(prepared.remarks)})
            _train(study, facts, models.pin(prepared.revisions), schedule, pool, watch)
        elif folder.prepared_fault:
            write_json(folder.prepared, {"remarks": list(pool.prepare(list(jobs.values())).remarks)})
    folder.create(plain, facts)
    watch(Progress("judging", runs=len(schedule.planned)))
    return rebuild(study, folder)


def _train(
    study: Study, facts: Mapping[str, Any], models: Bases, schedule: Schedule, pool: WorkerPool, watch: Watch
) -> None:
    """Hand the queued runs to workers, and wait for all runs, also those that other processes train."""
    watch(schedule.progress())
    while schedule.open:
        while pool.has_idle and schedule.queue:
            run = models.pinned(schedule.next())
            record = run.about(study.name, facts) | models.record(run.job.model)
            failures = schedule.failures[run.run_id]
            pool.train(Train(run.run_id, run.job, schedule.runs.path, failures, record))
        pool.start(len(schedule.queue))
        for trained, event in pool.wait():
            if isinstance(event, Step):
                schedule.running[trained.run_id] = event.done / max(1, event.all)
                watch(schedule.progress())
                continue
            if event.crash is not None:
                schedule.runs.record_crash(trained.run_id, trained.about, event.crash)
            for remark in event.remarks:
                watch(schedule.progress(remark))
            watch(schedule.progress(schedule.end(trained.run_id)))
        if schedule.elsewhere:
            schedule.look_elsewhere()
            watch(schedule.progress())


def rebuild(study: Study, folder: StudyFolder) -> StudyResult:
    """Judge the finished runs of a study, and write `result.json`."""
    result = judge(study, folder)
    write_json(folder.result, result)
    return StudyResult(result, folder)
