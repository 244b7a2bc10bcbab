"""Training targets: the expected output for every row, and its cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from evenhand.tables.schema import IntArray

#: Label of tokens that are not targets: those of a prompt, and padding.
IGNORE_INDEX = -100


class Targets(Protocol):
    """Expected outputs for all encoded rows."""

    def count(self, rows: IntArray) -> int:
        """Return the number of targets of some rows; the loss of a step is the mean over its targets."""
        ...

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Return the cross-entropy (natural logarithm), summed over the targets of some rows.

        Args:
            logits: output of the model for these rows.
            rows: [m] positions of the rows.
        """
        ...


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """One class per row.

    Attributes:
        labels: [n] indices of the classes.
    """

    labels: IntArray

    def count(self, rows: IntArray) -> int:
        """Return the number of rows: each has one target."""
        return len(rows)

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Return the summed cross-entropy of logits [rows, classes]."""
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
        """Return the summed cross-entropy of logits [rows, tokens, vocabulary] for the next tokens."""
        labels = self.labels(rows, logits.shape[1]).to(logits.device)[:, 1:]
        scored = labels != IGNORE_INDEX
        return torch.nn.functional.cross_entropy(
            logits[:, :-1][scored].float(), labels[scored], reduction="sum"
        )
