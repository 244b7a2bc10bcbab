"""What a model is to say of the rows that it learns from, and how far it is from saying it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from evenhand.tables.schema import IntArray

#: A token that nobody has to say: of a source, of padding.
IGNORE_INDEX = -100


class Targets(Protocol):
    """Right answers to all rows of a feed."""

    def count(self, rows: IntArray) -> int:
        """How many answers some rows ask for: a step's loss is the mean over them."""
        ...

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Cross-entropy (natural logarithm), summed over the answers to some rows.

        Args:
            logits: what the model says of them.
            rows: which.
        """
        ...


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """One class for each row.

    Attributes:
        labels: [n] numbers of the classes.
    """

    labels: IntArray

    def count(self, rows: IntArray) -> int:
        """One answer for each row."""
        return len(rows)

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Of logits [rows, classes]."""
        labels = torch.from_numpy(self.labels[rows]).to(logits.device)
        return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")


@dataclass(frozen=True, eq=False)
class TokenTargets:
    """Of each row the tokens that come after a given beginning.

    Attributes:
        ids: [n] tokens of the rows.
        starts: [n] how many of them are given; at least 1, as nothing predicts the first.
    """

    ids: Sequence[npt.NDArray[np.int64]]
    starts: IntArray

    def count(self, rows: IntArray) -> int:
        """One answer for each token that is not given."""
        return sum(len(self.ids[row]) - int(self.starts[row]) for row in rows.tolist())

    def labels(self, rows: IntArray, longest: int) -> torch.Tensor:
        """[rows, longest] the tokens to say, padded on the right; what is given and padding is ignored."""
        labels = np.full((len(rows), longest), IGNORE_INDEX, np.int64)
        for i, row in enumerate(rows.tolist()):
            ids, start = self.ids[row], int(self.starts[row])
            labels[i, start : len(ids)] = ids[start:]
        return torch.from_numpy(labels)

    def loss(self, logits: torch.Tensor, rows: IntArray) -> torch.Tensor:
        """Of logits [rows, tokens, vocabulary]: those at a token say the next one."""
        labels = self.labels(rows, logits.shape[1]).to(logits.device)[:, 1:]
        scored = labels != IGNORE_INDEX
        return torch.nn.functional.cross_entropy(
            logits[:, :-1][scored].float(), labels[scored], reduction="sum"
        )
