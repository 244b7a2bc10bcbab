"""What the commands about studies share: which folder is meant, and the look of a console."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evenhand.cli import hush
from evenhand.errors import CallError, nearest
from evenhand.tables.io.paths import local, path_fault, unsupported_location

if TYPE_CHECKING:
    from rich.console import Console

    from evenhand.store.folder import StudyFolder
    from evenhand.study.results.status import Standing
    from evenhand.study.run import StudyResult

OUTPUT = "evenhand-runs"


def one_thread_of_linear_algebra() -> None:
    """Keep numpy's products to one thread, unless the environment says otherwise; before numpy is imported.

    Judging a study multiplies many small matrices, in threads of its own: more of them only wait for each
    other.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def place(given: str) -> Path:
    """The folder that a path means, whether it is there or not.

    Raises:
        CallError: it cannot be one, or means something that is not on this machine.
    """
    why = unsupported_location(local(given)) if given else "is an empty path; give a folder."
    why = why or path_fault(local(given))
    if why:
        raise CallError(f"{given!r}: {why}" if "\0" in given or not given.strip() else f"{given}: {why}")
    return Path(local(given))


def folders(given: str) -> list[StudyFolder]:
    """The studies that a path means: the folder of one, or the folder in which several are.

    Raises:
        CallError: there are none.
    """
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415

    path = place(given)
    one = StudyFolder(path)
    try:
        if one.study.is_file():
            return [one]
        if path.is_file():
            raise CallError(
                f"{given}: is a file; give the folder of a study, or one that holds such folders."
            )
        if not path.is_dir():
            beside = (
                sorted(p.name for p in path.parent.iterdir() if p.is_dir()) if path.parent.is_dir() else []
            )
            raise CallError(f"{given}: there is no such folder; {nearest(path.name, beside)}")
        found = [StudyFolder(p) for p in sorted(path.iterdir()) if StudyFolder(p).study.is_file()]
    except OSError as error:
        raise CallError(f"{given}: cannot be read ({error.strerror or error}).") from None
    if not found:
        raise CallError(f"{given}: holds no study: neither study.json nor a folder that has one.")
    return found


def tell_faults(standing: Standing) -> None:
    """Say which runs of a study are damaged, and which have lost what was saved of their models."""
    for planned, state in standing.runs:
        if state.fault:
            click.echo(f"  {planned.run_id} ({planned.title}) is corrupt: {state.fault}", err=True)
        if state.lost:
            what = f"what was saved of its model is gone: {state.lost}"
            click.echo(f"  {planned.run_id} ({planned.title}): {what}", err=True)


def console(*, stderr: bool = False) -> Console:
    """A console whose reader may go away."""
    from rich.console import Console  # noqa: PLC0415

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            hush(sys.stderr if self.stderr else sys.stdout)

    return Quiet(stderr=stderr, highlight=False)


def publish(made: StudyResult) -> None:
    """Write the page of a study, and print its answer."""
    from evenhand.report.study.page import build_study_page, summarise_study  # noqa: PLC0415
    from evenhand.tables.io.write import write_atomic  # noqa: PLC0415

    folder = made.folder
    write_atomic(folder.report, build_study_page(made.result))
    written = {"report": str(folder.report), "result": str(folder.result)}
    summarise_study(made.result, console(), written)
