"""What kind of table a file is: predictions, generations or likelihoods."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Literal

from evenhand.errors import TableError
from evenhand.tables import generations, likelihoods
from evenhand.tables.database import Unreadable, literal, session
from evenhand.tables.formats import open_table
from evenhand.tables.groups import refuse_impossible
from evenhand.tables.schema import Columns, Source
from evenhand.tables.sources import Given, resolve

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["predictions", "generations", "likelihoods"]

#: Columns by which a table of answers is known where no metadata say it.
_SIGNS: dict[Kind, frozenset[str]] = {
    "likelihoods": frozenset({"log_prob", "option_token"}),
    "generations": frozenset({"completion"}),
}
_SCHEMAS: dict[str, Kind] = {generations.SCHEMA: "generations", likelihoods.SCHEMA: "likelihoods"}
_KEY = re.compile(r'"([^"\\]{1,80})"\s*:')
_HEAD_BYTES = 1 << 16


def kind_of(source: Source, columns: Columns) -> Kind:
    """Find out what is given, from the metadata of parquet files, else from the columns.

    A file that cannot be opened counts as predictions: reading it says what is wrong with it.

    Raises:
        CallError: the call cannot be meant.
        TableError: the tables are of several kinds.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    refuse_impossible(columns)
    given, _ = resolve(source, columns)
    found: dict[str, Kind] = {}
    with session() as db:
        for number, one in enumerate(given):
            try:
                found[one.title] = _kind(db, one, number)
            except (Unreadable, duckdb.Error, OSError, EOFError):
                continue
    kinds = list(dict.fromkeys(found.values()))
    if len(kinds) > 1:
        told = "; ".join(f"{title}: {kind}" for title, kind in list(found.items())[:10])
        raise TableError(f"The given tables are of several kinds ({told}); judge each kind by itself.")
    return kinds[0] if kinds else "predictions"


def _kind(db: DuckDBPyConnection, given: Given, number: int) -> Kind:
    if given.path is not None and "json" in given.ending:
        # Its columns are known only when all of it is read; the keys of the first records are enough here.
        with gzip.open(given.path) if given.ending.endswith(".gz") else given.path.open("rb") as file:
            names = set(_KEY.findall(file.read(_HEAD_BYTES).decode("utf-8", "ignore")))
    else:
        names = set(open_table(db, given, number).columns)
    if given.ending in {".parquet", ".pq"}:
        rows = db.execute(
            "SELECT decode(value) FROM parquet_kv_metadata("
            f"{literal(str(given.path))}) WHERE decode(key) = 'schema'"
        ).fetchall()
        if rows and rows[0][0] in _SCHEMAS:
            return _SCHEMAS[rows[0][0]]
    if "label" in names:
        return "predictions"
    return next((kind for kind, signs in _SIGNS.items() if signs <= names), "predictions")
