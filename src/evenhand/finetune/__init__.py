"""How models are adapted. The only folder that imports torch, transformers, peft and accelerate.

`finetune.run.train(job, examples, parts, folder)` trains one run and writes its folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Training:
    """How any method is trained; one for a whole study, so that arms differ in the method alone.

    Attributes:
        batch_size: examples per optimiser step.
        weight_decay: of AdamW.
        warmup: share of the steps with a rising learning rate.
        max_grad_norm: gradients are clipped to this norm.
        schedule: how the learning rate falls after the warm-up.
        precision: of every arm; bfloat16 is autocast.
        max_length: tokens per text.
    """

    batch_size: int = 32
    weight_decay: float = 0.001
    warmup: float = 0.01
    max_grad_norm: float = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: int = 256


@dataclass(frozen=True)
class Job:
    """One run: all that can change its results, as plain data.

    Attributes:
        model: a hub id, a folder, or the name of a built-in tiny model (`tiny_text`, `tiny_vision`).
        model_options: options of a built-in model (`pretraining`), else empty.
        method: name of the method's file.
        method_options: its `Config`, as plain data.
        learning_rate: peak learning rate.
        epochs: passes over the training rows.
        seed: of initialisation, dropout and data order.
        training: what all arms share.
    """

    model: str
    method: str
    learning_rate: float
    epochs: float
    seed: int
    training: Training = field(default_factory=Training)
    model_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    method_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
