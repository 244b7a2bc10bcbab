"""Probabilities of classes and of tokens, in batches that do not depend on the training of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import all_gather_dict, all_reduce_sum
from evenhand.finetune.hardware.parallel import local_batches
from evenhand.finetune.inputs.encoded_rows import EncodedRows
from evenhand.finetune.inputs.passes import in_batches
from evenhand.finetune.inputs.targets import IGNORE_INDEX, TokenTargets
from evenhand.tables.schema import FloatArray, IntArray

K = TypeVar("K")
V = TypeVar("V")
#: Number of logits that are converted to float64 at once: 32 MB.
_MAX_CHUNK_ELEMENTS = 2**22


def probabilities(
    model: torch.nn.Module,
    encoded: EncodedRows,
    rows: IntArray,
    accelerator: Accelerator,
    *,
    exact: bool = False,
    shared: bool = False,
) -> FloatArray:
    """Predict class probabilities of rows.

    Args:
        model: returns `.logits`.
        encoded: all rows.
        rows: [m] rows to predict.
        accelerator: device and precision.
        exact: compute in float32, whatever the precision.
        shared: divide the rows among the processes of the group, which must all make the same call.

    Returns:
        [m, classes] in the order of `rows`, each row summing to 1; [0, 0] without rows.

    Raises:
        FloatingPointError: a probability is NaN.
    """
    softmax = partial(torch.softmax, dim=-1)
    return _predict(model, encoded, rows, accelerator, softmax, exact=exact, shared=shared)


def logits(
    model: torch.nn.Module, encoded: EncodedRows, rows: IntArray, accelerator: Accelerator
) -> FloatArray:
    """Predict logits [m, classes] of rows [m], in float64.

    The rows are divided among the processes of the group, which must all make the same call.

    Raises:
        FloatingPointError: a logit is NaN or infinite.
    """
    return _predict(model, encoded, rows, accelerator, lambda logits: logits, exact=False, shared=True)


def _predict(
    model: torch.nn.Module,
    encoded: EncodedRows,
    rows: IntArray,
    accelerator: Accelerator,
    transform: Callable[[torch.Tensor], torch.Tensor],
    *,
    exact: bool,
    shared: bool,
) -> FloatArray:
    """Return transformed logits of a model, [m, classes], in float64."""
    positions = {row: i for i, row in enumerate(rows.tolist())}
    outputs: FloatArray = np.empty((0, 0))
    if not len(rows):
        return outputs
    for batch, out in _forward(model, encoded, rows, accelerator, exact=exact, shared=shared):
        values = transform(out.double()).cpu().numpy()
        if not len(outputs):
            outputs = np.zeros((len(rows), values.shape[1]))
        outputs[[positions[row] for row in batch.tolist()]] = values[: len(batch)]
    outputs = all_reduce_sum(outputs, accelerator) if shared else outputs
    if not np.isfinite(outputs).all():
        raise FloatingPointError("the model produced NaN or infinite outputs; try a lower learning rate")
    return outputs


def _forward(
    model: torch.nn.Module,
    encoded: EncodedRows,
    rows: IntArray,
    accelerator: Accelerator,
    *,
    exact: bool,
    shared: bool,
) -> Iterator[tuple[IntArray, torch.Tensor]]:
    """Yield the rows and logits of each batch, computed without gradients; a repeated batch has no rows."""
    model.eval()
    for batch, inputs in in_batches(encoded, rows, accelerator, shared=shared):
        with torch.no_grad(), nullcontext() if exact else accelerator.autocast():
            logits = model(**inputs).logits
        yield batch, logits


def answer_batches(
    batches: Sequence[Sequence[K]],
    answer: Callable[[Sequence[K]], Sequence[V]],
    model: torch.nn.Module,
    accelerator: Accelerator,
) -> dict[K, V]:
    """Answer batches of distinct keys, divided among the processes of the group.

    Args:
        batches: the keys of each pass.
        answer: returns one value per key of a batch; called without gradients, in the run's precision.
        model: the model that `answer` runs.
        accelerator: device, precision and group.
    """
    answers: dict[K, V] = {}
    with torch.no_grad():
        for batch in local_batches(batches, model, accelerator):
            with accelerator.autocast():
                answers |= zip(batch, answer(batch), strict=True)
    return all_gather_dict(answers, accelerator)


def accuracy_and_loss(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Return the accuracy of the most likely class, and the mean negative log-likelihood (natural log).

    Args:
        scores: [m, classes] probabilities.
        labels: [m] true classes.
    """
    right = float(np.mean(scores.argmax(1) == labels))
    likelihood = np.maximum(scores[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    return right, float(-np.mean(np.log(likelihood)))


def token_log_probs(
    model: torch.nn.Module,
    encoded: EncodedRows,
    targets: TokenTargets,
    rows: IntArray,
    accelerator: Accelerator,
    *,
    exact: bool = False,
    shared: bool = False,
) -> list[FloatArray]:
    """Compute the log probabilities of the target tokens of sequences.

    Args:
        model: returns `.logits` of the next token at every token.
        encoded: all sequences.
        targets: the target tokens of each.
        rows: [m] sequences to score.
        accelerator: device and precision.
        exact: compute in float32, whatever the precision.
        shared: divide the rows among the processes of the group, which must all make the same call.

    Returns:
        For each of `rows` the natural logarithms [targets] of the probabilities of its target tokens, each
        conditional on all tokens before it.

    Raises:
        FloatingPointError: a log probability is NaN or infinite.
    """
    pieces_by_row: dict[int, FloatArray] = {}
    for batch, logits in _forward(model, encoded, rows, accelerator, exact=exact, shared=shared):
        if not len(batch):
            continue
        labels = targets.labels(batch, logits.shape[1]).to(logits.device)[:, 1:]
        scored = labels != IGNORE_INDEX
        values = _target_log_probs(logits, labels, scored)
        pieces = np.split(values, np.cumsum(scored.sum(1).cpu().numpy())[:-1])
        pieces_by_row |= zip(batch.tolist(), pieces, strict=True)
    pieces_by_row = all_gather_dict(pieces_by_row, accelerator) if shared else pieces_by_row
    return [pieces_by_row[row] for row in rows.tolist()]


def _target_log_probs(logits: torch.Tensor, labels: torch.Tensor, scored: torch.Tensor) -> FloatArray:
    """Compute the log probabilities of target tokens row by row, without a float64 copy of all logits."""
    rows = [log_probs(logits[i, :-1][scored[i]], labels[i][scored[i]]) for i in range(len(labels))]
    return np.concatenate(rows)


def log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> FloatArray:
    """Compute the log probabilities [m] of tokens [m] from logits [m, vocabulary], in float64.

    Raises:
        FloatingPointError: a log probability is NaN or infinite.
    """
    size = max(1, _MAX_CHUNK_ELEMENTS // logits.shape[-1])
    pieces = [
        torch.log_softmax(chunk.double(), dim=-1).gather(1, chunk_tokens[:, None])[:, 0].cpu().numpy()
        for chunk, chunk_tokens in zip(logits.split(size), tokens.split(size), strict=True)
    ]
    values = np.concatenate(pieces)
    if not np.isfinite(values).all():
        raise FloatingPointError("the model produced NaN or infinite outputs; try a lower learning rate")
    return np.asarray(values)
