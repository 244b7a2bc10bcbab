"""Floating-point operations of a model per row, counted on a model with shapes but without weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from evenhand.finetune.modeling.processor import channels_of
from evenhand.finetune.modeling.tokens import positions_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def trace_example(
    model: PreTrainedModel, blocks: Sequence[str], size: int | tuple[int, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Run a model on the meta device over one row, and record the sizes of its activations.

    Args:
        model: on the meta device.
        blocks: names of the modules that the model repeats.
        size: tokens of a text, or height and width of a picture.

    Returns:
        Number of elements that enter each block; and number of positions (tokens, patches) at which each
        layer of weights is applied.
    """
    block_inputs: dict[str, int] = {}
    uses: dict[str, int] = {}
    hooks = []
    for name in blocks:

        def enter(
            _: object, inputs: tuple[torch.Tensor, ...], named: Mapping[str, Any], name: str = name
        ) -> None:
            states = inputs[0] if inputs else named["hidden_states"]
            block_inputs[name] = states.numel()

        hooks.append(model.get_submodule(name).register_forward_pre_hook(enter, with_kwargs=True))
    for name, layer in _layers(model):

        def note(
            _: object, __: object, leaving: torch.Tensor, name: str = name, width: int = _width(layer)
        ) -> None:
            uses[name] = leaving.numel() // width

        hooks.append(layer.register_forward_hook(note))
    try:
        run_example(model, model, size)
    finally:
        for hook in hooks:
            hook.remove()
    return block_inputs, uses


def run_example(model: Any, base: PreTrainedModel, size: int | tuple[int, int], device: str = "meta") -> None:
    """Run a model over one row.

    Args:
        model: on the device; adapted, or the base itself.
        base: the model of transformers that it contains.
        size: tokens of a text, or height and width of a picture.
        device: where the row is made.
    """
    pad, base.config.pad_token_id = getattr(base.config, "pad_token_id", None), None
    try:
        # Without a pad token: some models search for it among the tokens, which have no values on meta.
        with torch.no_grad(), torch.device(device):
            model(**_example(base.config, size))
    finally:
        base.config.pad_token_id = pad


def count_flops(model: Any, uses: Mapping[str, int]) -> tuple[dict[str, int], float, float]:
    """Count the floating-point operations of an adapted model for one row.

    A product with n weights takes 2 n operations per position; its backward pass takes as many for the
    gradient of the input, and again as many for the gradient of trained weights.

    Args:
        model: the adapted model.
        uses: positions at which each layer of the base is applied; an adapter is applied where its layer is.

    Returns:
        Number of elements that leave each layer of weights; operations forward; operations backward.
    """
    outputs, forward, backward = dict[str, int](), 0.0, 0.0
    for name, layer in _layers(model.get_base_model() if hasattr(model, "peft_config") else model):
        if "original_module" in name:  # PEFT keeps the head that it replaced
            continue
        parents = _parents(name)
        n_uses = next((uses[base] for base in parents if base in uses), 0)
        weight: Any = layer.weight
        operations = 2.0 * n_uses * _elements(layer)
        outputs[name] = n_uses * _width(layer)
        forward += operations
        backward += operations * (2 if weight.requires_grad else 1)
    return outputs, forward, backward


def _layers(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield the names and modules of all layers that multiply by a matrix of weights."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) or _is_conv1d(module):
            yield name, module


def _parents(name: str) -> Iterator[str]:
    """Yield a module's name, and those of the modules that contain it, from the inside out."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _is_conv1d(module: torch.nn.Module) -> bool:
    """Return True for GPT-2's linear layer, whose matrix is transposed."""
    return type(module).__name__ == "Conv1D"


def _width(module: torch.nn.Module) -> int:
    """Return the number of elements that leave a layer at each position."""
    weight: Any = module.weight
    if isinstance(module, torch.nn.Linear):  # quantised weights have another shape
        return module.out_features
    return int(weight.shape[1 if _is_conv1d(module) else 0])


def _elements(module: torch.nn.Module) -> int:
    """Return the number of weights of a layer, quantised or not."""
    weight: Any = module.weight
    if isinstance(module, torch.nn.Linear):
        return module.in_features * module.out_features
    return int(weight.numel())


def _example(config: PretrainedConfig, size: int | tuple[int, int]) -> dict[str, torch.Tensor]:
    """Build the inputs of one row."""
    if isinstance(size, int):
        # RoBERTa reserves two positions.
        tokens = min(size, (positions_of(config) or size + 2) - 2)
        return {"input_ids": torch.zeros((1, tokens), dtype=torch.long)}
    return {"pixel_values": torch.zeros((1, channels_of(config), *size))}


def in_block(name: str, block: str) -> bool:
    """Return True if a layer, adapted or not, is in a block."""
    return name.removeprefix("base_model.model.").startswith(f"{block}.")
