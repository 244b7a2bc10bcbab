"""Device and precision, by accelerate; and the group of processes that execute one run together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from evenhand.errors import InputError
from evenhand.finetune import Precision

if TYPE_CHECKING:
    import numpy.typing as npt
    from accelerate import Accelerator

#: Processes of a group on a machine without a GPU.
PROCESSES_WITHOUT_GPU = 2
Item = TypeVar("Item")
Key = TypeVar("Key")


class GroupError(Exception):
    """The processes of a group did not connect to each other."""


def group_size(requested: int | None) -> int:
    """Return the number of processes of a run: one per GPU, or two on a machine without any.

    Args:
        requested: number given by the user; None for the default.

    Raises:
        InputError: the machine has a single GPU, or fewer GPUs than requested processes.
    """
    gpus = torch.cuda.device_count()
    if gpus and (requested or 0) > gpus:
        raise InputError(
            f"workers: got {requested}, but only {gpus} GPUs are visible, and every process needs one; give "
            "a smaller number."
        )
    if gpus == 1:
        raise InputError(
            "executor accelerate: it divides a run among several GPUs, but only one GPU is visible; use "
            "--executor local."
        )
    return requested or gpus or PROCESSES_WITHOUT_GPU


@lru_cache(maxsize=1)
def accelerator_of(precision: str, processes: int = 1) -> Accelerator:
    """Return the accelerator of this process for a precision: on a GPU if available, else on the CPU.

    All accelerators of a process share their state, so only one exists at a time: a call with another
    precision ends the previous one.

    Args:
        precision: as in a study file, `float32` or `bfloat16`.
        processes: number of processes in the group, this one included.

    Raises:
        GroupError: the group has another number of processes.
    """
    from accelerate import Accelerator  # noqa: PLC0415  (seconds)
    from accelerate.state import AcceleratorState  # noqa: PLC0415

    AcceleratorState._reset_state()
    # Without a GPU, accelerate joins a group only if it is set to use the CPU; else each process is alone.
    alone = processes == 1 or torch.cuda.is_available()
    accelerator = Accelerator(cpu=not alone, mixed_precision="bf16" if precision == "bfloat16" else "no")
    if accelerator.num_processes != processes:
        raise GroupError(
            f"this run needs {processes} processes, but its group has {accelerator.num_processes} "
            f"(WORLD_SIZE is {os.environ.get('WORLD_SIZE', 'not set')})"
        )
    return accelerator


def local_share(items: Sequence[Item], accelerator: Accelerator) -> list[tuple[Item, bool]]:
    """Return this process's share of some items, each with a flag: True if its result counts.

    Every process of a group gets the same number of items, because a sharded model runs in all processes or
    in none. If the items do not divide evenly, some processes repeat the last one, which does not count.
    """
    n = accelerator.num_processes
    share = [(item, True) for item in items[accelerator.process_index :: n]]
    return share + [(item, False) for item in items[-1:]] * (-(-len(items) // n) - len(share))


def all_reduce_sum(values: npt.NDArray[Any], accelerator: Accelerator) -> npt.NDArray[Any]:
    """Return the sum of an array over all processes of the group; same shape."""
    if accelerator.num_processes == 1:
        return values
    tensor = torch.from_numpy(values).to(accelerator.device)
    torch.distributed.all_reduce(tensor)
    return tensor.cpu().numpy()


def all_gather_dict(local: dict[Key, Item], accelerator: Accelerator) -> dict[Key, Item]:
    """Merge the dictionaries of all processes of the group."""
    if accelerator.num_processes == 1:
        return local
    parts: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(parts, local)
    return {key: item for part in parts for key, item in part.items()}


def all_reduce_max(number: int, accelerator: Accelerator) -> int:
    """Return the maximum of a number over all processes of the group."""
    if accelerator.num_processes == 1:
        return number
    tensor = torch.tensor(number, device=accelerator.device)
    torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX)
    return int(tensor)


def precision_of(accelerator: Accelerator) -> Precision:
    """Return the precision in which an accelerator computes, which may differ from the requested one."""
    return "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
