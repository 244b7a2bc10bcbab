"""A plain script: transformers' `Trainer` and PEFT, one run after the other, no evenhand in the training.

Rows and their parts come from evenhand's datasets, so that both train and test on the same ones; reading,
tokenising, image processing, batching, optimising and predicting are transformers' own.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from evenhand.finetune import Data, Job
from evenhand.finetune.models import bert, distilbert, llama, vit

HEADS = {"bert": bert, "roberta": bert, "distilbert": distilbert, "llama": llama, "vit": vit}


@dataclass(frozen=True)
class Rows(torch.utils.data.Dataset):
    """Encoded rows, in an order; pictures are mirrored at random if asked for."""

    encoded: Sequence[dict[str, Any]]
    order: Sequence[int]
    flip: bool = False

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, i: int) -> dict[str, Any]:
        row = self.encoded[self.order[i]]
        if self.flip and "pixel_values" in row and torch.rand(()) < 0.5:
            return row | {"pixel_values": row["pixel_values"].flip(-1)}
        return row


class InOrder(Trainer):
    """A Trainer that takes the rows as they come."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)


def encode(job: Job, data: Data) -> tuple[list[dict[str, Any]], Any]:
    """Rows as transformers' own tokenizer or processor gives them, and what puts them together."""
    examples = data.examples
    if examples.task == "image":
        from PIL import Image

        processor = AutoImageProcessor.from_pretrained(job.model.name, use_fast=False)
        pictures = [
            Image.open(io.BytesIO(p)).convert("RGB") if isinstance(p, bytes) else Image.fromarray(p)
            for p in examples.inputs
        ]
        pixels = [processor(p, return_tensors="pt")["pixel_values"][0] for p in pictures]
        rows = [{"pixel_values": p, "labels": int(y)} for p, y in zip(pixels, examples.labels, strict=True)]
        return rows, None
    tokenizer = AutoTokenizer.from_pretrained(job.model.name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    told = tokenizer(list(examples.inputs), truncation=True, max_length=job.training.max_length)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": int(y)}
        for ids, mask, y in zip(told["input_ids"], told["attention_mask"], examples.labels, strict=True)
    ]
    return rows, DataCollatorWithPadding(tokenizer)


def model_of(job: Job, data: Data, pad: int | None) -> Any:
    """A new model for the job, adapted by PEFT where the method is LoRA."""
    kind = (
        AutoModelForImageClassification
        if data.examples.task == "image"
        else AutoModelForSequenceClassification
    )
    set_seed(job.seed)
    attention = "eager" if job.training.precision == "bfloat16" else "sdpa"
    model = kind.from_pretrained(
        job.model.name,
        num_labels=len(data.examples.classes),
        ignore_mismatched_sizes=True,
        attn_implementation=attention if job.training.precision == "float32" else None,
    )
    if pad is not None:
        model.config.pad_token_id = pad
    family = HEADS[model.config.model_type]
    if job.method == "full":
        return model
    if job.method == "head_only":
        model.requires_grad_(False)
        for name in family.HEAD:
            model.get_submodule(name).requires_grad_(True)
        return model
    import re

    from peft import LoraConfig, get_peft_model

    patterns = [family.ROLES[role] for role in job.options["targets"] if role in family.ROLES]
    targets = [
        n for n, _ in model.named_modules() if any(re.search(rf"(?:^|\.)(?:{p})$", n) for p in patterns)
    ]
    settings = LoraConfig(
        r=job.options["rank"],
        lora_alpha=job.options["alpha"],
        lora_dropout=job.options["dropout"],
        target_modules=targets,
        modules_to_save=list(family.HEAD),
    )
    return get_peft_model(model, settings)


def run(
    job: Job,
    data: Data,
    rows: Sequence[dict[str, Any]],
    collate: Any,
    *,
    model: Any = None,
    order: Any = None,
) -> np.ndarray:
    """Train one run and predict the test rows.

    Args:
        job: what to do.
        data: rows and parts.
        rows: what `encode` gave.
        collate: the same.
        model: trained instead of a new one.
        order: [epochs * n] rows to train on as they come; None lets the Trainer shuffle.

    Returns:
        [test rows] predicted classes.
    """
    t = job.training
    pad = None if collate is None else collate.tokenizer.pad_token_id
    model = model_of(job, data, pad) if model is None else model
    train = Rows(rows, data.parts.train.tolist() if order is None else list(order), t.flip and order is None)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=t.epochs if order is None else 1,
            learning_rate=t.learning_rate,
            per_device_train_batch_size=t.batch_size,
            per_device_eval_batch_size=64,
            weight_decay=t.weight_decay,
            warmup_steps=t.warmup,
            lr_scheduler_type="cosine",
            max_grad_norm=t.clip,
            seed=job.seed,
            bf16=t.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            dataloader_pin_memory=False,
        )
        trainer = (Trainer if order is None else InOrder)(
            model, arguments, data_collator=collate, train_dataset=train
        )
        trainer.train()
        test = Rows(rows, data.parts.test.tolist())
        return np.asarray(trainer.predict(test).predictions).argmax(1)


def accuracies(jobs: Sequence[Job], data: Data) -> Iterator[tuple[Job, float]]:
    """Train and test every job in turn."""
    rows, collate = encode(jobs[0], data)
    truth = data.examples.labels[data.parts.test]
    for job in jobs:
        yield job, float(np.mean(run(job, data, rows, collate) == truth))
