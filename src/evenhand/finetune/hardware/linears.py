"""Faster linear layers: oneDNN for float32 on a CPU, and frozen weights in bfloat16.

torch multiplies float32 matrices with MKL, which reaches half of oneDNN's speed on processors that are not
Intel's; the results agree to about 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

#: Below this width the overhead of the call exceeds the gain.
_MIN_WIDTH = 128


class _Linear(torch.autograd.Function):
    """y = x W' + b, by oneDNN in the forward and the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn_product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        flat = slope.reshape(-1, slope.shape[-1])
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _onednn_product(slope, weight.t()) if needs_x else None,
            _onednn_product(flat.t(), x.reshape(-1, x.shape[-1]).t()) if needs_weight else None,
            flat.sum(0) if needs_bias else None,
        )


def _onednn_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


@contextmanager
def onednn_linears(model: torch.nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Use oneDNN in a model's linear layers while the block runs; no effect on a GPU or in bfloat16."""
    plain = accelerator.device.type == "cpu" and accelerator.mixed_precision == "no"
    usable = plain and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    changed = [
        m for m in model.modules()
        if usable and type(m) is torch.nn.Linear and min(m.in_features, m.out_features) >= _MIN_WIDTH
    ]  # fmt: skip
    for module in changed:
        module.forward = _forward(module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _forward(module: torch.nn.Linear) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Linear.apply(x, module.weight, module.bias)
        return result

    return forward


@contextmanager
def frozen_weights_in_bf16(model: torch.nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Store frozen matrices in bfloat16 while the block runs, instead of casting them at every use.

    Autocast rounds them to the same numbers; the original weights are restored afterwards.

    Raises:
        RuntimeError: a frozen matrix changed within the block.
    """
    # A tied embedding is also read by rows, which autocast does not round: it stays in float32.
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    originals = [
        (m, m.weight.data) for m in model.modules()
        if accelerator.mixed_precision == "bf16" and type(m) is torch.nn.Linear and not m.weight.requires_grad
        and not isinstance(m.weight, DTensor)  # a shard: FSDP rounds it when it is gathered
        and id(m.weight) not in embeddings
    ]  # fmt: skip
    for module, weight in originals:
        module.weight.data = weight.to(torch.bfloat16)
    try:
        yield
        if any(
            not torch.equal(module.weight.data, weight.to(torch.bfloat16)) for module, weight in originals
        ):
            raise RuntimeError("a frozen matrix changed in training")
    finally:
        for module, weight in originals:
            module.weight.data = weight
