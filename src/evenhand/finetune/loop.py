"""The training loop, the same for every method: AdamW, warm-up and cosine, clipping, accumulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from evenhand.finetune import Training
from evenhand.finetune.hardware.devices import all_reduce_sum, local_share
from evenhand.finetune.hardware.parallel import no_sync
from evenhand.finetune.inputs.batches import EncodedRows
from evenhand.finetune.inputs.targets import Targets
from evenhand.finetune.log import Log
from evenhand.tables.schema import IntArray

BETAS = (0.9, 0.999)
_ORDER_STREAM, _MIRROR_STREAM = 1, 2


@dataclass(frozen=True)
class TrainingBatches:
    """What is learnt from.

    Attributes:
        encoded: all rows in the form that the model reads.
        targets: what is to be said of each row.
        rows: rows to train on.
        seed: of their order, and of which pictures are mirrored.
        processes: how many learn together; a step is cut into at least as many micro-batches.
    """

    encoded: EncodedRows
    targets: Targets
    rows: IntArray
    seed: int
    processes: int = 1

    def steps(self, training: Training) -> int:
        """Optimiser steps of one epoch."""
        return math.ceil(len(self.rows) / training.batch_size)

    def epoch(
        self, number: int, training: Training
    ) -> Iterator[list[tuple[IntArray, npt.NDArray[np.bool_]]]]:
        """Rows of every step, cut into micro-batches of like length, and which of them are mirrored.

        The order depends on seed and epoch only, so that every method of a seed sees the same rows at the
        same step.
        """
        order = np.random.default_rng([self.seed, number, _ORDER_STREAM]).permutation(self.rows)
        mirror = np.random.default_rng([self.seed, number, _MIRROR_STREAM]).random(
            len(self.encoded.lengths)
        ) < (0.5 if training.flip else 0.0)
        size = rows_of_a_micro_batch(training, self.encoded, self.processes)
        for start in range(0, len(order), training.batch_size):
            step = order[start : start + training.batch_size]
            step = step[np.argsort(self.encoded.lengths[step], kind="stable")]
            rows_per_pass = min(
                size, math.ceil(len(step) / self.processes)
            )  # the last step of an epoch is shorter
            cuts = [step[i : i + rows_per_pass] for i in range(0, len(step), rows_per_pass)]
            yield [(rows, mirror[rows]) for rows in cuts]


def rows_of_a_micro_batch(training: Training, encoded: EncodedRows, processes: int) -> int:
    """The most rows of a forward pass."""
    return min(training.micro_batch or encoded.micro_batch, math.ceil(training.batch_size / processes))


def fit(
    model: torch.nn.Module,
    batches: TrainingBatches,
    training: Training,
    accelerator: Accelerator,
    log: Log,
    *,
    validate: Callable[[], tuple[float | None, float]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Train what requires gradients.

    Args:
        model: gives `.logits`; already on the device, and joined with those of the group's other processes.
        batches: rows, answers and seed.
        training: rates, sizes, precision.
        accelerator: device, precision and group.
        log: gets a line per step, and one per epoch.
        validate: accuracy (None where nothing is classified) and loss on rows that are not trained on,
            after every epoch.
        progress: called with (steps done, all steps).

    Returns:
        Optimiser steps.

    Raises:
        FloatingPointError: the loss is no number any more.
    """
    from transformers import get_cosine_schedule_with_warmup  # noqa: PLC0415

    trained = [p for p in model.parameters() if p.requires_grad]
    total = batches.steps(training) * training.epochs
    optimizer = torch.optim.AdamW(
        _parameter_groups(trained, training), training.learning_rate, BETAS, fused=True
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(training.warmup * total), total)
    step = 0
    for epoch in range(training.epochs):
        model.train()
        for cuts in batches.epoch(epoch, training):
            rate = schedule.get_last_lr()[0]
            loss = _accumulate_gradients(model, cuts, batches, accelerator)
            if not math.isfinite(loss):
                reason = "no step was taken yet, so the model as it starts, or its input, gives no number"
                if step:
                    reason = f"the learning rate {training.learning_rate:g} may be too high"
                raise FloatingPointError(f"the loss is {loss} at step {step + 1} of {total}: {reason}")
            torch.nn.utils.clip_grad_norm_(trained, training.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            log.step(step, step / batches.steps(training), loss, rate)
            if progress is not None:
                progress(step, total)
        if validate is not None:
            log.validation(step, epoch + 1, *validate())
    return step


def _accumulate_gradients(
    model: torch.nn.Module,
    cuts: list[tuple[IntArray, npt.NDArray[np.bool_]]],
    batches: TrainingBatches,
    accelerator: Accelerator,
) -> float:
    """Sum the gradients of a step's micro-batches over the group; returns the mean loss of its answers."""
    total = sum(batches.targets.count(rows) for rows, _ in cuts)
    summed = np.zeros(1)
    local = local_share(cuts, accelerator)
    for number, ((rows, mirrored), counts) in enumerate(local, 1):
        inputs = {k: v.to(accelerator.device) for k, v in batches.encoded.take(rows, mirrored).items()}
        with no_sync(model, last=number == len(local)):
            with accelerator.autocast():
                logits = model(**inputs).logits
            loss = batches.targets.loss(logits, rows) / total
            # The group takes the mean of its gradients, where the sum is meant.
            (loss * (accelerator.num_processes if counts else 0)).backward()
        summed += float(loss.detach()) if counts else 0.0
    return float(all_reduce_sum(summed, accelerator)[0])


def _parameter_groups(trained: list[torch.nn.Parameter], training: Training) -> list[dict[str, object]]:
    """Matrices decay, biases and norms do not."""
    matrices = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]
    decays = ((matrices, training.weight_decay), (rest, 0.0))
    return [{"params": some, "weight_decay": decay} for some, decay in decays if some]
