"""One model in several processes: a copy in each (data parallel), or a shard in each (FSDP).

The wrappers are torch's own; accelerate's would patch the model's forward pass, and cannot shard a model on a
CPU. Either way, gradients are means over the processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from evenhand.finetune.hardware.devices import local_share

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

Item = TypeVar("Item")


def wrap_distributed(
    model: nn.Module, blocks: Sequence[str], parallel: str, accelerator: Accelerator
) -> nn.Module:
    """Move a model to the device of this process, and wrap it for the group.

    Args:
        model: the same in every process, on the CPU.
        blocks: names of the layers that the model repeats.
        parallel: `data` or `fsdp`.
        accelerator: device and group.

    Returns:
        The model to train, whose gradients are means over the processes; `model` itself without a group.
    """
    if accelerator.num_processes > 1 and parallel == "fsdp":
        return _sharded(model, set(blocks), accelerator)
    model = model.to(accelerator.device)
    if accelerator.num_processes == 1 or not any(p.requires_grad for p in model.parameters()):
        return model
    device = [accelerator.device.index] if accelerator.device.type == "cuda" else None
    return torch.nn.parallel.DistributedDataParallel(model, device, gradient_as_bucket_view=True)


def _sharded(model: nn.Module, blocks: set[str], accelerator: Accelerator) -> nn.Module:
    """Shard every layer, and then the rest, over the processes (fully sharded data parallel, FSDP2)."""
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: PLC0415

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    half = accelerator.mixed_precision == "bf16"
    # Autocast alone would store a full rounded copy of the weights until the backward pass.
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    for name, module in list(model.named_modules()):
        if name.removeprefix("base_model.model.") in blocks:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def copy_of(model: nn.Module) -> nn.Module:
    """Return the model inside a data-parallel wrapper; any other model as it is."""
    return model.module if isinstance(model, torch.nn.parallel.DistributedDataParallel) else model


def is_sharded(model: nn.Module) -> bool:
    """Return True if this process has only a shard of a model's weights."""
    from torch.distributed.tensor import DTensor  # noqa: PLC0415

    return any(isinstance(p, DTensor) for p in model.parameters())


def local_batches(batches: Sequence[Item], model: nn.Module, accelerator: Accelerator) -> list[Item]:
    """Return this process's batches: a share with a copy of the model, all batches with a sharded model."""
    if is_sharded(model):
        return list(batches)
    return [batch for batch, counts in local_share(batches, accelerator) if counts]


def register_generate(model: nn.Module, method: str) -> None:
    """Make a sharded PEFT model gather its outermost weights when one of its methods is called.

    PEFT's `generate` calls the base model directly, past the hooks that gather the root module's weights.
    """
    from peft import PeftModel  # noqa: PLC0415
    from torch.distributed.fsdp import register_fsdp_forward_method  # noqa: PLC0415

    if is_sharded(model) and isinstance(model, PeftModel):
        register_fsdp_forward_method(model, method)


def no_sync(model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
    """Suspend the synchronisation of gradients while the block runs, except in a step's last pass."""
    if isinstance(model, torch.nn.parallel.DistributedDataParallel) and not last:
        return model.no_sync()
    return nullcontext()


def unwrap(model: nn.Module, make: Callable[[], Any], accelerator: Accelerator) -> Any:
    """Gather a trained model in the first process; every process of the group must call this.

    Args:
        model: the result of `wrap_distributed`.
        make: builds a model of the same architecture.
        accelerator: of the group.

    Returns:
        The model in the first process; None in the others.
    """
    if not is_sharded(model):
        return copy_of(model) if accelerator.is_main_process else None
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415
        StateDictOptions,
        get_model_state_dict,
    )

    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    model.to("meta")  # release the shard on the device
    if not accelerator.is_main_process:
        return None
    gathered = make()
    gathered.load_state_dict(state)
    return gathered
