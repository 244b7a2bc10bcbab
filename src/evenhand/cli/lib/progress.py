"""A study's progress on standard error: a bar on a terminal, occasional lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from evenhand.cli.lib.studies import console

if TYPE_CHECKING:
    from evenhand.study.workers.progress import Progress, Watch

_PHASES = {
    "loading": "reading the data",
    "preparing": "preparing the models",
    "training": "training",
    "judging": "judging",
}
#: Minimum time between two lines of a log about ended runs.
_SECONDS_BETWEEN_LINES = 10.0
_MAX_NAMES = 2


@contextlib.contextmanager
def show_progress(name: str) -> Iterator[Watch]:
    """Show the progress of a study while the block runs.

    Args:
        name: the name of the study.
    """
    if sys.stderr.isatty():
        with _bar(name) as watch:
            yield watch
    else:
        yield _Lines(name)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Watch]:
    from rich import progress as rich  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        rich.BarColumn(bar_width=20),
        rich.TextColumn("{task.percentage:>3.0f} %"),
        rich.TimeRemainingColumn(compact=True),
        # The runs in progress get the remaining width.
        rich.TextColumn("{task.fields[under_way]}", table_column=Column(no_wrap=True, ratio=1)),
    )
    with rich.Progress(*columns, console=console(stderr=True), transient=True, expand=True) as bars:
        task = bars.add_task(name, total=None, under_way="")

        def watch(now: Progress) -> None:
            if now.message:
                bars.console.print(escape(now.message), soft_wrap=True)
            bars.update(
                task,
                description=escape(f"{name}: {_now(now)}"),
                total=1.0 if now.phase == "training" else None,
                completed=now.share,
                under_way=escape(_under_way(now)),
            )

        yield watch


class _Lines:
    """Print a line when the phase changes, for each message, and as runs end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._phase: str | None = None
        self._ended = 0
        self._last_line = self._began = time.monotonic()

    def __call__(self, now: Progress) -> None:
        if now.message:
            self._say(now.message)
        ended = now.finished + now.failed
        late = time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES
        if now.phase != self._phase or (ended > self._ended and (late or ended == now.runs)):
            self._phase, self._ended = now.phase, ended
            names = _under_way(now)
            self._say(f"{self._name}: {_now(now)}" + (f" ({names})" if names else ""))

    def _say(self, text: str) -> None:
        self._last_line = time.monotonic()
        click.echo(f"[{self._last_line - self._began:6.1f} s] {text}", err=True)


def _now(now: Progress) -> str:
    """Describe the current phase in a few words."""
    phase = _PHASES[now.phase]
    if now.phase != "training":
        return phase
    failed = f", {now.failed} failed" if now.failed else ""
    return f"{phase}, {now.finished} of {now.runs} runs{failed}"


def _under_way(now: Progress) -> str:
    """Name some of the runs in progress, by arm and seed."""
    names = [title.rpartition(", ")[0] for title in now.running]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return "; ".join(names[:_MAX_NAMES]) + more
