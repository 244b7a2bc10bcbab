"""What a model does for one row, counted on a model that has shapes and no weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def trace_example(
    model: PreTrainedModel, blocks: Sequence[str], size: int | tuple[int, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Let a model without weights read one row, and note how much of it its blocks and its layers see.

    Args:
        model: on the meta device.
        blocks: names of the modules that it repeats.
        size: tokens of a text, or height and width of a picture.

    Returns:
        How many numbers enter every block, and at how many places every layer of weights is used.
    """
    block_inputs: dict[str, int] = {}
    uses: dict[str, int] = {}
    hooks = []
    for name in blocks:

        def enter(_: object, inputs: tuple[torch.Tensor, ...], __: object, name: str = name) -> None:
            block_inputs[name] = inputs[0].numel()

        hooks.append(model.get_submodule(name).register_forward_hook(enter))
    for name, layer in _layers(model):

        def note(
            _: object, __: object, leaving: torch.Tensor, name: str = name, width: int = _width(layer)
        ) -> None:
            uses[name] = leaving.numel() // width

        hooks.append(layer.register_forward_hook(note))
    pad, model.config.pad_token_id = getattr(model.config, "pad_token_id", None), None
    try:
        # Without a pad token: with one, some models look for it among tokens, which have no content here.
        with torch.no_grad(), torch.device("meta"):
            model(**_example(model.config, size))
    finally:
        model.config.pad_token_id = pad
        for hook in hooks:
            hook.remove()
    return block_inputs, uses


def count_flops(model: Any, uses: Mapping[str, int]) -> tuple[dict[str, int], float, float]:  # noqa: ANN401
    """What an adapted model does for one row.

    Args:
        model: adapted.
        uses: of the layers of its base; what was added to a layer is used where the layer is.

    Returns:
        How many numbers leave each of its layers of weights, and operations forward and backward.
    """
    outputs, forward, backward = dict[str, int](), 0.0, 0.0
    for name, layer in _layers(model):
        if "original_module" in name:  # PEFT keeps the head that it replaced
            continue
        parents = _parents(name.removeprefix("base_model.model."))
        n_uses = next((uses[base] for base in parents if base in uses), 0)
        weight: Any = layer.weight
        operations = 2.0 * n_uses * weight.numel()
        outputs[name] = n_uses * _width(layer)
        forward += operations
        backward += operations * (2 if weight.requires_grad else 1)
    return outputs, forward, backward


def _layers(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Layers of weights that multiply."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) or _is_conv1d(module):
            yield name, module


def _parents(name: str) -> Iterator[str]:
    """A module's name, and those of the modules around it, from the inside out."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _is_conv1d(module: torch.nn.Module) -> bool:
    """Whether this is GPT-2's linear layer, whose matrix is turned."""
    return type(module).__name__ == "Conv1D"


def _width(module: torch.nn.Module) -> int:
    """How many numbers leave a layer at each place."""
    weight: Any = module.weight
    return int(weight.shape[1 if _is_conv1d(module) else 0])


def _example(config: PretrainedConfig, size: int | tuple[int, int]) -> dict[str, torch.Tensor]:
    """A row for a model to read."""
    if isinstance(size, int):
        # RoBERTa keeps two positions for itself.
        tokens = min(size, getattr(config, "max_position_embeddings", size + 2) - 2)
        return {"input_ids": torch.zeros((1, tokens), dtype=torch.long)}
    return {"pixel_values": torch.zeros((1, config.num_channels, *size))}


def in_block(name: str, block: str) -> bool:
    """Whether a layer, adapted or not, is in a block."""
    return name.removeprefix("base_model.model.").startswith(f"{block}.")
