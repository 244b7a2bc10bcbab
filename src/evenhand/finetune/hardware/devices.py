"""Device and precision, by accelerate; and the group of processes that do one run together."""

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

#: Processes of a group where there is no GPU to count.
PROCESSES_WITHOUT_GPU = 2
Item = TypeVar("Item")
Key = TypeVar("Key")


class GroupError(Exception):
    """The processes of a group have not found each other."""


def group_size(requested: int | None) -> int:
    """How many processes do one run together: one per GPU, or two on a machine without any.

    Args:
        requested: a number that was asked for.

    Raises:
        InputError: there is nothing to divide, or not a GPU for each.
    """
    gpus = torch.cuda.device_count()
    if gpus and (requested or 0) > gpus:
        raise InputError(
            f"workers: got {requested}, but of this machine's GPUs {gpus} can be seen, and every process needs "
            "one of its own; give a smaller number."
        )
    if gpus == 1:
        raise InputError(
            "executor accelerate: it divides a run among several GPUs, but one GPU can be seen; take "
            "--executor local."
        )
    return requested or gpus or PROCESSES_WITHOUT_GPU


@lru_cache(maxsize=1)
def accelerator_of(precision: str, processes: int = 1) -> Accelerator:
    """The accelerator of this process for a precision: a GPU if there is one, else the CPU.

    All accelerators of a process share their state, so there is only ever one: asking for another precision
    ends the last.

    Args:
        precision: the study's word for it.
        processes: how many there are in this process's group, itself included.

    Raises:
        GroupError: there are not so many.
    """
    from accelerate import Accelerator  # noqa: PLC0415  (seconds)
    from accelerate.state import AcceleratorState  # noqa: PLC0415

    AcceleratorState._reset_state()
    # Without a GPU accelerate joins a group only when it is told to use the CPU; else each process is alone.
    alone = processes == 1 or torch.cuda.is_available()
    accelerator = Accelerator(cpu=not alone, mixed_precision="bf16" if precision == "bfloat16" else "no")
    if accelerator.num_processes != processes:
        raise GroupError(
            f"this run is to be divided among {processes} processes, but {accelerator.num_processes} have found "
            f"each other (WORLD_SIZE is {os.environ.get('WORLD_SIZE', 'not set')})"
        )
    return accelerator


def local_share(items: Sequence[Item], accelerator: Accelerator) -> list[tuple[Item, bool]]:
    """This process's part of some work, with whether it counts.

    Every process of a group gets equally many items, because a model that is divided among them runs in all
    or in none. Where they do not go round, some get the last one again, which does not count.
    """
    n = accelerator.num_processes
    share = [(item, True) for item in items[accelerator.process_index :: n]]
    return share + [(items[-1], False)] * (-(-len(items) // n) - len(share))


def all_reduce_sum(values: npt.NDArray[Any], accelerator: Accelerator) -> npt.NDArray[Any]:
    """The sum of an array over all processes of the group."""
    if accelerator.num_processes == 1:
        return values
    tensor = torch.from_numpy(values).to(accelerator.device)
    torch.distributed.all_reduce(tensor)
    return tensor.cpu().numpy()


def all_gather_dict(local: dict[Key, Item], accelerator: Accelerator) -> dict[Key, Item]:
    """What all processes of the group have found together."""
    if accelerator.num_processes == 1:
        return local
    parts: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(parts, local)
    return {key: item for part in parts for key, item in part.items()}


def all_reduce_max(number: int, accelerator: Accelerator) -> int:
    """The largest number that a process of the group has."""
    if accelerator.num_processes == 1:
        return number
    tensor = torch.tensor(number, device=accelerator.device)
    torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX)
    return int(tensor)


def precision_of(accelerator: Accelerator) -> Precision:
    """The precision in which an accelerator computes, whatever was asked of it."""
    return "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
