"""Attributes out of columns: partitions, memberships that may overlap, and intersections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.errors import CallError
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray

MOST_CROSSINGS = 1000


def refuse_impossible(columns: Columns) -> None:
    """Complain of attributes that no table could have.

    Raises:
        CallError: a pattern has no star, an intersection has fewer than two columns, or two attributes have
            one name.
    """
    complaints = [
        f"--memberships '{pattern}': a pattern has exactly one star, which stands for the group, for example "
        f"'{pattern.replace('*', '').rstrip('_') or 'religion'}_*'."
        for pattern in columns.memberships
        if pattern.count("*") != 1
    ]
    complaints += [
        f"--intersect '{','.join(names)}': name at least two different columns, for example 'race,sex'."
        for names in columns.intersect
        if len(set(names)) < 2 or len(set(names)) < len(names)
    ]
    if columns.score is not None and columns.score.count("*") > 1:
        complaints.append(f"--score '{columns.score}': a pattern has one star, which stands for the class.")
    if columns.inner and columns.resplit:
        complaints.append(
            "--inner and --resplit: with --resplit every run keeps its own examples; give one of the two."
        )
    names = [*dict.fromkeys(columns.by)]
    names += [pattern.replace("*", "") for pattern in dict.fromkeys(columns.memberships)]
    names += [" x ".join(crossed) for crossed in dict.fromkeys(columns.intersect)]
    complaints += [
        f"Two attributes are called '{name}'; results are told apart by this name: drop or rename one."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if complaints:
        raise CallError(complaints)


def crossings(columns: Columns, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Complain of intersections with too many groups."""
    return [
        f"--intersect {','.join(names)}: has {size:,} groups; at most {MOST_CROSSINGS:,} can be judged."
        for names in columns.intersect
        if (size := math.prod(len(groups[name]) for name in names)) > MOST_CROSSINGS
    ]


def attributes(
    columns: Columns,
    groups: Mapping[str, tuple[Sequence[str], IntArray]],
    members: Mapping[str, tuple[Sequence[str], BoolArray]],
) -> tuple[Attribute, ...]:
    """Build the attributes.

    Args:
        columns: which attributes are wanted.
        groups: names and codes [n] of the groups of every partition column.
        members: columns and flags [columns, n] of every membership pattern.
    """
    found = [
        Attribute(name, "partition", tuple(groups[name][0]), codes=groups[name][1])
        for name in dict.fromkeys(columns.by)
    ]
    for pattern in dict.fromkeys(columns.memberships):
        before, _, after = pattern.partition("*")
        names, flags = members[pattern]
        matched = tuple(name[len(before) : len(name) - len(after)] for name in names)
        found.append(Attribute(before + after, "memberships", matched, flags=flags))
    found += [_crossed(crossed, groups) for crossed in dict.fromkeys(columns.intersect)]
    return tuple(found)


def _crossed(names: Sequence[str], groups: Mapping[str, tuple[Sequence[str], IntArray]]) -> Attribute:
    """The intersection of partition columns: every combination of their groups, empty ones too."""
    codes: IntArray = np.zeros_like(groups[names[0]][1])
    for name in names:
        codes = codes * len(groups[name][0]) + groups[name][1]
    combined = itertools.product(*(groups[name][0] for name in names))
    return Attribute(" x ".join(names), "intersection", tuple(" x ".join(c) for c in combined), codes=codes)
