"""`evenhand.run`: run a study from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.study.run import StudyResult
    from evenhand.study.workers.pool import Executor
    from evenhand.study.workers.progress import Watch


def run(
    spec: str | os.PathLike[str] | Mapping[str, Any],
    *,
    output: str | os.PathLike[str] = "evenhand-runs",
    overrides: Sequence[str] = (),
    workers: int | None = None,
    executor: Executor = "processes",
    watch: Watch | None = None,
) -> list[StudyResult]:
    """Train the methods of a study and judge them by group, as `evenhand run` does.

    Args:
        spec: a study file, the name of a recipe, or a mapping with the keys of a file.
        output: folder of all studies.
        overrides: `key=value` with dotted keys and YAML values, which override the file.
        workers: number of processes that train at once; None is one per core. With `accelerate`, the number
            of processes per run; None is one per GPU, or 2 without a GPU.
        executor: `processes`, each with its own run; `local` for a single process; `accelerate` to train one
            run after the other, each by all processes.
        watch: called with an `evenhand.study.workers.progress.Progress` after every event.

    Returns:
        One result for each study of the file; `.result` is the document `evenhand.study/1`, which is also
        written to `result.json`. Failed runs are in `.failed`; the next call retries them.

    Raises:
        InputError: the spec, the data or the models cannot be used; all complaints together.
    """
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415
    from evenhand.study.run import run_study  # noqa: PLC0415
    from evenhand.study.workers.progress import unwatched  # noqa: PLC0415

    source = spec if isinstance(spec, Mapping) else Path(spec) if isinstance(spec, os.PathLike) else spec
    results = []
    for study, tree in read_located_studies(source, overrides=overrides):
        with locating_complaints(tree):
            results.append(
                run_study(study, Path(output), workers=workers, executor=executor, watch=watch or unwatched)
            )
    return results
