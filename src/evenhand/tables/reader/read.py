"""Read one table by the fields of its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table, single_row
from evenhand.tables.io.formats import stage
from evenhand.tables.io.sources import digest
from evenhand.tables.reader.distinct import Distinct
from evenhand.tables.reader.fields import Field, find_columns
from evenhand.tables.reader.runs import TableRun
from evenhand.tables.reader.selection import filter_options, selection_sql
from evenhand.tables.schema import Columns, Input

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class SelectedTable:
    """The rows of a table that a call selects, with the columns that its kind needs.

    Attributes:
        table: the needed columns of the selected rows.
        rows: number of selected rows.
        fields: the column of each field that it has.
        members: columns of each membership pattern.
        opened: the table with all its rows and columns.
        selection: the SQL condition of the selected rows; `true` if there is no filter.
        groups: values of each partition column, once they are validated.
        runs: its runs, once they are validated.
    """

    table: Table
    rows: int
    fields: Mapping[Field, str]
    members: Mapping[str, tuple[str, ...]]
    opened: Table
    selection: str
    groups: Mapping[str, Distinct] = field(default_factory=dict)
    runs: tuple[TableRun, ...] = ()

    @property
    def title(self) -> str:
        """Its name in complaints."""
        return self.table.source.title

    @property
    def input(self) -> Input:
        """Its entry in the result's `inputs`."""
        source = self.table.source
        runs = Counter(run.name.arm for run in self.runs)
        name = next(iter(runs)) if len(runs) == 1 else source.run
        path = None if source.path is None else str(source.path)
        return Input(name, path, digest(source), self.rows, max(runs.values()))


def select_rows(
    db: DuckDBPyConnection,
    table: Table,
    fields: Iterable[Field],
    columns: Columns,
    title: str,
    *,
    one_of_many: bool = False,
) -> SelectedTable | list[str]:
    """Find a table's columns and select its rows.

    Args:
        db: the database.
        table: an opened table.
        fields: the columns of its kind.
        columns: names and roles of columns in the call.
        title: noun for the rows of such tables.
        one_of_many: True if filters may leave out whole tables.

    Returns:
        The selected rows, or every complaint about columns and filters: none if the table is left out.
    """
    present, members, complaints = find_columns(table, fields, columns, title)
    selection = selection_sql(db, table, columns, one_of_many=one_of_many)
    if isinstance(selection, list):
        complaints += selection
    if complaints or isinstance(selection, list):
        return [table.complaint(complaint) for complaint in complaints]
    staged = stage(db, table, list(dict.fromkeys(present.values())), selection)
    (rows,) = single_row(db, f"SELECT count(*) FROM {staged.relation}")
    if rows:
        return SelectedTable(staged, int(rows), present, members, table, selection)
    if selection == "true":
        return [table.complaint("has no rows.")]
    return [] if one_of_many else [table.complaint(f"no rows are left after {filter_options(columns)}.")]
