"""Scores of one target, and thresholds among those of its members, its non-members or all of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand.tables.schema import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Pool:
    """Rows among whose scores thresholds are taken.

    Attributes:
        holds: [n] whether a row of the table is in it.
        table: [n] scores of the table's rows.
    """

    holds: BoolArray
    table: FloatArray

    @cached_property
    def size(self) -> int:
        """How many rows it has."""
        return int(np.count_nonzero(self.holds))

    @cached_property
    def scores(self) -> FloatArray:
        """[m] their scores, rising."""
        return np.sort(self.table[self.holds])

    def threshold(self, rank: float) -> float:
        """The rank-th score from the top; what is above it is called.

        Rank 0 calls nobody; a rank beyond the pool calls everybody.
        """
        index = int(rank)
        if index < 1:
            return np.inf
        if index > self.size:
            return -np.inf
        return float(self.scores[self.size - index])

    def share_above(self, scores: FloatArray, rank: float) -> float:
        """Share of some scores above a threshold; between two ranks on the line."""
        low, high = (
            np.count_nonzero(scores > self.threshold(r)) / len(scores)
            for r in (np.floor(rank), np.ceil(rank))
        )
        return float(low + (rank - np.floor(rank)) * (high - low))


@dataclass(frozen=True)
class Order:
    """The rows of one target.

    Attributes:
        scores: [n] of each row of the table.
        member: [n] whether it is a member.
        known: [n] whether it has a score.
    """

    scores: FloatArray
    member: BoolArray
    known: BoolArray

    @cached_property
    def members(self) -> Pool:
        """The members."""
        return Pool(self.known & self.member, self.scores)

    @cached_property
    def non_members(self) -> Pool:
        """The non-members."""
        return Pool(self.known & ~self.member, self.scores)

    @cached_property
    def all_rows(self) -> Pool:
        """All rows with a score."""
        return Pool(self.known, self.scores)

    def parts(self, rows: IntArray) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
        """Scores of the members among some rows, and which of these they are; the same of non-members."""
        scores = self.scores[rows]
        inside, outside = (np.flatnonzero(pool.holds[rows]) for pool in (self.members, self.non_members))
        return scores[inside], inside, scores[outside], outside


def order_of(scores: FloatArray, member: BoolArray) -> Order:
    """The rows of one target.

    Args:
        scores: [n]; rows without a finite one are left out.
        member: [n].
    """
    return Order(scores, member, np.isfinite(scores))


def placement_values(scores: FloatArray, rising: FloatArray) -> FloatArray:
    """Share of other scores below each of some; equal ones count half.

    Args:
        scores: [m].
        rising: [k] the others, rising.
    """
    below = np.searchsorted(rising, scores, side="left")
    not_above = np.searchsorted(rising, scores, side="right")
    return np.asarray((below + not_above) / (2 * len(rising)))
