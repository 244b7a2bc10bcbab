"""Models of true shape and random weights, and rows of the length that the paper trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evenhand import registry
from evenhand.finetune import Job, Model, Precision, Training
from evenhand.finetune.estimate.shape import shape_of
from evenhand.finetune.estimate.standin import stand_in
from evenhand.finetune.inputs.encoded_rows import EncodedRows, Pixels, Texts
from evenhand.finetune.modeling.adapt import METHODS
from evenhand.finetune.modeling.pretrained import attention_of
from evenhand.finetune.models._roles import find_roles

CLASSES = ("no", "yes")
METHODS_HERE = ("lora", "full")


@dataclass(frozen=True)
class Shape:
    """One model, and the rows that it trains on.

    Attributes:
        title: what the table calls it.
        family: the file of `evenhand.finetune.models` that knows it.
        model: whose shape it has: a hub id, or the folder of a stand-in.
        tokens: of every text; 0 where pictures are read.
        batch: rows of an optimiser step.
        micro_batch: rows of a forward pass.
        rank: of LoRA.
    """

    title: str
    family: str
    model: str
    tokens: int
    batch: int
    micro_batch: int
    rank: int

    @property
    def task(self) -> str:
        """What the model reads."""
        return "text" if self.tokens else "image"

    def config(self) -> Any:
        """The configuration of the model, with two classes."""
        config = shape_of(Model(self.model))
        config.num_labels, config.pad_token_id = len(CLASSES), 0
        return config

    def job(self, method: str, precision: Precision) -> Job:
        """A run by a method."""
        options: dict[str, Any] = {"rank": self.rank, "alpha": 16.0} if method == "lora" else {}
        training = Training(
            1e-5, 1, batch_size=self.batch, micro_batch=self.micro_batch, precision=precision, max_length=256
        )
        return Job(method, Model(self.model), method, options, training, 13)


#: The paper's: batches of 32; pictures whole, texts of 256 tokens in micro-batches of 8.
TRUE = {
    "vit": Shape("ViT-Base", "vit", "google/vit-base-patch16-224-in21k", 0, 32, 32, 16),
    "swinv2": Shape("Swin-v2-L", "swinv2", "microsoft/swinv2-large-patch4-window12-192-22k", 0, 32, 32, 16),
    "llama2": Shape("Llama-2 7B", "llama", "meta-llama/Llama-2-7b-hf", 256, 32, 8, 8),
}


def miniature(shape: Shape) -> Shape:
    """The same on a stand-in of the family: what runs anywhere, and measures nothing of the true model."""
    tokens = min(shape.tokens, 64)
    folder = str(stand_in(shape.family, shape.task))
    return Shape(f"tiny {shape.family}", shape.family, folder, tokens, 8, 4, 2)


def adapted(shape: Shape, job: Job, device: torch.device) -> torch.nn.Module:
    """A model with random weights, made where it is trained, and adapted by evenhand's own method."""
    import transformers

    kind = "AutoModelForSequenceClassification" if shape.tokens else "AutoModelForImageClassification"
    attention = attention_of(job.training.precision)
    torch.manual_seed(job.seed)
    with device:
        model = getattr(transformers, kind).from_config(
            shape.config(), dtype=torch.float32, attn_implementation=attention
        )
    roles = find_roles(model, classifies=True)
    method = registry.load(METHODS, job.method)
    made: torch.nn.Module = method.apply(model, roles, method.Config(**job.options))
    return made.to(device)


def feed_of(shape: Shape, rows: int) -> tuple[EncodedRows, np.ndarray]:
    """Drawn rows in the form that the loop takes, and their labels; all texts are of full length."""
    rng = np.random.default_rng(13)
    labels = np.arange(rows, dtype=np.int64) % len(CLASSES)
    config = shape.config()
    if shape.tokens:
        ids = rng.integers(3, config.vocab_size, (rows, shape.tokens))
        return Texts(list(ids), 0, np.full(rows, shape.tokens, np.int64), shape.micro_batch), labels
    side = config.image_size
    pictures = rng.integers(0, 256, (rows, side, side, 3), dtype=np.uint8)
    values = np.tile(np.linspace(-1, 1, 256, dtype=np.float32), (3, 1))
    return Pixels(pictures, values, np.ones(rows, np.int64)), labels
