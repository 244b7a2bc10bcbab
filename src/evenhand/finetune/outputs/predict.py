"""Probabilities of classes and of tokens, in batches that do not depend on how a model was trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import all_gather_dict, all_reduce_sum
from evenhand.finetune.inputs.batches import EncodedRows
from evenhand.finetune.inputs.passes import in_batches
from evenhand.finetune.inputs.targets import IGNORE_INDEX, TokenTargets
from evenhand.tables.schema import FloatArray, IntArray

#: Numbers that are turned into float64 at once: 32 MB of logits.
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
    """Predict rows.

    Args:
        model: gives `.logits`.
        encoded: all rows.
        rows: [m] which ones.
        accelerator: device and precision.
        exact: in float32, whatever the precision.
        shared: divide the rows among the processes of the group, which must all ask for the same.

    Returns:
        [m, classes] in the order of `rows`, each row summing to 1; [0, 0] without rows.

    Raises:
        FloatingPointError: a probability is no number.
    """
    softmax = partial(torch.softmax, dim=-1)
    return _predict(model, encoded, rows, accelerator, softmax, exact=exact, shared=shared)


def logits(
    model: torch.nn.Module, encoded: EncodedRows, rows: IntArray, accelerator: Accelerator
) -> FloatArray:
    """[m, classes] what the model says of some rows, before it is made into probabilities.

    The rows are divided among the processes of the group, which must all ask for the same.

    Raises:
        FloatingPointError: one is no number.
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
    """[m, classes] what is made of a model's logits, in float64."""
    model.eval()
    positions = {row: i for i, row in enumerate(rows.tolist())}
    outputs: FloatArray = np.empty((0, 0))
    if not len(rows):
        return outputs
    with torch.no_grad():
        for batch, inputs in in_batches(encoded, rows, accelerator, shared=shared):
            with nullcontext() if exact else accelerator.autocast():
                out = model(**inputs).logits
            values = transform(out.double()).cpu().numpy()
            if not len(outputs):
                outputs = np.zeros((len(rows), values.shape[1]))
            outputs[[positions[row] for row in batch.tolist()]] = values[: len(batch)]
    outputs = all_reduce_sum(outputs, accelerator) if shared else outputs
    if not np.isfinite(outputs).all():
        raise FloatingPointError("the model's predictions are no numbers: the learning rate may be too high")
    return outputs


def accuracy_and_loss(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Share of rows whose likeliest class is right, and mean negative log-likelihood (natural log)."""
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
    """Read sequences of tokens.

    Args:
        model: gives `.logits` of the next token at every token.
        encoded: all sequences.
        targets: which of their tokens are to be said.
        rows: [m] which ones.
        accelerator: device and precision.
        exact: in float32, whatever the precision.
        shared: divide the rows among the processes of the group, which must all ask for the same.

    Returns:
        For each of `rows` the logarithms (natural) of the probabilities of its tokens to be said, each given
        all tokens before it.

    Raises:
        FloatingPointError: one is no number.
    """
    model.eval()
    pieces_by_row: dict[int, FloatArray] = {}
    with torch.no_grad():
        for batch, inputs in in_batches(encoded, rows, accelerator, shared=shared):
            with nullcontext() if exact else accelerator.autocast():
                logits = model(**inputs).logits
            if not len(batch):
                continue
            labels = targets.labels(batch, logits.shape[1]).to(logits.device)[:, 1:]
            scored = labels != IGNORE_INDEX
            values = _target_log_probs(logits, labels, scored)
            pieces = np.split(values, np.cumsum(scored.sum(1).cpu().numpy())[:-1])
            pieces_by_row |= dict(zip(batch.tolist(), pieces, strict=True))
    pieces_by_row = all_gather_dict(pieces_by_row, accelerator) if shared else pieces_by_row
    return [pieces_by_row[row] for row in rows.tolist()]


def _target_log_probs(logits: torch.Tensor, labels: torch.Tensor, scored: torch.Tensor) -> FloatArray:
    """Logarithms of the probabilities of the tokens to be said, row by row, without a copy of all logits."""
    rows = [log_probs(logits[i, :-1][scored[i]], labels[i][scored[i]]) for i in range(len(labels))]
    return np.concatenate(rows)


def log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> FloatArray:
    """[m] logarithms of the probabilities of tokens [m], by logits [m, vocabulary], in float64.

    Raises:
        FloatingPointError: one is no number.
    """
    size = max(1, _MAX_CHUNK_ELEMENTS // logits.shape[-1])
    pieces = [
        torch.log_softmax(chunk.double(), dim=-1).gather(1, chunk_tokens[:, None])[:, 0].cpu().numpy()
        for chunk, chunk_tokens in zip(logits.split(size), tokens.split(size), strict=True)
    ]
    values = np.concatenate(pieces)
    if not np.isfinite(values).all():
        raise FloatingPointError("the model's predictions are no numbers: the learning rate may be too high")
    return np.asarray(values)
