"""Labels, groups and names from columns; all problems with their values are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evenhand.datasets.lib.reading.read import Rows, Texts
from evenhand.errors import CallError, Complaint, nearest, plural
from evenhand.tables.groups import build_attributes, refuse_impossible
from evenhand.tables.predictions.classes import TableValues, resolve_classes
from evenhand.tables.reader.checks import MAX_CLASSES, MAX_GROUPS
from evenhand.tables.reader.labels import (
    describe_measurements,
    describe_nested_labels,
    fractional,
    remarks_on_groups,
    several_values,
)
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray
from evenhand.tables.values import in_order, shown, tidy

_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})


@dataclass(frozen=True)
class Reader:
    """Reads columns of selected rows, and collects complaints about them.

    In shapes, `m` is the number of selected rows; `rows` holds their numbers in the table.

    Attributes:
        rows: the columns as texts.
        complaints: reasons why the values cannot be used.
        remarks: further facts for the report.
    """

    rows: Rows
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def complain(self, option: str, column: str, what: str) -> None:
        """Add a complaint about a column."""
        self.complaints.append(self.rows.complain(option, column, what))

    def select_rows(self, conditions: Mapping[str, object]) -> IntArray:
        """Select the rows that have the given value, or one of the given values, in each column."""
        keep: BoolArray = np.ones(len(self.rows.sources), bool)
        for column, accepted in conditions.items():
            values = self.rows.values[column]
            allowed = {text_of(v) for v in (accepted if isinstance(accepted, tuple) else (accepted,))}
            known = in_order(v for v in values if v is not None)
            for unknown in sorted(allowed - set(known)):
                self.complain("where", column, f"has no value '{unknown}'; {nearest(unknown, known)}")
            keep &= np.array([v in allowed for v in values], bool)
        if not keep.any() and not self.complaints:
            listed = ", ".join(f"{name}={value}" for name, value in conditions.items())
            self.complaints.append(f"{self.rows.title}: no rows are left where {listed}.")
        return np.flatnonzero(keep).astype(np.int64)

    def drop_ungrouped(self, by: Sequence[str], patterns: Sequence[str], rows: IntArray) -> IntArray:
        """Drop the rows without a group, with a remark per column; returns the remaining row numbers."""
        columns = [("by", name) for name in by]
        columns += [("memberships", name) for pattern in patterns for name in self.rows.matched[pattern]]
        lacking = {
            (option, name): np.array([self.rows.values[name][i] is None for i in rows], bool)
            for option, name in columns
        }
        any_lacks = np.any([np.zeros(len(rows), bool), *lacking.values()], axis=0)
        for (option, name), lacks in lacking.items():
            if lacks.all() and len(rows):
                self.complain(option, name, f"has no value in any of {len(rows):,} rows.")
            elif lacks.any():
                problem = f"has no value in {int(lacks.sum()):,} of {len(rows):,} rows, which were left out"
                self.remarks.append(self.rows.complain(option, name, f"{problem} (without_group: drop)."))
        if any_lacks.all() and len(rows) and not self.complaints:
            listed = " and ".join(f"'{name}'" for _, name in columns)
            self.complaints.append(f"{self.rows.title}: no row has a value in each of {listed}.")
        elif sum(bool(lacks.any()) for lacks in lacking.values()) > 1:
            left_out = f"{int(any_lacks.sum()):,} of {len(rows):,} rows"
            self.remarks.append(f"In all, {left_out} were left out because they lack a group.")
        grouped: IntArray = rows[~any_lacks]
        return grouped

    def read_names(self, option: str, column: str, rows: IntArray) -> list[str]:
        """Read names [m], which must differ."""
        values = self._read_filled(option, column, rows)
        counts: dict[str, int] = {}
        for value in values:
            counts[value] = counts.get(value, 0) + 1
        repeated = [name for name, n in counts.items() if n > 1]
        if repeated:
            many = plural(len(repeated), "row")
            problem = f"names {many} more than once ({shown(repeated, 3)}); an id names one row."
            self.complain(option, column, problem)
        return values

    def read_labels(self, column: str, rows: IntArray, positive: object) -> tuple[IntArray, tuple[str, ...]]:
        """Read the class of every row [m], and the names of the classes, the positive one last of two."""
        values = self._read_filled("label", column, rows)
        counts = _count_values(values)
        if len(counts) > MAX_CLASSES:
            self.complain("label", column, f"has {len(counts):,} different values; at most {MAX_CLASSES:,}.")
            return np.zeros(len(rows), np.int64), ()
        if len(counts) < 2:
            only = f"is '{values[0]}' in all {len(rows):,} rows" if counts else "has no values"
            self.complain("label", column, f"{only}; at least two classes are needed.")
            return np.zeros(len(rows), np.int64), ()
        problem = (
            describe_nested_labels(counts)
            or describe_measurements(counts)
            or self._soft_label_complaint(counts)
        )
        if problem:
            self.complain("label", column, problem)
            return np.zeros(len(rows), np.int64), ()
        decided = resolve_classes(
            [TableValues(self.rows.title, counts, None, None)],
            None if positive is None else text_of(positive),
        )
        if isinstance(decided, list):
            problems = (
                what.replace("--positive VALUE", "'positive'").replace("--positive", "positive")
                for what in decided
            )
            # A positive class in the study contradicts the labels; else the labels themselves are at fault.
            keys = (*self.rows.section, "label" if positive is None else "positive")
            self.complaints.extend(
                Complaint(self.rows.complain("label", column, f"cannot be read: {what}"), *keys)
                for what in problems
            )
            return np.zeros(len(rows), np.int64), ()
        self.remarks.extend(decided.remarks)
        return np.array([decided.codes.get(v, 0) for v in values], np.int64), decided.names

    @staticmethod
    def _soft_label_complaint(counts: Mapping[str, int]) -> str | None:
        """Complain of labels that are shares, such as the share of annotators that chose a class."""
        broken = fractional(counts)
        if len(counts) < 3 or not broken or not all(0 <= float(value) <= 1 for value in counts):
            return None
        return (
            f"has shares such as '{broken[0]}'; give classes (for example 1 where a share is at least 0.5)."
        )

    def read_attributes(
        self, by: Sequence[str], patterns: Sequence[str], rows: IntArray
    ) -> tuple[Attribute, ...]:
        """Read partitions and memberships of the rows.

        A membership attribute is named after its pattern, without the star and the underscore before it, so
        that attribute, underscore and group make up the name of the column.
        """
        columns = Columns(by=tuple(by), memberships=tuple(patterns))
        groups = {name: self._read_partition(name, rows) for name in columns.by}
        members = {
            p: (self.rows.matched[p], self._read_memberships(self.rows.matched[p], rows))
            for p in columns.memberships
        }
        if self.complaints:
            return ()
        return tuple(
            replace(a, name=a.name.rstrip("_") or a.name) if a.kind == "memberships" else a
            for a in build_attributes(columns, groups, members)
        )

    def _read_partition(self, column: str, rows: IntArray) -> tuple[list[str], IntArray]:
        """Read the names of a column's groups, and the code of each row [m]."""
        values = self._read_filled("by", column, rows)
        names = in_order(values)
        nested = several_values(names, intervals=True)
        if nested:
            self.complain("by", column, f"is nested (first: '{nested[:60]}'); give one value per row.")
        self.remarks.extend(
            self.rows.title + ": " + remark
            for remark in remarks_on_groups("by", column, _count_values(values))
        )
        if len(names) > MAX_GROUPS:
            self.complain("by", column, f"has {len(names):,} groups; at most {MAX_GROUPS} can be judged.")
        index = {name: i for i, name in enumerate(names)}
        return names, np.array([index[v] for v in values], np.int64)

    def _read_memberships(self, columns: Sequence[str], rows: IntArray) -> BoolArray:
        """Read group memberships, [columns, m]: True where a row is in a group."""
        return np.array([self.read_flags("memberships", name, rows) for name in columns], bool).reshape(
            len(columns), len(rows)
        )

    def read_flags(self, option: str, column: str, rows: IntArray) -> BoolArray:
        """Read 0/1 values (also true/false, yes/no) of a column, [m]."""
        values = [(v or "").strip().lower() for v in self._read_filled(option, column, rows)]
        invalid = _count_values(v for v in values if v and v not in _TRUE and v not in _FALSE)
        if invalid:
            n = sum(invalid.values())
            self.complain(
                option, column, f"has {plural(n, 'value')} outside of 0 and 1 ({shown(invalid, 3)})."
            )
        return np.array([v in _TRUE for v in values], bool)

    def _read_filled(self, option: str, column: str, rows: IntArray) -> list[str]:
        """Read values [m] of a column that must have one in every row."""
        values: Texts = [self.rows.values[column][i] for i in rows]
        missing = [i for i, v in zip(rows.tolist(), values, strict=True) if v is None]
        if missing:
            hint = " (without_group: drop)" if option in ("by", "memberships") else ""
            problem = (
                f"has no value in {len(missing):,} of {len(rows):,} rows (first: row {missing[0] + 1}); fill "
                f"them, or leave out these rows{hint}."
            )
            self.complain(option, column, problem)
        return [v or "" for v in values]


def attribute_complaints(by: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """List complaints about attributes that no table could have, such as one column named twice."""
    try:
        refuse_impossible(Columns(by=tuple(by), memberships=tuple(patterns)))
    except CallError as error:
        return [what.replace("--", "").rstrip(".") for what in error.complaints]
    return []


def text_of(value: object) -> str:
    """Convert a value of a spec to the text that represents it in tables of every format."""
    return tidy(str(value)) or str(value)


def _count_values(values: object) -> dict[str, int]:
    """Count the occurrences of each value that is not empty."""
    counts: dict[str, int] = {}
    for value in values:  # type: ignore[attr-defined]
        if value:
            counts[value] = counts.get(value, 0) + 1
    return counts
