"""Labels, groups and names out of columns, with every complaint about their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evenhand.datasets.lib.reading.read import Rows, Texts
from evenhand.errors import CallError, Complaint, nearest
from evenhand.tables.groups import build_attributes, refuse_impossible
from evenhand.tables.predictions.classes import TableValues, resolve_classes
from evenhand.tables.predictions.labels import (
    describe_measurements,
    describe_nested_labels,
    fractional,
    remarks_on_groups,
    several_values,
)
from evenhand.tables.predictions.validate import MAX_CLASSES, MAX_GROUPS
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray
from evenhand.tables.values import in_order, shown, tidy

_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})


@dataclass(frozen=True)
class Reader:
    """Reads columns of some rows, and collects what is wrong with them.

    Attributes:
        rows: what was read.
        complaints: why it cannot be used, so far.
        remarks: what is worth knowing, so far.
    """

    rows: Rows
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def complain(self, option: str, column: str, what: str) -> None:
        """Add a complaint about a column."""
        self.complaints.append(self.rows.complain(option, column, what))

    def where(self, wanted: Mapping[str, object]) -> IntArray:
        """Row numbers that have the wanted values."""
        keep: BoolArray = np.ones(len(self.rows.sources), bool)
        for column, given in wanted.items():
            values = self.rows.values[column]
            allowed = {text_of(v) for v in (given if isinstance(given, tuple) else (given,))}
            known = in_order(v for v in values if v is not None)
            for strange in sorted(allowed - set(known)):
                self.complain("where", column, f"has no value '{strange}'; {nearest(strange, known)}")
            keep &= np.array([v in allowed for v in values], bool)
        if not keep.any() and not self.complaints:
            told = ", ".join(f"{name}={value}" for name, value in wanted.items())
            self.complaints.append(f"{self.rows.title}: no rows are left where {told}.")
        return np.flatnonzero(keep).astype(np.int64)

    def grouped(self, by: Sequence[str], patterns: Sequence[str], kept: IntArray) -> IntArray:
        """Leave out the rows whose group nobody said, with a remark for every column; the others are kept."""
        columns = [("by", name) for name in by]
        columns += [("memberships", name) for pattern in patterns for name in self.rows.matched[pattern]]
        lacking = {
            (option, name): np.array([self.rows.values[name][i] is None for i in kept], bool)
            for option, name in columns
        }
        any_lacks = np.any([np.zeros(len(kept), bool), *lacking.values()], axis=0)
        for (option, name), lacks in lacking.items():
            if lacks.all() and len(kept):
                self.complain(option, name, f"has no value in any of {len(kept):,} rows.")
            elif lacks.any():
                what = f"has no value in {int(lacks.sum()):,} of {len(kept):,} rows, which were left out"
                self.remarks.append(self.rows.complain(option, name, f"{what} (without_group: drop)."))
        if any_lacks.all() and len(kept) and not self.complaints:
            told = " and ".join(f"'{name}'" for _, name in columns)
            self.complaints.append(f"{self.rows.title}: no row has a value in each of {told}.")
        elif sum(bool(lacks.any()) for lacks in lacking.values()) > 1:
            left_out = f"{int(any_lacks.sum()):,} of {len(kept):,} rows"
            self.remarks.append(f"In all, {left_out} were left out for want of a group.")
        found: IntArray = kept[~any_lacks]
        return found

    def names(self, option: str, column: str, kept: IntArray) -> list[str]:
        """[kept] names that must differ."""
        values = self._full(option, column, kept)
        seen: dict[str, int] = {}
        for value in values:
            seen[value] = seen.get(value, 0) + 1
        twice = [name for name, n in seen.items() if n > 1]
        if twice:
            what = f"names {len(twice):,} rows more than once ({shown(twice, 3)}); an id names one row."
            self.complain(option, column, what)
        return values

    def labels(self, column: str, kept: IntArray, positive: object) -> tuple[IntArray, tuple[str, ...]]:
        """[kept] class of every row, and the classes, the positive one last when there are two."""
        values = self._full("label", column, kept)
        counts = _counted(values)
        if len(counts) > MAX_CLASSES:
            self.complain("label", column, f"has {len(counts):,} different values; at most {MAX_CLASSES:,}.")
            return np.zeros(len(kept), np.int64), ()
        if len(counts) < 2:
            only = f"is '{values[0]}' in all {len(kept):,} rows" if counts else "has no values"
            self.complain("label", column, f"{only}; there must be two classes or more.")
            return np.zeros(len(kept), np.int64), ()
        odd = describe_nested_labels(counts) or describe_measurements(counts) or self._soft(counts)
        if odd:
            self.complain("label", column, odd)
            return np.zeros(len(kept), np.int64), ()
        decided = resolve_classes(
            [TableValues(self.rows.title, counts, None, None)],
            None if positive is None else text_of(positive),
        )
        if isinstance(decided, list):
            said = (
                what.replace("--positive VALUE", "'positive'").replace("--positive", "positive")
                for what in decided
            )
            # Where the study says the positive class, that is what cannot be.
            about = (*self.rows.section, "label" if positive is None else "positive")
            self.complaints.extend(
                Complaint(self.rows.complain("label", column, f"cannot be read: {what}"), *about)
                for what in said
            )
            return np.zeros(len(kept), np.int64), ()
        self.remarks.extend(decided.remarks)
        return np.array([decided.codes.get(v, 0) for v in values], np.int64), decided.names

    @staticmethod
    def _soft(counts: Mapping[str, int]) -> str | None:
        """Say that labels are shares of annotators."""
        broken = fractional(counts)
        if len(counts) < 3 or not broken or not all(0 <= float(value) <= 1 for value in counts):
            return None
        return (
            f"has shares such as '{broken[0]}'; give classes (for example 1 where a share is at least 0.5)."
        )

    def attributes(self, by: Sequence[str], patterns: Sequence[str], kept: IntArray) -> tuple[Attribute, ...]:
        """Partitions and memberships of the kept rows.

        A membership attribute is called like its pattern without the star and the underscore before it, so
        that attribute, underscore and group make the column again.
        """
        asked = Columns(by=tuple(by), memberships=tuple(patterns))
        groups = {name: self._partition(name, kept) for name in asked.by}
        members = {
            p: (self.rows.matched[p], self._flags(self.rows.matched[p], kept)) for p in asked.memberships
        }
        if self.complaints:
            return ()
        return tuple(
            replace(a, name=a.name.rstrip("_") or a.name) if a.kind == "memberships" else a
            for a in build_attributes(asked, groups, members)
        )

    def _partition(self, column: str, kept: IntArray) -> tuple[list[str], IntArray]:
        """Names and codes [kept] of the groups of a column."""
        values = self._full("by", column, kept)
        names = in_order(values)
        nested = several_values(names, intervals=True)
        if nested:
            self.complain("by", column, f"is nested (first: '{nested[:60]}'); give one value per row.")
        self.remarks.extend(
            self.rows.title + ": " + remark for remark in remarks_on_groups("by", column, _counted(values))
        )
        if len(names) > MAX_GROUPS:
            self.complain("by", column, f"has {len(names):,} groups; at most {MAX_GROUPS} can be judged.")
        index = {name: i for i, name in enumerate(names)}
        return names, np.array([index[v] for v in values], np.int64)

    def _flags(self, columns: Sequence[str], kept: IntArray) -> BoolArray:
        """[columns, kept] whether a row is in a group."""
        return np.array([self.flag("memberships", name, kept) for name in columns], bool).reshape(
            len(columns), len(kept)
        )

    def flag(self, option: str, column: str, kept: IntArray) -> BoolArray:
        """[kept] 0/1 values of a column."""
        values = [(v or "").strip().lower() for v in self._full(option, column, kept)]
        strange = _counted(v for v in values if v and v not in _TRUE and v not in _FALSE)
        if strange:
            n = sum(strange.values())
            self.complain(option, column, f"has {n:,} values that are neither 0 nor 1 ({shown(strange, 3)}).")
        return np.array([v in _TRUE for v in values], bool)

    def _full(self, option: str, column: str, kept: IntArray) -> list[str]:
        """[kept] values of a column that must have one in every row."""
        values: Texts = [self.rows.values[column][i] for i in kept]
        missing = [i for i, v in zip(kept.tolist(), values, strict=True) if v is None]
        if missing:
            leave = " (without_group: drop)" if option in ("by", "memberships") else ""
            what = (
                f"has no value in {len(missing):,} of {len(kept):,} rows (first: row {missing[0] + 1}); fill "
                f"them, or leave these rows out{leave}."
            )
            self.complain(option, column, what)
        return [v or "" for v in values]


def impossible(by: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Complain of attributes that no table could have."""
    try:
        refuse_impossible(Columns(by=tuple(by), memberships=tuple(patterns)))
    except CallError as error:
        return [what.replace("--", "").rstrip(".") for what in error.complaints]
    return []


def text_of(value: object) -> str:
    """The text that stands for a value of a spec in every format of tables."""
    return tidy(str(value)) or str(value)


def _counted(values: object) -> dict[str, int]:
    """How often each value occurs."""
    counts: dict[str, int] = {}
    for value in values:  # type: ignore[attr-defined]
        if value:
            counts[value] = counts.get(value, 0) + 1
    return counts
