"""Fine-tuning: the half of evenhand that needs torch, transformers, peft and accelerate.

This module defines only the plain data that other packages pass to `evenhand.finetune.run`, which does the
work. Nothing heavy is imported before `run` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenhand.datasets import Examples, Parts
from evenhand.tables.schema import IntArray

Precision = Literal["float32", "bfloat16"]
Parallel = Literal["data", "fsdp"]


@dataclass(frozen=True)
class Training:
    """Settings of the training, besides method and model: everything else that can change a result.

    Attributes:
        learning_rate: the peak learning rate of AdamW, reached after the warm-up.
        epochs: passes over the training rows.
        batch_size: rows per optimiser step.
        micro_batch: rows per forward pass; gradients are accumulated over the rows of a step. With None, the
            task decides. The texts of a step are sorted by length before they are split.
        weight_decay: of AdamW, applied to matrices only.
        warmup: share of all steps over which the rate rises from 0, before it falls along a cosine.
        clip: maximum norm of the gradient.
        precision: of the arithmetic; the same for every method of a study.
        max_length: maximum number of tokens of a text.
        flip: mirror pictures at random in training.
        parallel: `data` gives each process of a group a full copy of the model, `fsdp` a part of every layer.
            It has no effect in a single process.
        gradient_checkpointing: store only the inputs of the layers for the backward pass and recompute the
            rest: less memory, more time, the same numbers.
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
    """The base model to adapt.

    Attributes:
        name: a hub id, a folder, or the name of a model that evenhand makes itself (`tiny_text`).
        options: options of that model (`pretraining`), or the `revision` of a hub id.
        label: its name in reports.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def key(self) -> str:
        """Identity of the model, independent of its label."""
        return repr((self.name, sorted(self.options.items())))


def split_revision(model: str) -> tuple[str, str | None]:
    """Split MODEL@REVISION into the model and its revision; a folder may have an @ in its name."""
    if "@" not in model or Path(model).expanduser().is_dir():
        return model, None
    name, _, revision = model.rpartition("@")
    return name, revision or None


@dataclass(frozen=True)
class Membership:
    """The rows that a run trains on and is attacked on, for membership inference.

    Attributes:
        protocol: `shared`: train on half of the training rows and measure signals on all of them.
            `offline`: measure signals on the attacked rows only.
        seed: of the random halves.
        half: number of the random half to train on; None stands for all training rows.
    """

    protocol: Literal["shared", "offline"]
    seed: int
    half: int | None = None

    @property
    def role(self) -> str:
        """Role of the run in the table of signals; with shared halves, every run is a target."""
        target = self.protocol == "shared" or self.half is None
        return "target" if target else f"reference {self.half}"


@dataclass(frozen=True)
class Job:
    """One run: a model, adapted by a method, with one seed.

    Attributes:
        arm: the method as the study names it, such as `lora[rank=8]`.
        model: the base model.
        method: name of the method's file.
        options: all fields of the method's `Config`.
        training: settings of the training.
        seed: determines initialisation, dropout and the order of the rows; the same for every method.
        membership: set for the targets and references of an attack, else None.
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
        """Name of this run within its arm: the seed, or the half that it trains on."""
        half = None if self.membership is None else self.membership.half
        return str(self.seed) if half is None else f"half {half}"

    @property
    def for_signals(self) -> bool:
        """True if only the run's signals are needed: it writes no predictions, and its model is not saved."""
        return self.membership is not None and self.membership.half is not None


@dataclass(frozen=True, eq=False)
class Data:
    """The rows of a study and their split.

    Instances compare by identity, so that results computed from one can be cached.

    Attributes:
        examples: all rows.
        parts: the split into training, validation and test rows.
        attacked: [m] rows whose signals are written; None for a run without an attack.
    """

    examples: Examples
    parts: Parts
    attacked: IntArray | None = None


@dataclass(frozen=True)
class Prepared:
    """Findings about jobs before any training.

    Attributes:
        complaints: reasons why some jobs cannot run, one paragraph each.
        remarks: notes about the jobs for the user.
        revisions: commits of the models that come from the hub, by `Model.key`.
    """

    complaints: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    revisions: Mapping[str, str] = field(default_factory=dict)
