"""The groups that all tables of a call share, as codes and as attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.tables.groups import build_attributes, oversized_intersections
from evenhand.tables.reader.distinct import code
from evenhand.tables.reader.fields import member_columns
from evenhand.tables.reader.read import SelectedTable
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray
from evenhand.tables.values import in_order

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class SharedGroups:
    """The groups of all tables. As codes, they are the columns `g0, g1, ...` and `f0, f1, ...` of flags.

    Attributes:
        names: group names of each partition column.
        members: columns of each membership pattern, in the order of the first table.
        spellings: by partition column, the group of a text that is not its name.
    """

    names: Mapping[str, Sequence[str]]
    members: Mapping[str, tuple[str, ...]]
    spellings: Mapping[str, Mapping[str, str]]

    @property
    def flags(self) -> tuple[str, ...]:
        """All membership columns, each once."""
        return member_columns(self.members)

    @property
    def group_codes(self) -> tuple[str, ...]:
        """Columns of codes of groups."""
        return tuple(f"g{i}" for i in range(len(self.names)))

    @property
    def titles(self) -> dict[str, str]:
        """Columns of codes with the names of their columns in tables."""
        groups = dict(zip(self.group_codes, self.names, strict=True))
        return groups | {f"f{i}": name for i, name in enumerate(self.flags)}

    def text_of(self, name: str, value: str) -> str:
        """Return the text of a value of a column: of a code, the group's name."""
        return list(self.names.values())[int(name[1:])][int(value)] if name in self.group_codes else value

    def coded_sql(self, db: DuckDBPyConnection, selected: SelectedTable, joins: list[str]) -> list[str]:
        """Return SQL for the columns of codes of one table; add the joins that they need to `joins`."""
        table = selected.table
        chosen = []
        for i, (name, names) in enumerate(self.names.items()):
            values, spelt = selected.groups[name], self.spellings.get(name, {})
            codes = {text: names.index(spelt.get(text, text)) for text in values.counts}
            relation = code(db, values, codes, f"m{table.number}_g{i}")
            joins.append(f"LEFT JOIN {relation} ON t.{table.columns[name].sql} = {relation}.raw")
            chosen.append(f"{relation}.code AS g{i}")
        flags = [table.columns[name].of("t").flag_sql for name in self.flags]
        return chosen + [f"CAST({flag} AS TINYINT) AS f{i}" for i, flag in enumerate(flags)]

    def attributes(self, columns: Columns, fetched: dict[str, Any]) -> tuple[Attribute, ...]:
        """Build the attributes of a call from fetched columns of codes, which are popped."""
        groups: dict[str, tuple[Sequence[str], IntArray]] = {
            name: (names, pop_codes(fetched, f"g{i}")) for i, (name, names) in enumerate(self.names.items())
        }
        flags = {name: fetched.pop(f"f{i}") == 1 for i, name in enumerate(self.flags)}
        members: dict[str, tuple[Sequence[str], BoolArray]] = {
            pattern: (names, np.asarray([flags[name] for name in names], dtype=np.bool_))
            for pattern, names in self.members.items()
        }
        return build_attributes(columns, groups, members)


def pop_codes(fetched: dict[str, Any], name: str) -> IntArray:
    """Pop a column of codes; the checks ensure that it has no nulls."""
    column = fetched.pop(name)  # popped, so that ten million rows are not held twice
    return np.asarray(column).astype(np.int64)


def share_groups(
    tables: Sequence[SelectedTable],
    columns: Columns,
    spellings: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[SharedGroups, list[str]]:
    """Determine the groups that all tables share, and complain of tables that disagree.

    Args:
        tables: validated tables.
        columns: names and roles of columns in the call.
        spellings: by partition column, the group of a text that is not its name.
    """
    spellings = spellings or {}
    first = tables[0]
    names = {
        name: in_order(
            spellings.get(name, {}).get(text, text) for table in tables for text in table.groups[name].counts
        )
        for name in first.groups
        if all(name in table.groups for table in tables)
    }
    complaints = oversized_intersections(columns, names)
    flags = set(member_columns(first.members))
    for table in tables[1:]:
        if odd := ", ".join(sorted(flags ^ set(member_columns(table.members)))):
            what = f"--memberships matches other columns than in {first.title}: {odd}."
            complaints.append(table.table.complaint(what))
    return SharedGroups(names, first.members, spellings), complaints
