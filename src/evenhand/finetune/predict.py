"""Probabilities of classes and of tokens, in batches that do not depend on how a model was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.answers import IGNORED, Continuations
from evenhand.finetune.feed import Feed, Inputs
from evenhand.tables.schema import FloatArray, IntArray

BATCH = 64


def in_batches(feed: Feed, rows: IntArray, accelerator: Accelerator) -> Iterator[tuple[IntArray, Inputs]]:
    """Cut rows into batches of like length, on the device."""
    order = rows[np.argsort(feed.lengths[rows], kind="stable")]
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        yield batch, {k: v.to(accelerator.device) for k, v in feed.take(batch).items()}


def probabilities(
    model: torch.nn.Module, feed: Feed, rows: IntArray, accelerator: Accelerator, *, exact: bool = False
) -> FloatArray:
    """Predict rows.

    Args:
        model: gives `.logits`.
        feed: all rows.
        rows: [m] which ones.
        accelerator: device and precision.
        exact: in float32, whatever the precision.

    Returns:
        [m, classes] in the order of `rows`, each row summing to 1.

    Raises:
        FloatingPointError: a probability is no number.
    """
    return _read(model, feed, rows, accelerator, lambda logits: torch.softmax(logits, dim=-1), exact=exact)


def logits(model: torch.nn.Module, feed: Feed, rows: IntArray, accelerator: Accelerator) -> FloatArray:
    """[m, classes] what the model says of some rows, before it is made into probabilities.

    Raises:
        FloatingPointError: one is no number.
    """
    return _read(model, feed, rows, accelerator, lambda logits: logits, exact=False)


def _read(
    model: torch.nn.Module,
    feed: Feed,
    rows: IntArray,
    accelerator: Accelerator,
    made: Callable[[torch.Tensor], torch.Tensor],
    *,
    exact: bool,
) -> FloatArray:
    """[m, classes] what is made of a model's logits, in float64."""
    model.eval()
    place = {row: i for i, row in enumerate(rows.tolist())}
    found: FloatArray | None = None
    with torch.no_grad():
        for batch, inputs in in_batches(feed, rows, accelerator):
            with nullcontext() if exact else accelerator.autocast():
                out = model(**inputs).logits
            values = made(out.double()).cpu().numpy()
            if found is None:
                found = np.empty((len(rows), values.shape[1]))
            found[[place[row] for row in batch.tolist()]] = values
    if found is None:
        raise ValueError("there are no rows to predict")
    if not np.isfinite(found).all():
        raise FloatingPointError("the model's predictions are no numbers: the learning rate may be too high")
    return found


def accuracy_and_loss(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Share of rows whose likeliest class is right, and mean negative log-likelihood (natural log)."""
    right = float(np.mean(scores.argmax(1) == labels))
    likelihood = np.maximum(scores[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    return right, float(-np.mean(np.log(likelihood)))


def token_log_probs(
    model: torch.nn.Module,
    feed: Feed,
    answers: Continuations,
    rows: IntArray,
    accelerator: Accelerator,
    *,
    exact: bool = False,
) -> list[FloatArray]:
    """Read sequences of tokens.

    Args:
        model: gives `.logits` of the next token at every token.
        feed: all sequences.
        answers: which of their tokens are to be said.
        rows: [m] which ones.
        accelerator: device and precision.
        exact: in float32, whatever the precision.

    Returns:
        For each of `rows` the logarithms (natural) of the probabilities of its tokens to be said, each given
        all tokens before it.

    Raises:
        FloatingPointError: one is no number.
    """
    model.eval()
    found: dict[int, FloatArray] = {}
    with torch.no_grad():
        for batch, inputs in in_batches(feed, rows, accelerator):
            with nullcontext() if exact else accelerator.autocast():
                logits = model(**inputs).logits
            labels = answers.labels(batch, logits.shape[1]).to(logits.device)[:, 1:]
            said = labels != IGNORED
            values = log_probs(logits[:, :-1][said], labels[said])
            pieces = np.split(values, np.cumsum(said.sum(1).cpu().numpy())[:-1])
            found |= dict(zip(batch.tolist(), pieces, strict=True))
    return [found[row] for row in rows.tolist()]


def log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> FloatArray:
    """[m] logarithms of the probabilities of tokens [m], by logits [m, vocabulary], in float64.

    Raises:
        FloatingPointError: one is no number.
    """
    values = torch.log_softmax(logits.double(), dim=-1).gather(1, tokens[:, None])[:, 0].cpu().numpy()
    if not np.isfinite(values).all():
        raise FloatingPointError("the model's predictions are no numbers: the learning rate may be too high")
    return np.asarray(values)
