"""Build attributes from columns: partitions, memberships that may overlap, and intersections."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.errors import CallError
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray

MAX_INTERSECTION_GROUPS = 1000


def refuse_impossible(columns: Columns) -> None:
    """Raise for attributes that no table could have.

    Raises:
        CallError: a pattern does not have one star, an intersection has fewer than two columns, or two
            attributes have one name.
    """
    complaints = [
        f"--memberships '{pattern}': a pattern has exactly one star, in place of the group, for example "
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
        complaints.append(f"--score '{columns.score}': a pattern has one star, in place of the class.")
    if columns.inner and columns.resplit:
        complaints.append(
            "--inner and --resplit: with --resplit every run keeps its own examples; give one of the two."
        )
    names = [*dict.fromkeys(columns.by)]
    names += [pattern.replace("*", "") for pattern in dict.fromkeys(columns.memberships)]
    names += [" x ".join(crossed) for crossed in dict.fromkeys(columns.intersect)]
    complaints += [
        f"Two attributes are called '{name}', but results identify attributes by name: drop or rename one."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if complaints:
        raise CallError(complaints)


def oversized_intersections(columns: Columns, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Complain of intersections with too many groups."""
    return [
        f"--intersect {','.join(names)}: has {size:,} groups; at most {MAX_INTERSECTION_GROUPS:,} can be "
        "judged."
        for names in columns.intersect
        if (size := math.prod(len(groups[name]) for name in names)) > MAX_INTERSECTION_GROUPS
    ]


def build_attributes(
    columns: Columns,
    groups: Mapping[str, tuple[Sequence[str], IntArray]],
    members: Mapping[str, tuple[Sequence[str], BoolArray]],
) -> tuple[Attribute, ...]:
    """Build the attributes.

    Args:
        columns: the attributes to build.
        groups: names and codes [n] of the groups of every partition column.
        members: columns and flags [columns, n] of every membership pattern.
    """
    built = [
        Attribute(name, "partition", tuple(groups[name][0]), codes=groups[name][1])
        for name in dict.fromkeys(columns.by)
    ]
    for pattern in dict.fromkeys(columns.memberships):
        before, _, after = pattern.partition("*")
        names, flags = members[pattern]
        matched = tuple(name[len(before) : len(name) - len(after)] for name in names)
        built.append(Attribute(before + after, "memberships", matched, flags=flags))
    built += [_crossed(crossed, groups) for crossed in dict.fromkeys(columns.intersect)]
    return tuple(built)


def _crossed(names: Sequence[str], groups: Mapping[str, tuple[Sequence[str], IntArray]]) -> Attribute:
    """Build the intersection of partition columns: every combination of groups, including empty ones."""
    codes: IntArray = np.zeros_like(groups[names[0]][1])
    for name in names:
        codes = codes * len(groups[name][0]) + groups[name][1]
    crossed = crossed_names([groups[name][0] for name in names])
    return Attribute(" x ".join(names), "intersection", crossed, codes=codes)


def crossed_names(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return unique names for all combinations of some columns' groups.

    Args:
        groups: names of the groups of each column.

    Returns:
        `A x B` in the order of the product. Where two combinations would have one name, groups with an x
        among their words are in quotation marks, escaped as in JSON: then every x outside quotation marks
        separates groups, and all names differ.
    """
    combined = list(itertools.product(*groups))
    plain = tuple(" x ".join(names) for names in combined)
    if len(set(plain)) == len(plain):
        return plain
    return tuple(" x ".join(map(_quoted, names)) for names in combined)


def _quoted(name: str) -> str:
    """Quote a group's name that could be mistaken for a combination or for a quoted name."""
    return json.dumps(name, ensure_ascii=False) if '"' in name or "x" in name.split(" ") else name


def remarks_on_equal_names(columns: Columns, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Remark on intersections whose groups are in quotation marks, since their joined names coincide."""
    remarks = []
    for names in dict.fromkeys(columns.intersect):
        plain = [" x ".join(c) for c in itertools.product(*(groups[name] for name in names))]
        twice = next((name for name, n in Counter(plain).items() if n > 1), None)
        if twice is not None:
            remarks.append(
                f"--intersect {','.join(names)}: more than one crossing would be called '{twice}', so groups "
                "that have an x among their words are in quotation marks."
            )
    return remarks
