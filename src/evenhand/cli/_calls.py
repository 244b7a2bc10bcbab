"""What the commands that judge files share: options that hold lists, a sign of life, the gate."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evenhand.report.document import Document

GATE_FAILED = 3


def pairs(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, str], ...]:
    """Read `COL=VALUE`; a value may hold further equals signs, or be empty."""
    found = []
    for text in texts:
        column, equals, value = text.partition("=")
        if not column or not equals:
            complaints.append(f"--where {text!r}: write COL=VALUE, as in --where language=en.")
        found.append((column, value))
    return tuple(found)


def crossings(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, ...], ...]:
    """Read `COL,COL`: attributes to cross."""
    found = []
    for text in texts:
        columns = tuple(part.strip() for part in text.split(","))
        if len(columns) < 2 or not all(columns):
            complaints.append(f"--intersect {text!r}: write two or more columns, as in --intersect race,sex.")
        elif len(set(columns)) < len(columns):
            complaints.append(f"--intersect {text!r}: names a column twice.")
        found.append(columns)
    return tuple(found)


def gate(document: Document, fail_on: str | None) -> int:
    """The exit code: whether the verdicts pass what was asked for."""
    counts = document["verdict"]["counts"]
    if fail_on and not any(counts.values()):
        click.echo(f"--fail-on {fail_on}: no comparison got a verdict, so the gate is not passed.", err=True)
        return GATE_FAILED
    failing = {"harm": ("harm",), "undecided": ("harm", "undecided")}.get(fail_on or "", ())
    return GATE_FAILED if any(counts[verdict] for verdict in failing) else 0


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is being done, where a person watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(what):
        yield
