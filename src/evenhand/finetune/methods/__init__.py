"""Methods of adaptation: one file each, with an `INFO` card, a `Config` and `apply(model, roles, config)`.

`apply` receives a copy of the base with a new head, and returns it with `requires_grad` set on exactly the
parameters that the method trains; adapters come from PEFT, through `_peft.add_adapter`. What a method draws
at random comes from torch's generator, which the caller has seeded. A method's file does not import torch at
the top. It may also define:

- `complaints(model, roles, config)`: reasons why the options do not fit the shapes of a model;
- `sizes(model, roles, config)`: the values of the option `INFO.size` that fit a model, in order, where these
  are not the whole numbers up to the narrowest width of the target layers;
- `weight_complaints(model, roles, config, weight)`: reasons why they do not fit its weights;
- `remarks(model, roles, config)`: notes on unusual options, and on choices made for this model;
- `before_training(model, config, steps)`: called once, with the number of optimiser steps of the run;
- `after_step(model, step)`: called after every optimiser step, from 1, while the gradients are available;
- `extra_loss(model)`: a scalar tensor that is added to the mean loss of every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layer = Literal["Linear", "Conv1D", "Conv2d", "Embedding"]
Input = Literal["text", "image"]

#: Kinds of layers that hold a matrix of weights: torch's, and Conv1D, the transposed linear layer of GPT-2.
LAYERS: tuple[Layer, ...] = ("Linear", "Conv1D", "Conv2d", "Embedding")


@dataclass(frozen=True)
class MethodInfo:
    """Facts about a method, on which training, checks and estimates rely.

    Attributes:
        title: its name in reports.
        trained: description of the trained parameters.
        paper: reference.
        learning_rate: default learning rate.
        size: the option that determines the number of trained parameters, which `match` chooses; empty if
            there is none.
        epochs: default number of passes over the training rows; ignored where nothing is trained.
        trains_all: True if every weight is trained. Otherwise every weight of the base that does not require
            gradients is compared, bit for bit, before and after training.
        head_only: True if only a classification head is trained.
        merges: True if PEFT can merge the saved adapter into the base's weights; predictions of the merged
            model are then compared with the adapter's.
        identity_at_start: True if the adapted model computes, with default options, what the base computes
            until the first step.
        weight_decay: False if weight decay pulls the method's parameters away from where they start, such as
            factors that start at 1; a trained head decays as with any other method.
        head_rate: factor of the learning rate for a trained head, of methods with a rate that no head bears.
        layers: kinds of layers that its targets may be.
        inputs: kinds of inputs of the models that it adapts.
        checkpoints: True if it can be trained with `training.gradient_checkpointing`.
        sharded: True if it can be trained with `training.parallel: fsdp`.
        quantised: True if it replaces weights of the base by quantised ones: its adapter belongs to the
            quantised base, and the extra `quantised` has to be installed.
        ready: True if its runs read models that exist already, in place of the study's model.
    """

    title: str
    trained: str
    paper: str
    learning_rate: float
    epochs: int
    size: str = ""
    trains_all: bool = False
    head_only: bool = False
    merges: bool = False
    identity_at_start: bool = True
    weight_decay: bool = True
    head_rate: float = 1.0
    layers: tuple[Layer, ...] = LAYERS
    inputs: tuple[Input, ...] = ("text", "image")
    checkpoints: bool = True
    sharded: bool = True
    quantised: bool = False
    ready: bool = False
