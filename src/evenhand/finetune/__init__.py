"""How models are adapted: the half of evenhand that needs torch, transformers, peft and accelerate.

This file has only the words that others use to ask for it; `evenhand.finetune.run` does the work. Nothing
heavy is imported before `run` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.datasets import Examples, Parts
from evenhand.tables.schema import IntArray

Precision = Literal["float32", "bfloat16"]
Parallel = Literal["data", "fsdp"]


@dataclass(frozen=True)
class Training:
    """How a model is trained: everything besides method and model that can move a number.

    Attributes:
        learning_rate: the highest rate of AdamW, after the warm-up.
        epochs: passes over the training rows.
        batch_size: rows per optimiser step.
        micro_batch: rows per forward pass (gradients are summed up to a step's rows); None lets the task
            decide. Texts of a step are sorted by length before they are cut.
        weight_decay: of AdamW, on matrices only.
        warmup: share of all steps over which the rate rises from 0, before it falls along a cosine.
        clip: largest norm of all gradients.
        precision: of the arithmetic; one for every method of a study.
        max_length: most tokens of a text.
        flip: whether pictures are mirrored at random in training.
        parallel: what each process of a group has: the whole model (`data`), or a part of every layer
            (`fsdp`). Of no effect in a single process.
        gradient_checkpointing: keep only what enters the layers for the backward pass, and compute the rest
            again: less memory, more time, the same numbers.
    """

    learning_rate: float
    epochs: int
    batch_size: int = 32
    micro_batch: int | None = None
    weight_decay: float = 0.001
    warmup: float = 0.01
    clip: float = 1.0
    precision: Precision = "float32"
    max_length: int = 256
    flip: bool = True
    parallel: Parallel = "data"
    gradient_checkpointing: bool = False


@dataclass(frozen=True)
class Model:
    """Which model is adapted.

    Attributes:
        name: a hub id, a folder, or the name of a model that evenhand makes itself (`tiny_text`).
        options: of that model (`pretraining`), or `revision` of a hub id.
        label: what reports call it.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        """What sets it apart from other models, whatever it is called."""
        return repr((self.name, sorted(self.options.items())))


@dataclass(frozen=True)
class Membership:
    """Which rows a run learns from and is asked about, for membership inference.

    Attributes:
        protocol: `shared`: a half of the training rows, and asked about all of them. `offline`: asked about
            the rows that are attacked.
        seed: of the draws.
        half: number of the random half that it learns from; None is all training rows.
    """

    protocol: Literal["shared", "offline"]
    seed: int
    half: int | None = None

    @property
    def role(self) -> str:
        """What the run is in the table of signals; where halves are shared, each is a target."""
        target = self.protocol == "shared" or self.half is None
        return "target" if target else f"reference {self.half}"


@dataclass(frozen=True)
class Job:
    """One run: a model, adapted by a method, from one seed.

    Attributes:
        arm: the method as the study names it, such as `lora[rank=8]`.
        model: which model.
        method: name of the method's file.
        options: fields of the method's `Config`, all of them.
        training: how it is trained.
        seed: changes initialisation, dropout and the order of the rows; the same for every method.
        membership: of a run that is attacked, or that an attack learns from; None of any other.
    """

    arm: str
    model: Model
    method: str
    options: Mapping[str, Any]
    training: Training
    seed: int
    membership: Membership | None = None

    @property
    def run(self) -> str:
        """What tells this run from the others of its arm."""
        half = None if self.membership is None else self.membership.half
        return str(self.seed) if half is None else f"half {half}"

    @property
    def for_signals(self) -> bool:
        """Whether the run is there for its signals alone: it predicts nothing, and its model is not kept."""
        return self.membership is not None and self.membership.half is not None


@dataclass(frozen=True, eq=False)
class Data:
    """The rows of a study and what each is for. Equal only to itself, so that work done on it can be kept.

    Attributes:
        examples: all rows.
        parts: which are for what.
        attacked: rows whose signals are written; None of a run that nobody attacks.
    """

    examples: Examples
    parts: Parts
    attacked: IntArray | None = None


@dataclass(frozen=True)
class Prepared:
    """What can be known before training.

    Attributes:
        complaints: why some jobs cannot run; one paragraph each.
        remarks: what is worth knowing of them.
        revisions: commits of the models that come from the hub, by `Model.key`.
    """

    complaints: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    revisions: Mapping[str, str] = field(default_factory=dict)
