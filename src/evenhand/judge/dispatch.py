"""Judge whatever is given: predictions, generations or likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.errors import CallError, TableError
from evenhand.judge.result import AuditResult
from evenhand.judge.settings import SCORING, Settings
from evenhand.tables.schema import Columns, Source

if TYPE_CHECKING:
    from evenhand.tables.detect import Kind


def run_any(source: Source, columns: Columns, settings: Settings, *, scoring: str = SCORING) -> AuditResult:
    """Find out what kind of table is given, and judge it.

    Args:
        source: files, globs or tables in memory, all of one kind.
        columns: what their columns mean.
        settings: what to judge and how strictly.
        scoring: of likelihoods: by which scoring options are chosen.

    Raises:
        InputError: the call or a table is wrong; every complaint at once.
    """
    from evenhand.tables.detect import kind_of, why  # noqa: PLC0415  (duckdb)
    from evenhand.tables.io.in_memory import read_once  # noqa: PLC0415

    source = read_once(source)  # the first look at a stream would be the last
    kind = kind_of(source, columns)
    try:
        return _run(source, columns, settings, kind, scoring)
    except TableError as error:
        guess = why(source, columns, kind)
        raise TableError([*error.complaints, guess]) if guess else error from None


def _run(source: Source, columns: Columns, settings: Settings, kind: Kind, scoring: str) -> AuditResult:
    """Judge tables of a known kind."""
    if kind == "predictions":
        from evenhand.judge.run import run_audit  # noqa: PLC0415

        if scoring != SCORING:
            raise CallError(f"--scoring {scoring}: predictions have no options to score; leave it out.")
        return run_audit(source, columns, settings)
    from evenhand.judge.language.run import run_generative  # noqa: PLC0415

    return run_generative(source, columns, settings, kind=kind, scoring=scoring)
