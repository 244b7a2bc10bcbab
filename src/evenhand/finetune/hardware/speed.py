"""Speed of the machine: its rate of matrix products, which dominate the time of training."""

from __future__ import annotations

import time

import torch

#: Side of the matrices, on a CPU and on a GPU.
_SIDE, _SIDE_ON_GPU = 1024, 8192
_MIN_SECONDS = 0.3


def measure_tflops(precision: str) -> float:
    """Measure floating-point operations per second, in TFLOP/s: the best product within 0.3 seconds.

    Args:
        precision: of the arithmetic, `float32` or `bfloat16`.
    """
    gpu = torch.cuda.is_available()
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side = _SIDE_ON_GPU if gpu else _SIDE
    a = torch.ones(side, side, dtype=kind, device="cuda" if gpu else "cpu")
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < _MIN_SECONDS or best == float("inf"):
        start = time.perf_counter()
        a @ a
        if gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e12
