"""What a dataset is: its card, its rows, and the three parts that its rows are split into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from evenhand.tables.schema import Attribute, IntArray

#: A picture: encoded bytes of a file (jpeg, png), or [height, width, 3] of 0 to 255.
Picture = bytes | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset.

    Attributes:
        title: its name in reports.
        task: what a model reads; `either` when its `Config` decides.
        labels: what the classes are, in words.
        attributes: which attributes its rows have.
        source: where it comes from.
        licence: under which terms.
        problems: what is known to be wrong with it.
    """

    title: str
    task: Literal["text", "image", "either"]
    labels: str
    attributes: tuple[str, ...]
    source: str
    licence: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """Which rows are for what.

    Attributes:
        train: row numbers, in the order of the hashed ids.
        validation: the same; may be empty.
        test: the same.
    """

    train: IntArray
    validation: IntArray
    test: IntArray

    def named(self) -> tuple[tuple[str, IntArray], ...]:
        """The parts with their names, in order."""
        return ("train", self.train), ("validation", self.validation), ("test", self.test)


@dataclass(frozen=True, eq=False)
class Examples:
    """All rows of a dataset, before they are split. Equal only to itself: work done on it can be kept.

    Attributes:
        task: what a model reads.
        ids: [n] unique names, the same on every machine.
        inputs: [n] texts, or pictures.
        labels: [n] class of each row, an index into `classes`.
        classes: names of the classes; the positive one last when there are two.
        attributes: who a row is about: partitions and memberships.
        problems: remarks on the data (rows skipped and why), for the report.
        parts: the dataset's own split, when its `Config` asks for it; else None, and the study draws one.
    """

    task: Literal["text", "image"]
    ids: Sequence[str]
    inputs: Sequence[str] | Sequence[Picture]
    labels: IntArray
    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    problems: tuple[str, ...] = field(default=())
    parts: Parts | None = None
