"""Training targets: the expected output for every row, and its cross-entropy (natural logarithm)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from evenhand.finetune.inputs.encoded_rows import Pixels, Texts
from evenhand.tables.schema import IntArray

#: Label of tokens that are not targets: those of a prompt, and padding.
IGNORE_INDEX = -100


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """One class per row.

    Attributes:
        labels: [n] indices of the classes.
    """

    labels: IntArray

    def count(self, rows: IntArray) -> int:
        """Return the number of targets, which the loss of a step is divided by: one per row."""
        return len(rows)

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Return the cross-entropy of logits [rows, classes], summed over the targets of these rows."""
        labels = torch.from_numpy(self.labels[rows]).to(logits.device)
        return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")


@dataclass(frozen=True, eq=False)
class TokenTargets:
    """The tokens of each row after its prompt.

    Attributes:
        ids: [n] token ids of each row.
        starts: [n] number of tokens of its prompt; at least 1, as no token predicts the first.
    """

    ids: Sequence[npt.NDArray[np.int64]]
    starts: IntArray

    def count(self, rows: IntArray) -> int:
        """Return the number of tokens after the prompts."""
        return sum(len(self.ids[row]) - int(self.starts[row]) for row in rows.tolist())

    def labels(self, rows: IntArray, longest: int) -> torch.Tensor:
        """Return labels [rows, longest]: token ids, and IGNORE_INDEX for prompts and padding."""
        labels = np.full((len(rows), longest), IGNORE_INDEX, np.int64)
        for i, row in enumerate(rows.tolist()):
            ids, start = self.ids[row], int(self.starts[row])
            labels[i, start : len(ids)] = ids[start:]
        return torch.from_numpy(labels)

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Return the cross-entropy of logits [rows, tokens, vocabulary] for the next tokens, summed."""
        labels = self.labels(rows, logits.shape[1]).to(logits.device)[:, 1:]
        scored = labels != IGNORE_INDEX
        return torch.nn.functional.cross_entropy(
            logits[:, :-1][scored].float(), labels[scored], reduction="sum"
        )


Targets = ClassTargets | TokenTargets
TargetsT = TypeVar("TargetsT", ClassTargets, TokenTargets)


@dataclass(frozen=True, eq=False)
class TaskRows(Generic[TargetsT]):
    """The rows of a task and their split.

    Attributes:
        encoded: all rows as inputs of the model.
        targets: the expected output for every row.
        train: positions of the rows to train on.
        validation: positions of those for the validation loss.
        test: positions of those on which the reloaded model is compared with the trained one.
        remarks: notes for the user.
    """

    encoded: Texts | Pixels
    targets: TargetsT
    train: IntArray
    validation: IntArray
    test: IntArray
    remarks: tuple[str, ...] = ()
