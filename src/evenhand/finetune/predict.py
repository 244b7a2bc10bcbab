"""Probabilities of the classes, in batches that do not depend on how a model was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.devices import added, share
from evenhand.finetune.feed import Feed, Inputs
from evenhand.tables.schema import FloatArray, IntArray

BATCH = 64


def in_batches(
    feed: Feed, rows: IntArray, accelerator: Accelerator, *, shared: bool
) -> Iterator[tuple[IntArray, Inputs]]:
    """Cut rows into batches of like length, on the device.

    Args:
        feed: all rows.
        rows: [m] which ones.
        accelerator: device and group.
        shared: give this process only its part; a batch that another process has too comes without rows.
    """
    order = rows[np.argsort(feed.lengths[rows], kind="stable")]
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    for batch, counts in share(batches, accelerator) if shared else [(batch, True) for batch in batches]:
        inputs = {k: v.to(accelerator.device) for k, v in feed.take(batch).items()}
        yield batch if counts else batch[:0], inputs


def probabilities(
    model: torch.nn.Module,
    feed: Feed,
    rows: IntArray,
    accelerator: Accelerator,
    *,
    exact: bool = False,
    shared: bool = False,
) -> FloatArray:
    """Predict rows.

    Args:
        model: gives `.logits`.
        feed: all rows.
        rows: [m] which ones.
        accelerator: device and precision.
        exact: in float32, whatever the precision.
        shared: divide the rows among the processes of the group, which must all ask for the same.

    Returns:
        [m, classes] in the order of `rows`, each row summing to 1; [0, 0] without rows.

    Raises:
        FloatingPointError: a probability is no number.
    """
    made = partial(torch.softmax, dim=-1)
    return _read(model, feed, rows, accelerator, made, exact=exact, shared=shared)


def logits(model: torch.nn.Module, feed: Feed, rows: IntArray, accelerator: Accelerator) -> FloatArray:
    """[m, classes] what the model says of some rows, before it is made into probabilities.

    The rows are divided among the processes of the group, which must all ask for the same.

    Raises:
        FloatingPointError: one is no number.
    """
    return _read(model, feed, rows, accelerator, lambda logits: logits, exact=False, shared=True)


def _read(
    model: torch.nn.Module,
    feed: Feed,
    rows: IntArray,
    accelerator: Accelerator,
    made: Callable[[torch.Tensor], torch.Tensor],
    *,
    exact: bool,
    shared: bool,
) -> FloatArray:
    """[m, classes] what is made of a model's logits, in float64."""
    model.eval()
    place = {row: i for i, row in enumerate(rows.tolist())}
    found: FloatArray = np.empty((0, 0))
    if not len(rows):
        return found
    with torch.no_grad():
        for batch, inputs in in_batches(feed, rows, accelerator, shared=shared):
            with nullcontext() if exact else accelerator.autocast():
                out = model(**inputs).logits
            values = made(out.double()).cpu().numpy()
            if not len(found):
                found = np.zeros((len(rows), values.shape[1]))
            found[[place[row] for row in batch.tolist()]] = values[: len(batch)]
    found = added(found, accelerator) if shared else found
    if not np.isfinite(found).all():
        raise FloatingPointError("the model's predictions are no numbers: the learning rate may be too high")
    return found


def accuracy_and_loss(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Share of rows whose likeliest class is right, and mean negative log-likelihood (natural log)."""
    right = float(np.mean(scores.argmax(1) == labels))
    likelihood = np.maximum(scores[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    return right, float(-np.mean(np.log(likelihood)))


def measuring(
    model: torch.nn.Module, feed: Feed, rows: IntArray, labels: IntArray, accelerator: Accelerator
) -> Callable[[], tuple[float, float]] | None:
    """How to measure a model on validation rows, if there are any: accuracy and loss, by all processes."""
    if not len(rows):
        return None
    return lambda: accuracy_and_loss(probabilities(model, feed, rows, accelerator, shared=True), labels[rows])
