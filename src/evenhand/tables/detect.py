"""Detect the kind of a table: predictions, generations or likelihoods."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from evenhand.errors import TableError
from evenhand.tables.answers import generations, likelihoods
from evenhand.tables.groups import refuse_impossible
from evenhand.tables.io.database import pattern, session
from evenhand.tables.io.dialects import dialect_of
from evenhand.tables.io.formats import open_table, tidy_names
from evenhand.tables.io.json_records import keys_at_start
from evenhand.tables.io.sources import TableSource, resolve_sources
from evenhand.tables.reader.fields import match_columns
from evenhand.tables.schema import Columns, Source
from evenhand.tables.values import Unreadable, shown

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["predictions", "generations", "likelihoods"]

#: Columns that identify a table of answers without metadata.
_MARKER_COLUMNS: dict[Kind, frozenset[str]] = {
    "likelihoods": frozenset({"log_prob", "option_token"}),
    "generations": frozenset({"completion"}),
}
_SCHEMAS: dict[str, Kind] = {generations.SCHEMA: "generations", likelihoods.SCHEMA: "likelihoods"}


def detect_kind(source: Source, columns: Columns) -> Kind:
    """Detect the kind of tables, from the metadata of parquet files, else from the columns.

    A file that cannot be opened counts as predictions: reading it raises the complaint.

    Raises:
        CallError: options contradict each other.
        TableError: the tables are of several kinds.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    refuse_impossible(columns)
    sources, _ = resolve_sources(source, columns)
    kind_by_title: dict[str, Kind] = {}
    with session() as db:
        for number, table_source in enumerate(sources):
            try:
                kind_by_title[table_source.title] = _detect_table_kind(db, table_source, number, columns)
            except (Unreadable, duckdb.Error, OSError):
                continue
    kinds = list(dict.fromkeys(kind_by_title.values()))
    if len(kinds) > 1:
        listed = "; ".join(f"{title}: {kind}" for title, kind in list(kind_by_title.items())[:10])
        raise TableError(f"The tables are of several kinds ({listed}); judge each kind by itself.")
    return kinds[0] if kinds else "predictions"


def explain_kind(source: Source, columns: Columns, kind: Kind) -> str | None:
    """Explain why tables are read as a kind; None unless columns of another kind suggest otherwise.

    Args:
        source: paths or tables in memory.
        columns: names of its columns.
        kind: the result of `detect_kind`.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    sources, _ = resolve_sources(source, columns)
    names: set[str] = set()
    with session() as db:
        for number, table_source in enumerate(sources):
            with contextlib.suppress(Unreadable, duckdb.Error, OSError):
                names |= _read_names(db, table_source, number)
    if kind != "predictions":
        if "label" not in names:
            return None
        signs = " and ".join(f"'{name}'" for name in sorted(_MARKER_COLUMNS[kind]))
        return f"Read as {kind}: the columns include {signs}, and none of predictions or scores."
    signs = " and ".join(f"'{name}'" for name in sorted(set().union(*_MARKER_COLUMNS.values()) & names))
    lacking = [
        f"{k} need {shown(sorted(s - names))} too"
        for k, s in _MARKER_COLUMNS.items()
        if s & names and s - names
    ]
    if not signs:
        return None
    because = "; ".join(lacking) or "a column of predictions or scores exists"
    return f"Read as predictions although the columns include {signs}: {because}."


def _detect_table_kind(db: DuckDBPyConnection, source: TableSource, number: int, columns: Columns) -> Kind:
    """Detect the kind of one table."""
    if source.ending in {".parquet", ".pq"}:
        assert source.path is not None
        rows = db.execute(
            f"SELECT decode(value) FROM parquet_kv_metadata({pattern(source.path)}) "
            "WHERE decode(key) = 'schema'"
        ).fetchall()
        if rows and rows[0][0] in _SCHEMAS:
            return _SCHEMAS[rows[0][0]]
    return _kind_from_columns(_read_names(db, source, number), columns)


def _read_names(db: DuckDBPyConnection, source: TableSource, number: int) -> set[str]:
    """Read the names of a table's columns from its beginning."""
    if source.path is not None and "json" in source.ending:
        return set(tidy_names(list(keys_at_start(source))))
    if source.path is not None and ("csv" in source.ending or "tsv" in source.ending):
        return set(tidy_names(dialect_of(source).names))
    return set(open_table(db, source, number).columns)


def _kind_from_columns(names: set[str], columns: Columns) -> Kind:
    """Detect the kind of a table from its columns.

    A table of predictions has predictions or scores. A column `label` alone does not make one:
    likelihoods and generations may have it, too, unread.
    """
    scored = "score" in names or bool(match_columns("score_*", names)) or columns.score is not None
    if scored or columns.prediction in names or columns.prediction != "prediction":
        return "predictions"
    return next((kind for kind, signs in _MARKER_COLUMNS.items() if signs <= names), "predictions")
