"""Methods of adaptation: one file each, with an `INFO` card, a `Config` and `apply(model, roles, config)`.

`apply` receives a copy of the base with a new head, and returns it with `requires_grad` set on exactly the
parameters that the method trains; adapters come from PEFT. A method's file does not import torch at the top.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodInfo:
    """Facts about a method.

    Attributes:
        title: its name in reports.
        trained: description of the trained parameters.
        paper: reference.
        learning_rate: default learning rate.
        epochs: default number of passes over the training rows; ignored where nothing is trained.
        trains_all: True if every weight is trained.
        head_only: True if only a classification head is trained.
    """

    title: str
    trained: str
    paper: str
    learning_rate: float
    epochs: int
    trains_all: bool = False
    head_only: bool = False
