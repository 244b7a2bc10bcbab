"""Synthetic rows that replace those of a dataset in a smoke test."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from evenhand.tables.schema import Attribute

#: Number of synthetic rows: enough for both classes in every part.
SMOKE_ROWS = 400
SMOKE = "The rows are synthetic, in the form of the dataset: results are meaningless."


def draw_partitions(names: Sequence[str], groups: tuple[str, ...], rng: Generator) -> list[Attribute]:
    """Draw the group of each synthetic row at random, by attribute."""
    return [
        Attribute(name, "partition", groups, codes=rng.integers(len(groups), size=SMOKE_ROWS))
        for name in names
    ]
