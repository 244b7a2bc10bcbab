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
from evenhand.finetune.inputs.encoded_rows import EncodedRows
from evenhand.finetune.inputs.targets import Targets
from evenhand.finetune.log import Log
from evenhand.tables.schema import IntArray

BETAS = (0.9, 0.999)
_ORDER_STREAM, _MIRROR_STREAM = 1, 2


@dataclass(frozen=True)
class Hooks:
    """Functions that the loop calls; None or the default where there is nothing to do.

    Attributes:
        validate: returns accuracy (None where nothing is classified) and loss on the validation rows; called
            after every epoch.
        progress: called with (steps done, all steps).
        before: called once, with the number of all steps.
        after_step: called after every step with its number, from 1, before the gradients are released.
        extra_loss: returns a scalar that is added to the mean loss of every step; the log shows the loss
            without it, which is the same quantity for every method.
        decays: returns whether weight decay applies to the weights with a name.
        rate_factor: returns the factor of their learning rate.
    """

    validate: Callable[[], tuple[float | None, float]] | None = None
    progress: Callable[[int, int], None] | None = None
    before: Callable[[int], None] | None = None
    after_step: Callable[[int], None] | None = None
    extra_loss: Callable[[], torch.Tensor] | None = None
    decays: Callable[[str], bool] = lambda name: True
    rate_factor: Callable[[str], float] = lambda name: 1.0


@dataclass(frozen=True)
class TrainingBatches:
    """The training rows, in batches.

    Attributes:
        encoded: all rows as inputs of the model.
        targets: the expected output for every row.
        rows: [m] rows to train on.
        seed: of the order of the rows, and of the mirroring of pictures.
        processes: number of processes that train together; a step has at least as many micro-batches.
    """

    encoded: EncodedRows
    targets: Targets
    rows: IntArray
    seed: int
    processes: int = 1

    def steps(self, training: Training) -> int:
        """Return the number of optimiser steps of one epoch."""
        return math.ceil(len(self.rows) / training.batch_size)

    def epoch(
        self, number: int, training: Training
    ) -> Iterator[list[tuple[IntArray, npt.NDArray[np.bool_]]]]:
        """Yield the micro-batches of every step: rows of similar length, and which of them are mirrored.

        The order depends on seed and epoch only, so that every method of a seed trains on the same rows at
        the same step: arms can be compared as pairs.
        """
        order = np.random.default_rng([self.seed, number, _ORDER_STREAM]).permutation(self.rows)
        draws = np.random.default_rng([self.seed, number, _MIRROR_STREAM]).random(len(self.encoded.lengths))
        mirror = draws < (0.5 if training.flip else 0.0)
        size = rows_of_a_micro_batch(training, self.encoded, self.processes)
        for start in range(0, len(order), training.batch_size):
            step = order[start : start + training.batch_size]
            step = step[np.argsort(self.encoded.lengths[step], kind="stable")]
            # The last step of an epoch may be shorter: every process still gets a part of it.
            rows_per_pass = min(size, math.ceil(len(step) / self.processes))
            cuts = [step[i : i + rows_per_pass] for i in range(0, len(step), rows_per_pass)]
            yield [(rows, mirror[rows]) for rows in cuts]


def rows_of_a_micro_batch(training: Training, encoded: EncodedRows, processes: int) -> int:
    """Return the maximum number of rows per forward pass in training."""
    return min(training.micro_batch or encoded.micro_batch, math.ceil(training.batch_size / processes))


def fit(
    model: torch.nn.Module,
    batches: TrainingBatches,
    training: Training,
    accelerator: Accelerator,
    log: Log,
    hooks: Hooks,
) -> int:
    """Train the parameters that require gradients.

    Args:
        model: returns `.logits`; already on the device, and wrapped for the processes of the group.
        batches: rows, targets and seed.
        training: rates, sizes, precision.
        accelerator: device, precision and group.
        log: receives a line per step, and one per epoch.
        hooks: of the method, and of the caller.

    Returns:
        Number of optimiser steps.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
    """
    from transformers import get_cosine_schedule_with_warmup  # noqa: PLC0415

    trained = [p for p in model.parameters() if p.requires_grad]
    total = batches.steps(training) * training.epochs
    if hooks.before is not None:
        hooks.before(total)
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, training, hooks), training.learning_rate, BETAS, fused=True
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(training.warmup * total), total)
    step = 0
    for epoch in range(training.epochs):
        model.train()
        freeze_statistics(model)
        for cuts in batches.epoch(epoch, training):
            rate = schedule.get_last_lr()[0]
            loss = _accumulate_gradients(model, cuts, batches, accelerator, hooks.extra_loss)
            if not math.isfinite(loss):
                reason = "no step was taken yet, so the initial model or its input is at fault"
                if step:
                    reason = f"try a lower learning rate than {training.learning_rate:g}"
                raise FloatingPointError(f"the loss is {loss} at step {step + 1} of {total}: {reason}")
            torch.nn.utils.clip_grad_norm_(trained, training.clip)
            optimizer.step()
            schedule.step()
            step += 1
            if hooks.after_step is not None:
                hooks.after_step(step)
            optimizer.zero_grad(set_to_none=True)
            log.step(step, step / batches.steps(training), loss, rate)
            if hooks.progress is not None:
                hooks.progress(step, total)
        if hooks.validate is not None:
            log.validation(step, epoch + 1, *hooks.validate())
    return step


def freeze_statistics(model: torch.nn.Module) -> None:
    """Keep the running statistics of frozen batch norms: they belong to the base, as its weights do."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._NormBase) and not any(
            p.requires_grad for p in module.parameters()
        ):
            module.eval()


def _accumulate_gradients(
    model: torch.nn.Module,
    cuts: list[tuple[IntArray, npt.NDArray[np.bool_]]],
    batches: TrainingBatches,
    accelerator: Accelerator,
    extra_loss: Callable[[], torch.Tensor] | None = None,
) -> float:
    """Accumulate the gradients of a step's micro-batches over the group.

    Returns:
        The mean loss of the step, without the method's own.
    """
    total = sum(batches.targets.count(rows) for rows, _ in cuts)
    summed = np.zeros(1)
    local = local_share(cuts, accelerator)
    for number, ((rows, mirrored), counts) in enumerate(local, 1):
        inputs = {k: v.to(accelerator.device) for k, v in batches.encoded.take(rows, mirrored).items()}
        with no_sync(model, last=number == len(local)):
            with accelerator.autocast():
                logits = model(**inputs).logits
            loss = batches.targets.loss(logits, rows) / total
            # Each micro-batch adds its share, so that the step has the extra loss once.
            extra = extra_loss() * (batches.targets.count(rows) / total) if extra_loss is not None else 0.0
            # `total` counts the targets of all processes, so the gradients have to be summed over the group;
            # DDP and FSDP average them, which the factor undoes. A repeated micro-batch counts as 0.
            ((loss + extra) * (accelerator.num_processes if counts else 0)).backward()
        summed += float(loss.detach()) if counts else 0.0
    return float(all_reduce_sum(summed, accelerator)[0])


def _parameter_groups(model: torch.nn.Module, training: Training, hooks: Hooks) -> list[dict[str, object]]:
    """Build the parameter groups of AdamW: weight decay on matrices, none on biases and norms."""
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            key = hooks.rate_factor(name), p.ndim > 1 and hooks.decays(name)
            groups.setdefault(key, []).append(p)
    # The rate of the first group is logged: that of the method, not of a slower head.
    return [
        {
            "params": groups[factor, decays],
            "lr": factor * training.learning_rate,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for factor, decays in sorted(groups, reverse=True)
    ]
