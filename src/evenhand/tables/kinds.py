"""What kind of table a file is: predictions, generations or likelihoods."""

from __future__ import annotations

from typing import Literal

from evenhand.errors import TableError
from evenhand.tables import generations, likelihoods
from evenhand.tables.database import Unreadable, session
from evenhand.tables.formats import open_table
from evenhand.tables.schema import Columns, Source
from evenhand.tables.sources import Given, resolve

Kind = Literal["predictions", "generations", "likelihoods"]

#: Columns by which a table of answers is known where no metadata say it.
_SIGNS: dict[Kind, tuple[str, ...]] = {
    "likelihoods": ("log_prob", "option_token"),
    "generations": ("completion",),
}
_SCHEMAS: dict[str, Kind] = {generations.SCHEMA: "generations", likelihoods.SCHEMA: "likelihoods"}


def kind_of(source: Source, columns: Columns) -> Kind:
    """Find out what is given, from the metadata of parquet files, else from the columns.

    A file that cannot be opened counts as predictions: reading it says what is wrong with it.

    Raises:
        TableError: the tables are of several kinds.
    """
    import duckdb  # noqa: PLC0415

    given, _ = resolve(source, columns)
    found: dict[str, Kind] = {}
    with session() as db:
        for number, one in enumerate(given):
            try:
                names = set(open_table(db, one, number).columns)
            except (Unreadable, duckdb.Error, OSError):
                continue
            found[one.title] = _SCHEMAS.get(_schema(db, one)) or next(
                (kind for kind, signs in _SIGNS.items() if names.issuperset(signs) and "label" not in names),
                "predictions",
            )
    kinds = list(dict.fromkeys(found.values()))
    if len(kinds) > 1:
        told = "; ".join(f"{title}: {kind}" for title, kind in list(found.items())[:10])
        raise TableError(f"The given tables are of several kinds ({told}); judge each kind by itself.")
    return kinds[0] if kinds else "predictions"


def _schema(db: object, given: Given) -> str:
    """The name of a parquet file's form, or nothing."""
    import duckdb  # noqa: PLC0415

    if given.path is None or given.ending not in {".parquet", ".pq"}:
        return ""
    assert isinstance(db, duckdb.DuckDBPyConnection)
    rows = db.execute(
        "SELECT CAST(value AS VARCHAR) FROM parquet_kv_metadata(?) WHERE CAST(key AS VARCHAR) = 'schema'",
        [str(given.path)],
    ).fetchall()
    return str(rows[0][0]) if rows else ""
