"""Device and precision, by accelerate."""

from __future__ import annotations

from functools import lru_cache

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from evenhand.finetune import Precision


@lru_cache(maxsize=1)
def accelerator_of(precision: str) -> Accelerator:
    """The accelerator of this process for a precision: a GPU if there is one, else the CPU.

    All accelerators of a process share their state, so there is only ever one: asking for another precision
    ends the last.
    """
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="bf16" if precision == "bfloat16" else "no")


def precision_of(accelerator: Accelerator) -> Precision:
    """The precision in which an accelerator computes, whatever was asked of it."""
    return "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
