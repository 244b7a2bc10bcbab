"""What the commands that judge files share: options that hold lists, a sign of life, the gate."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

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


def gate(verdicts: Sequence[Mapping[str, Any]], fail_on: str | None) -> int:
    """The exit code: whether verdicts pass what was asked for; says why they do not, and of what that holds.

    Args:
        verdicts: the `verdict` of every document.
        fail_on: `harm`, `undecided`, or None for no gate.
    """
    if fail_on is None:
        return 0
    if not any(n for one in verdicts for n in one["counts"].values()):
        click.echo(f"--fail-on {fail_on}: no comparison got a verdict, so the gate is not passed.", err=True)
        return GATE_FAILED
    failing = ("harm",) if fail_on == "harm" else ("harm", "undecided")
    found = {word: sum(one["counts"][word] for one in verdicts) for word in failing}
    if not any(found.values()):
        return 0
    counted = " and ".join(f"{n} {word}" for word, n in found.items() if n)
    few = any(one["about"] == "these runs" for one in verdicts if any(one["counts"][w] for w in failing))
    about = "in these runs, which is no claim about the method (that takes 5 runs of each arm)"
    click.echo(
        f"--fail-on {fail_on}: the gate is not passed: {counted} {about if few else 'of the method'}.",
        err=True,
    )
    return GATE_FAILED


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is being done, where a person watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(what):
        yield
