"""Datasets: one file each, with an `INFO` card, a `Config` and `load(config) -> Examples`. No torch.

A dataset's file imports only the standard library, numpy and `evenhand.spec` at the top.
"""

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
        task: what a model reads.
        labels: what the classes are, in words.
        attributes: which attributes its rows have.
        source: where it comes from.
        licence: under which terms.
        problems: what is known to be wrong with it.
    """

    title: str
    task: Literal["text", "image"]
    labels: str
    attributes: tuple[str, ...]
    source: str
    licence: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examples:
    """All rows of a dataset, before they are split.

    Attributes:
        task: what a model reads.
        ids: [n] unique names, the same on every machine.
        inputs: [n] texts, or pictures.
        labels: [n] class of each row, an index into `classes`.
        classes: names of the classes; the positive one last when there are two.
        attributes: who a row is about: partitions and memberships.
        problems: remarks on the data (rows skipped and why), for the report.
    """

    task: Literal["text", "image"]
    ids: Sequence[str]
    inputs: Sequence[str] | Sequence[Picture]
    labels: IntArray
    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    problems: tuple[str, ...] = field(default=())
