"""Batches of forward passes without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import local_share
from evenhand.finetune.inputs.encoded_rows import EncodedRows, Inputs
from evenhand.tables.schema import IntArray

#: Maximum number of rows of a pass, unless a study sets a smaller one.
MAX_ROWS_OF_A_PASS = 64
_most_rows: ContextVar[int | None] = ContextVar("most_rows", default=None)


@contextmanager
def limit_rows_of_a_pass(rows: int | None) -> Iterator[None]:
    """Limit the rows of all passes while the block runs: memory that limits training also limits inference.

    Args:
        rows: the study's `training.micro_batch`; None sets no limit.
    """
    before = _most_rows.set(rows)
    try:
        yield
    finally:
        _most_rows.reset(before)


def rows_of_a_pass(usual: int) -> int:
    """Return the number of rows of a pass without gradients: the usual one, or the limit if smaller."""
    most = _most_rows.get()
    return usual if most is None else min(usual, most)


def in_batches(
    encoded: EncodedRows, rows: IntArray, accelerator: Accelerator, *, shared: bool
) -> Iterator[tuple[IntArray, Inputs]]:
    """Yield batches of rows of similar length, with their inputs on the device.

    Args:
        encoded: all rows.
        rows: [m] rows to read.
        accelerator: device and group.
        shared: yield only this process's share; a batch repeated from another process has no row numbers,
            but its inputs, because a sharded model has to run in all processes.
    """
    order = rows[np.argsort(encoded.lengths[rows], kind="stable")]
    size = rows_of_a_pass(MAX_ROWS_OF_A_PASS)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    for batch, counts in (
        local_share(batches, accelerator) if shared else [(batch, True) for batch in batches]
    ):
        inputs = {k: v.to(accelerator.device) for k, v in encoded.take(batch).items()}
        yield batch if counts else batch[:0], inputs
