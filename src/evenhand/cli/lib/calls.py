"""Helpers of the commands that judge: parsing of list options, publication of a result, the gate."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.options import FileOptions
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import console
from evenhand.errors import CallError, InputError

if TYPE_CHECKING:
    from evenhand.report.document import Document
    from evenhand.tables.schema import Columns

GATE_FAILED = 3


def build_columns(options: FileOptions, complaints: list[str]) -> Columns:
    """Build the columns that all tables have; complaints about list options are added to `complaints`."""
    from evenhand.tables.schema import Columns  # noqa: PLC0415  (numpy)

    return Columns(
        by=options.by,
        memberships=options.memberships,
        where=parse_conditions(options.where, complaints),
        intersect=parse_crossings(options.intersect, complaints),
        id=options.id,
        arm=options.arm,
        run=options.run,
        names=options.name,
    )


@contextlib.contextmanager
def report_together(complaints: Sequence[str]) -> Iterator[None]:
    """Raise complaints after the block, together with those that the block raises."""
    try:
        yield
    except InputError as error:
        raise CallError([*complaints, *error.complaints]) from None
    if complaints:
        raise CallError(complaints)


def parse_conditions(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, str], ...]:
    """Parse `COL=VALUE`; a value may contain further equals signs, or be empty."""
    conditions = []
    for text in texts:
        column, equals, value = text.partition("=")
        if not column or not equals:
            complaints.append(f"--where {text!r}: write COL=VALUE, as in --where language=en.")
        conditions.append((column, value))
    return tuple(conditions)


def parse_crossings(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, ...], ...]:
    """Parse `COL,COL`: the attributes to cross."""
    crossed = []
    for text in texts:
        columns = tuple(part.strip() for part in text.split(","))
        if len(columns) < 2 or not all(columns):
            complaints.append(f"--intersect {text!r}: write two or more columns, as in --intersect race,sex.")
        elif len(set(columns)) < len(columns):
            complaints.append(f"--intersect {text!r}: a column is named twice.")
        crossed.append(columns)
    return tuple(crossed)


def publish_document(document: Document, outputs: Outputs, fail_on: str | None) -> int:
    """Write the output files of a result, print its summary, and return the exit code of the gate."""
    refuse_single_arm(fail_on, "" if document["comparisons"] else "there is")
    outputs.write(outputs.render(document))
    outputs.summarise(document, console(stderr=outputs.to_standard_output))
    return check_gate([document["verdict"]], fail_on)


def refuse_single_arm(fail_on: str | None, subject: str) -> None:
    """Refuse `--fail-on` for a single arm; `subject` names what has it and its verb, or is empty."""
    if fail_on and subject:
        raise CallError(
            f"--fail-on {fail_on}: {subject} only one arm, so nothing can be compared; give a second one."
        )


def check_gate(verdicts: Sequence[Mapping[str, Any]], fail_on: str | None) -> int:
    """Return the exit code of `--fail-on`, and print why the gate failed and what this claim covers.

    Args:
        verdicts: the `verdict` of each document.
        fail_on: `harm`, `undecided`, or None for no gate.
    """
    if fail_on is None:
        return 0
    if not any(n for verdict in verdicts for n in verdict["counts"].values()):
        click.echo(f"--fail-on {fail_on}: no comparison received a verdict, so the gate fails.", err=True)
        return GATE_FAILED
    failing = ("harm",) if fail_on == "harm" else ("harm", "undecided")
    failures = {word: sum(verdict["counts"][word] for verdict in verdicts) for word in failing}
    if not any(failures.values()):
        return 0
    counted = " and ".join(f"{n} {word}" for word, n in failures.items() if n)
    few = any(
        verdict["about"] == "these runs" for verdict in verdicts if any(verdict["counts"][w] for w in failing)
    )
    about = "in these runs; this is not a claim about the method, which needs more runs of each arm"
    click.echo(
        f"--fail-on {fail_on}: the gate fails: {counted} {about if few else 'of the method'}.",
        err=True,
    )
    return GATE_FAILED


@contextlib.contextmanager
def show_status(what: str) -> Iterator[None]:
    """Show a status line while the block runs, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(what):
        yield
