"""What a table of predictions is: the words for its columns, and the form in which judges get it.

A file (csv, parquet, jsonl) or a table in memory has one row per example, or one row per (arm, run,
example). `Columns` says how its columns are called; `Predictions` is what is left after every check has
passed: integer codes into stored lists of names, aligned over arms and runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: The answer of a run that does not have the row (see `Columns.resplit`).
ABSENT = -1


@dataclass(frozen=True)
class Columns:
    """How the columns of the given tables are to be read.

    Attributes:
        by: partition attributes, one column each.
        memberships: patterns such as `target_religion_*`, each one attribute of overlapping 0/1 columns.
        intersect: tuples of partition attributes (named columns) whose crossings are audited.
        label: column of true labels.
        prediction: column of predicted labels; may be absent when scores are there.
        score: column of scores, or a pattern with a star for one column per class; None looks for `score`,
            then `score_*`, and does without when neither exists.
        id: column that names an example; the same in every arm.
        positive: the positive class of binary labels; None means 1 or true.
        weight: column of non-negative weights.
        cluster: column of cluster names: rows of a cluster are not independent of each other.
        arm: column that says to which arm a row belongs, when one table holds several.
        run: column that says to which run of its arm a row belongs.
        where: (column, value) pairs; only rows that have all of them are read.
        split: value of the `split` column to read when the table has such a column.
        names: arm names, one per given table or pattern; equal names are runs of one arm.
        inner: keep the examples that every arm and run has, instead of refusing unequal sets.
        resplit: every run has rows of its own, the same for all arms; arms have runs of the same names.
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
        flags: [groups, n] whether a row is in a group, for memberships.
    """

    name: str
    kind: Literal["partition", "memberships", "intersection"]
    groups: tuple[str, ...]
    codes: IntArray | None = None
    flags: BoolArray | None = None

    def in_group(self, index: int) -> BoolArray:
        """[n] which rows are in the group with this index."""
        if self.flags is not None:
            flags: BoolArray = self.flags[index]
            return flags
        assert self.codes is not None
        same: BoolArray = self.codes == index
        return same

    def at(self, rows: IntArray) -> Attribute:
        """The same attribute of some rows only."""
        codes = None if self.codes is None else self.codes[rows]
        flags = None if self.flags is None else self.flags[:, rows]
        return Attribute(self.name, self.kind, self.groups, codes, flags)

    def columns(self) -> list[IntArray]:
        """[n] integer columns that say all that the attribute says of a row."""
        if self.flags is not None:
            return list(self.flags.astype(np.int64))
        assert self.codes is not None
        return [self.codes]


@dataclass(frozen=True)
class Input:
    """A given file or table, as the result's `inputs` tells it.

    Attributes:
        name: its arm, or the file's own name when it holds several.
        path: None in memory.
        sha256: of the file; None in memory.
        rows: rows that were read.
        runs: most runs of an arm in it.
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

    A row is an example, or, where nothing needs single rows (no scores, no clusters), a cell of equal
    examples with their number in `count`: every estimate depends on rows only through these sums.

    Attributes:
        classes: class names in order; binary ones are (negative, positive).
        positive: index of the positive class when binary, else None.
        label: [n] true class.
        arms: the arms.
        attributes: the attributes.
        count: [n] examples that a row stands for.
        weight: [n] sum of their weights (equals `count` when there are none).
        weight_squared: [n] sum of their squared weights.
        weighted: whether weights were given.
        cluster: [n] cluster code of each row, or None.
        inputs: what was read.
        problems: remarks on the data that are no reason to refuse it.
        resplit: whether a run may lack rows that another has; all arms lack the same ones of a run.
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


#: What `tables.read.load` accepts: paths or globs, tables in memory, or arm names to either.
Source = object | Sequence[object] | Mapping[str, object]
