"""Methods of adaptation: one file each, with an `INFO` card, a `Config` and `apply(model, roles, config)`.

`apply` gets a model of its own, with a new head, and returns it with exactly what the method trains set to
require gradients; adapters come from PEFT. A method's file imports no torch at the top.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodInfo:
    """Facts about a method.

    Attributes:
        title: its name in reports.
        trained: what it trains, in words.
        paper: where it comes from.
        learning_rate: the rate when a study gives none.
        epochs: passes over the training rows when a study gives none; no matter where nothing is trained.
        trains_all: whether every weight is trained.
        head_only: whether a classification head is all that it trains.
    """

    title: str
    trained: str
    paper: str
    learning_rate: float
    epochs: int
    trains_all: bool = False
    head_only: bool = False
