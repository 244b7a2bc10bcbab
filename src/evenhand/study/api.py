"""`evenhand.run`: a study from Python."""

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
        overrides: `key=value`, with dotted keys and values in YAML, which go before the file's.
        workers: how many processes train at once; None is one per core. With `accelerate`, how many do each
            run together; None is one per GPU, or 2 without any.
        executor: `processes`, each with a run of its own; `local` for a single one; `accelerate` for one run
            after the other, by all of them.
        watch: is called with an `evenhand.study.workers.progress.Progress` whenever something has happened.

    Returns:
        One result for each study of the file; `.result` is the document `evenhand.study/1`, which also
        stands in `result.json`. Runs that failed are in `.failed`, and are tried again by the next call.

    Raises:
        InputError: the spec, the data or the models cannot be used; every complaint at once.
    """
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415
    from evenhand.study.run import run_study  # noqa: PLC0415
    from evenhand.study.workers.progress import unwatched  # noqa: PLC0415

    source = spec if isinstance(spec, Mapping) else Path(spec) if isinstance(spec, os.PathLike) else spec
    made = []
    for study, tree in read_located_studies(source, overrides=overrides):
        with locating_complaints(tree):
            made.append(
                run_study(study, Path(output), workers=workers, executor=executor, watch=watch or unwatched)
            )
    return made
