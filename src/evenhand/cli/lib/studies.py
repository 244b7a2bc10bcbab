"""Helpers of the commands about studies: folders of studies, consoles, and published results."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evenhand.cli import silence
from evenhand.errors import CallError, nearest
from evenhand.tables.io.paths import local, path_fault, unsupported_location

if TYPE_CHECKING:
    from rich.console import Console

    from evenhand.store.folder import StudyFolder
    from evenhand.study.results.status import StudyStatus
    from evenhand.study.run import StudyResult

OUTPUT = "evenhand-runs"


def limit_blas_threads() -> None:
    """Limit numpy's BLAS to one thread, unless the environment sets it; call this before numpy is imported.

    Judging multiplies many small matrices, those of a study in its own threads: additional BLAS threads would
    only wait for each other.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def resolve_path(text: str) -> Path:
    """Return the local folder that a path names, whether it exists or not.

    Raises:
        CallError: the path is invalid, or names something that is not on this machine.
    """
    why = unsupported_location(local(text)) if text else "the path is empty; give a folder."
    why = why or path_fault(local(text))
    if why:
        raise CallError(f"{text!r}: {why}" if "\0" in text or not text.strip() else f"{text}: {why}")
    return Path(local(text))


def find_studies(text: str) -> list[StudyFolder]:
    """Find the studies in a path: the folder of one study, or a folder that contains several.

    Raises:
        CallError: the path contains no study, or cannot be read.
    """
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415

    path = resolve_path(text)
    folder = StudyFolder(path)
    try:
        if folder.study.is_file():
            return [folder]
        if path.is_file():
            raise CallError(
                f"{text}: this is a file; give the folder of a study, or a folder that contains studies."
            )
        if not path.is_dir():
            beside = (
                sorted(p.name for p in path.parent.iterdir() if p.is_dir()) if path.parent.is_dir() else []
            )
            hint = f"; {nearest(path.name, beside)}" if beside else "."
            raise CallError(f"{text}: folder not found{hint}")
        studies = [StudyFolder(p) for p in sorted(path.iterdir()) if StudyFolder(p).study.is_file()]
    except OSError as error:
        raise CallError(f"{text}: cannot be read ({error.strerror or error}).") from None
    if not studies:
        raise CallError(
            f"{text}: no study found: the folder contains neither study.json nor a folder with one."
        )
    return studies


def print_faults(standing: StudyStatus) -> None:
    """Print which runs of a study are damaged, and which have lost files of their saved models."""
    for planned, state in standing.runs:
        if state.fault:
            click.echo(f"  {planned.run_id} ({planned.title}) is corrupt: {state.fault}", err=True)
        if state.lost:
            what = f"files of its saved model are missing: {state.lost}"
            click.echo(f"  {planned.run_id} ({planned.title}): {what}", err=True)


def console(*, stderr: bool = False) -> Console:
    """Create a console that tolerates a closed pipe."""
    from rich.console import Console  # noqa: PLC0415

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            silence(sys.stderr if self.stderr else sys.stdout)

    return Quiet(stderr=stderr, highlight=False)


def publish(study: StudyResult) -> None:
    """Write the HTML report of a study, and print its summary."""
    from evenhand.report.study.page import build_study_page, summarise_study  # noqa: PLC0415
    from evenhand.tables.io.write import write_atomic  # noqa: PLC0415

    folder = study.folder
    write_atomic(folder.report, build_study_page(study.result))
    written = {"report": str(folder.report), "result": str(folder.result)}
    summarise_study(study.result, console(), written)
