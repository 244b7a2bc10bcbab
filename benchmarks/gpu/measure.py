"""What a step takes, and what the device could do at best: both measured, in one process."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.shapes import CLASSES, Shape, adapted, feed_of
from evenhand.finetune import Job, Precision
from evenhand.finetune.estimate.size import estimate_sizes
from evenhand.finetune.hardware import memory
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.hardware.linears import frozen_weights_in_bf16, onednn_linears
from evenhand.finetune.inputs.targets import ClassTargets
from evenhand.finetune.log import Log
from evenhand.finetune.loop import Hooks, TrainingBatches, fit

#: Steps that are not counted: the first ones compile, warm up and fill caches.
WARM_UP = 3
SIDE = {"cuda": 8192, "cpu": 1024}
COPIED = {"cuda": 2**32, "cpu": 2**26}


@dataclass(frozen=True)
class Ceiling:
    """What the device reaches on the simplest work there is.

    Attributes:
        tflops: 10^12 operations a second, of a square matrix product in the precision of training.
        gbytes: 10^9 bytes a second, read and written, of a copy.
    """

    tflops: float
    gbytes: float


def ceiling(device: torch.device, precision: Precision) -> Ceiling:
    """Measure both; the best of ten."""
    side = SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    source = torch.zeros(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = 2 * side**3 / _best(lambda: a @ b, device) / 1e12
    copied = 2 * source.numel() / _best(lambda: target.copy_(source), device) / 1e9
    return Ceiling(product, copied)


def _best(work: Callable[[], object], device: torch.device, times: int = 10) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(times + 2):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        found.append(time.perf_counter() - start)
    return min(found[2:])


def synchronise(device: torch.device) -> None:
    """Wait for a GPU to have done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free() -> None:
    """Give back what the last row held, also one that did not fit."""
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measured(
    shape: Shape, method: str, how: str, precision: Precision, steps: int, best: Ceiling
) -> dict[str, Any]:
    """One row: a model, a method, eager or compiled; of what does not fit or cannot be compiled, why.

    The step is that of a study, `evenhand.finetune.loop.fit`, with everything that it does besides the
    passes: batches, transfers, clipping, AdamW, the log.
    """
    row: dict[str, Any] = {"model": shape.title, "method": method, "how": how, "precision": precision}
    try:
        return row | _timed(shape, shape.job(method, precision), steps, best, compiled=how == "compiled")
    except torch.OutOfMemoryError:
        return row | {"problem": "does not fit into this card's memory"}
    except Exception as error:  # as a rule the compiler's: other rows can still be measured
        first = (str(error).strip().splitlines() or [""])[0][:160]
        return row | {"problem": f"{type(error).__name__}: {first}"}


def _timed(shape: Shape, job: Job, steps: int, best: Ceiling, *, compiled: bool) -> dict[str, Any]:
    """Train for some steps, by the clock."""
    accelerator = accelerator_of(job.training.precision)
    device = accelerator.device
    rows = shape.batch * (WARM_UP + steps)
    feed, labels = feed_of(shape, rows)
    lesson = TrainingBatches(feed, ClassTargets(labels), np.arange(rows), job.seed)
    peak = memory.Peak()
    model = adapted(shape, job, device)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    times: list[float] = []

    def note(done: int, every: int) -> None:
        synchronise(device)
        times.append(time.perf_counter())

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(closing(Log(Path(folder) / "train.jsonl")))
        if not compiled:
            stack.enter_context(onednn_linears(model, accelerator))
        stack.enter_context(frozen_weights_in_bf16(model, accelerator))
        # Without a GPU only the graphs are made: compiling them takes minutes and would show nothing.
        backend = "inductor" if device.type == "cuda" else "aot_eager"
        trained = torch.compile(model, dynamic=False, backend=backend) if compiled else model
        fit(trained, lesson, job.training, accelerator, log, Hooks(progress=note))
    seconds = median(b - a for a, b in zip(times[WARM_UP - 1 :], times[WARM_UP:], strict=False))
    (size,) = estimate_sizes([job], shape.task, CLASSES, shape.tokens).estimates
    # As --dry-run counts them: 6 for a trained, 4 for a frozen weight and token; attention is left out.
    reached = shape.batch * size.training / seconds / 1e12 if size else None
    return {
        "trainable_parameters": trainable,
        "batch": shape.batch,
        "micro_batch": shape.micro_batch,
        "seconds_per_step": seconds,
        "rows_per_second": shape.batch / seconds,
        "tokens_per_second": shape.batch * shape.tokens / seconds if shape.tokens else None,
        "peak_memory_bytes": peak.peak_bytes(),
        "tflops": reached,
        "share_of_peak": reached / best.tflops if reached else None,
    }
