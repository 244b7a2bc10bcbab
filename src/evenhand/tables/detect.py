"""What kind of table a file is: predictions, generations or likelihoods."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from evenhand.errors import TableError
from evenhand.tables.answers import generations, likelihoods
from evenhand.tables.groups import refuse_impossible
from evenhand.tables.io.database import Unreadable, pattern, session
from evenhand.tables.io.dialects import dialect_of
from evenhand.tables.io.formats import open_table, tidy_names
from evenhand.tables.io.json_records import keys_at_start
from evenhand.tables.io.sources import TableSource, resolve_sources
from evenhand.tables.predictions.scores import match_columns
from evenhand.tables.schema import Columns, Source
from evenhand.tables.values import shown

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["predictions", "generations", "likelihoods"]

#: Columns by which a table of answers is known where no metadata say it.
_MARKER_COLUMNS: dict[Kind, frozenset[str]] = {
    "likelihoods": frozenset({"log_prob", "option_token"}),
    "generations": frozenset({"completion"}),
}
_SCHEMAS: dict[str, Kind] = {generations.SCHEMA: "generations", likelihoods.SCHEMA: "likelihoods"}


def detect_kind(source: Source, columns: Columns) -> Kind:
    """Find out what is given, from the metadata of parquet files, else from the columns.

    A file that cannot be opened counts as predictions: reading it says what is wrong with it.

    Raises:
        CallError: the call cannot be meant.
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
        raise TableError(f"The given tables are of several kinds ({listed}); judge each kind by itself.")
    return kinds[0] if kinds else "predictions"


def explain_kind(source: Source, columns: Columns, kind: Kind) -> str | None:
    """Say why tables were taken for a kind, where columns of another kind make this worth saying.

    Args:
        source: what was given.
        columns: how its columns are called.
        kind: what `detect_kind` found.
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
        return f"Taken for {kind}: there is {signs}, and no column of predictions or scores."
    signs = " and ".join(f"'{name}'" for name in sorted(set().union(*_MARKER_COLUMNS.values()) & names))
    lacking = [
        f"{k} need {shown(sorted(s - names))} too"
        for k, s in _MARKER_COLUMNS.items()
        if s & names and s - names
    ]
    if not signs:
        return None
    because = "; ".join(lacking) or "there is a column of predictions or scores"
    return f"Taken for predictions although there is {signs}: {because}."


def _detect_table_kind(db: DuckDBPyConnection, source: TableSource, number: int, columns: Columns) -> Kind:
    """The kind of one table."""
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
    """The columns of a table, as far as its beginning tells."""
    if source.path is not None and "json" in source.ending:
        return set(tidy_names(list(keys_at_start(source))))
    if source.path is not None and ("csv" in source.ending or "tsv" in source.ending):
        return set(tidy_names(dialect_of(source).names))
    return set(open_table(db, source, number).columns)


def _kind_from_columns(names: set[str], columns: Columns) -> Kind:
    """The kind of a table with these columns.

    A table of predictions has predictions or scores. Without them a column `label` decides nothing:
    likelihoods and generations may have one, which is not read.
    """
    scored = "score" in names or bool(match_columns("score_*", names)) or columns.score is not None
    if scored or columns.prediction in names or columns.prediction != "prediction":
        return "predictions"
    return next((kind for kind, signs in _MARKER_COLUMNS.items() if signs <= names), "predictions")
