"""The schema of a table of predictions: names of its columns, and the aligned arrays that judges take.

A file (csv, parquet, jsonl) or a table in memory has one row per example, or one row per (arm, run,
example). `Columns` holds the names of its columns; `Predictions` holds the data after every check:
integer codes into stored lists of names, aligned over arms and runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: The code of a prediction where a run does not have the row (see `Columns.resplit`).
ABSENT = -1


class ArmRun(NamedTuple):
    """One run of an arm, by their names."""

    arm: str
    run: str


@dataclass(frozen=True)
class Columns:
    """Names and roles of the columns of tables.

    Attributes:
        by: partition attributes, one column each.
        memberships: patterns such as `target_religion_*`, each one attribute of overlapping 0/1 columns.
        intersect: tuples of partition attributes (named columns) whose crossings are audited.
        label: column of true labels.
        prediction: column of predicted labels; may be absent if the table has scores.
        score: column of scores, or a pattern with a star for one column per class; None looks for `score`,
            then `score_*`; a table may lack both.
        id: column that names an example; the same in every arm.
        positive: the positive class of binary labels; None means 1 or true.
        weight: column of non-negative weights.
        cluster: column of cluster names: rows of a cluster are not independent of each other.
        arm: column of each row's arm, if one table holds several.
        run: column of each row's run.
        where: (column, value) pairs; only rows that have all of them are read.
        split: value of the `split` column to read when the table has such a column.
        names: arm names, one per table or pattern; equal names are runs of one arm.
        inner: keep the examples that every arm and run has, instead of refusing unequal sets.
        resplit: runs have different rows, the same ones in all arms; arms have runs of the same names.
    """

    by: tuple[str, ...] = ()
    memberships: tuple[str, ...] = ()
    intersect: tuple[tuple[str, ...], ...] = ()
    label: str = "label"
    prediction: str = "prediction"
    score: str | None = None
    id: str = "example_id"
    positive: str | None = None
    weight: str | None = None
    cluster: str | None = None
    arm: str | None = None
    run: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    split: str | None = None
    names: tuple[str, ...] = ()
    inner: bool = False
    resplit: bool = False


@dataclass(frozen=True)
class Attribute:
    """One way to sort rows into groups; names travel with codes, an empty group keeps its name.

    Attributes:
        name: the column, the pattern without its star, or `a x b`.
        kind: groups are disjoint (partition, intersection) or may overlap (memberships).
        groups: group names; codes and flags index this list.
        codes: [n] group of each row, for disjoint groups.
        flags: [groups, n] True if a row is in a group, for memberships.
    """

    name: str
    kind: Literal["partition", "memberships", "intersection"]
    groups: tuple[str, ...]
    codes: IntArray | None = None
    flags: BoolArray | None = None

    def in_group(self, index: int) -> BoolArray:
        """Return [n] True for rows in the group with this index."""
        if self.flags is not None:
            flags: BoolArray = self.flags[index]
            return flags
        assert self.codes is not None
        same: BoolArray = self.codes == index
        return same

    def at(self, rows: IntArray) -> Attribute:
        """Return the attribute of some rows only."""
        codes = None if self.codes is None else self.codes[rows]
        flags = None if self.flags is None else self.flags[:, rows]
        return Attribute(self.name, self.kind, self.groups, codes, flags)

    def columns(self) -> list[IntArray]:
        """Return integer columns [n] that together determine the groups of a row."""
        if self.flags is not None:
            return list(self.flags.astype(np.int64))
        assert self.codes is not None
        return [self.codes]


@dataclass(frozen=True)
class Input:
    """One entry of the result's `inputs`: a file or table.

    Attributes:
        name: its arm, or the file's own name if it holds several.
        path: of the file; None in memory.
        sha256: of the file; None in memory.
        rows: number of rows that were read.
        runs: largest number of runs of an arm in it.
    """

    name: str
    path: str | None
    sha256: str | None
    rows: int
    runs: int


@dataclass(frozen=True)
class Arm:
    """One arm's answers, aligned with the rows of its `Predictions`.

    Attributes:
        name: the arm, as a study or the user names it.
        runs: names of its runs.
        prediction: [runs, n] predicted class, an index into `Predictions.classes`, or `ABSENT`.
        score: [runs, n, classes] probabilities, NaN where the answer is absent, or None.
    """

    name: str
    runs: tuple[str, ...]
    prediction: IntArray
    score: FloatArray | None = None


@dataclass(frozen=True)
class Predictions:
    """Checked, aligned predictions of all arms.

    A row is an example, or, without scores and clusters, a cell of equal examples with their number in
    `count`: every estimate depends on rows only through these sums.

    Attributes:
        classes: class names in order; binary ones are (negative, positive).
        positive: index of the positive class when binary, else None.
        label: [n] true class.
        arms: the arms.
        attributes: the attributes.
        count: [n] number of examples in a row.
        weight: [n] sum of their weights (equals `count` without weights).
        weight_squared: [n] sum of their squared weights.
        weighted: True if the tables have weights.
        cluster: [n] cluster code of each row, or None.
        inputs: the tables that were read.
        problems: remarks on the data that do not prevent the audit.
        resplit: True if a run may lack rows that another has; all arms then lack the same rows of a run.
    """

    classes: tuple[str, ...]
    positive: int | None
    label: IntArray
    arms: tuple[Arm, ...]
    attributes: tuple[Attribute, ...]
    count: FloatArray
    weight: FloatArray
    weight_squared: FloatArray
    weighted: bool = False
    cluster: IntArray | None = None
    inputs: tuple[Input, ...] = ()
    problems: tuple[str, ...] = field(default=())
    resplit: bool = False


#: The input of `tables.predictions.read.load`: paths or globs, tables in memory, or arm names to either.
Source = object | Sequence[object] | Mapping[str, object]
