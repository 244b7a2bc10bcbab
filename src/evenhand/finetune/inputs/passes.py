"""Batches of passes without gradients: how many rows each has, and which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import local_share
from evenhand.finetune.inputs.batches import EncodedRows, Inputs
from evenhand.tables.schema import IntArray

#: Rows of a pass where a study does not set fewer.
MAX_ROWS_OF_A_PASS = 64
_most_rows: ContextVar[int | None] = ContextVar("most_rows", default=None)


@contextmanager
def limit_rows_of_a_pass(rows: int | None) -> Iterator[None]:
    """Let no pass have more rows while the block runs: where training has little room, reading has too.

    Args:
        rows: the study's `training.micro_batch`; None sets no limit.
    """
    before = _most_rows.set(rows)
    try:
        yield
    finally:
        _most_rows.reset(before)


def rows_of_a_pass(usual: int) -> int:
    """How many rows a pass without gradients has, of as many as are usual for it."""
    most = _most_rows.get()
    return usual if most is None else min(usual, most)


def in_batches(
    encoded: EncodedRows, rows: IntArray, accelerator: Accelerator, *, shared: bool
) -> Iterator[tuple[IntArray, Inputs]]:
    """Cut rows into batches of like length, on the device.

    Args:
        encoded: all rows.
        rows: [m] which ones.
        accelerator: device and group.
        shared: give this process only its part; a batch that another process has too comes without rows.
    """
    order = rows[np.argsort(encoded.lengths[rows], kind="stable")]
    size = rows_of_a_pass(MAX_ROWS_OF_A_PASS)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    for batch, counts in (
        local_share(batches, accelerator) if shared else [(batch, True) for batch in batches]
    ):
        inputs = {k: v.to(accelerator.device) for k, v in encoded.take(batch).items()}
        yield batch if counts else batch[:0], inputs
