"""Linear layers with the quantised weights of bitsandbytes, in 4 bits (NF4, FP4) or 8 (as in LLM.int8).

Products are computed with the expanded weights in the precision of the inputs, in training and in prediction:
a row's prediction depends on no other row. The library itself rounds the inputs of 8-bit layers too, on a GPU
or when it predicts, and takes those of a batch together that it does not round.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from evenhand.errors import InputError

LIBRARY = "bitsandbytes"
# Whoever imports it, PEFT does where it is installed, it warns that it lacks products that are not used here.
logging.getLogger(LIBRARY).setLevel(logging.ERROR)
#: The attribute of a model that holds the settings of its quantisation, those of `BitsAndBytesConfig`.
_SETTINGS = "quantisation"
#: Lists the layers that are not quantised, whatever the number of bits.
SKIPPED = "llm_int8_skip_modules"
#: 4-bit weights that share a scale, and scales that share one when they are quantised too.
BLOCK, _BLOCK_OF_SCALES = 64, 256


def is_available() -> bool:
    """Return True if the library that quantises is installed."""
    return find_spec(LIBRARY) is not None


def missing() -> str:
    """Return the sentence that the library is missing, with the remedy."""
    return f"needs {LIBRARY}, which is not installed; install it with: pip install 'evenhand[quantised]'"


def is_linear(layer: torch.nn.Module) -> bool:
    """Return True for a layer that can be quantised: torch's linear layer, or the transposed one of GPT-2."""
    return type(layer) is torch.nn.Linear or type(layer).__name__ == "Conv1D"


def quantise(model: Any, settings: Mapping[str, Any]) -> None:
    """Replace linear layers by quantised ones: those that transformers replaces with the same settings.

    Args:
        model: a transformers model, modified in place; on the meta device, layers get their shapes alone.
        settings: of transformers' `BitsAndBytesConfig`.

    Raises:
        InputError: the library is not installed, or the settings are those of another one.
    """
    from transformers.quantizers.quantizers_utils import should_convert_module  # noqa: PLC0415

    if not is_available():
        raise InputError(f"a quantised base {missing()}.")
    kind = _layer_classes()[_bits(settings)]
    names = [name for name, layer in model.named_modules() if is_linear(layer)]
    for name in names:
        if should_convert_module(name, settings[SKIPPED]):
            model.set_submodule(name, kind(model.get_submodule(name), settings))
    setattr(model, f"is_loaded_in_{_bits(settings)}bit", True)  # by which PEFT recognises the layers
    setattr(model, _SETTINGS, dict(settings))


def settings_of(model: Any) -> dict[str, Any]:
    """Return the settings of a model's quantisation; empty for a model that is not quantised."""
    return dict(getattr(model, _SETTINGS, {}))


def versions(model: Any) -> dict[str, str]:
    """Return name and version of the library that a model's numbers depend on, if it is quantised."""
    return {LIBRARY: version(LIBRARY)} if settings_of(model) else {}


def quantised_layers(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the names and modules of the quantised layers."""
    for name, module in model.named_modules():
        if hasattr(module, "packed"):
            yield name, module


def _bits(settings: Mapping[str, Any]) -> int:
    """Return the number of bits per weight.

    Raises:
        InputError: the settings state none.
    """
    if settings.get("quant_method") != LIBRARY or SKIPPED not in settings:
        raise InputError(f"a quantised base: {LIBRARY} has other settings than {dict(settings)}.")
    return 4 if settings.get("load_in_4bit") else 8


def _as_bytes(*tensors: torch.Tensor | None) -> torch.Tensor:
    """Return the bytes of tensors, one after the other."""
    flat = [t.detach().reshape(-1).contiguous().view(torch.uint8) for t in tensors if t is not None]
    return torch.cat(flat)


def _in_precision(x: torch.Tensor) -> torch.Tensor:
    """Return the inputs of a layer in the precision of autocast, as it does for torch's own layers."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class _ExpandedProduct(torch.autograd.Function):
    """y = x W' + b; the expanded W is not stored for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bias: torch.Tensor | None, layer: Any) -> torch.Tensor:
        ctx.layer = layer
        return torch.nn.functional.linear(x, layer.expanded(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return slope @ ctx.layer.expanded(slope.dtype), None, None


@cache
def _layer_classes() -> dict[int, type[Any]]:
    """Define the layers by number of bits; the library is imported with the first one.

    They differ from the library's own in that they follow autocast, leave the bias as it is (the library
    rounds it in place to the precision of the inputs), and compute the same in training and prediction. On
    processors with AVX-512 for bfloat16 the library would pack 4-bit weights anew for prediction, without
    gradients, so that no further epoch could be trained.
    """
    bnb: Any = import_module(LIBRARY)

    class Linear4bit(bnb.nn.Linear4bit):
        """A linear layer with 4 bits per weight, expanded to the precision of the inputs for a product."""

        def __init__(self, layer: Any, settings: Mapping[str, Any]) -> None:
            weight, bias = matrix_of(layer), layer.bias
            options = {
                "compress_statistics": settings["bnb_4bit_use_double_quant"],
                "quant_type": settings["bnb_4bit_quant_type"],
            }
            super().__init__(*weight.T.shape, bias=False, device="meta", **options)
            self.bias, nested = bias, options["compress_statistics"]
            blocks = -(-weight.numel() // BLOCK)
            self.bytes = (weight.numel() + 1) // 2
            self.bytes += blocks + 4 * -(-blocks // _BLOCK_OF_SCALES) if nested else 4 * blocks
            if weight.is_meta:
                weight = torch.empty((weight.numel() + 1) // 2, 1, dtype=torch.uint8, device="meta")
                options["bnb_quantized"] = True
            self.weight = bnb.nn.Params4bit(weight, blocksize=BLOCK, **options).to(weight.device)

        def packed(self) -> torch.Tensor:
            """Return the packed weights and their scales as bytes."""
            state = self.weight.quant_state
            second = (state.offset, state.state2.absmax, state.state2.code) if state.nested else ()
            return _as_bytes(self.weight.data, state.absmax, state.code, *second)

        def expanded(self, dtype: torch.dtype) -> torch.Tensor:
            """Return the weights in a precision, as [outputs, inputs]."""
            weights: torch.Tensor = bnb.functional.dequantize_4bit(self.weight.data, self.weight.quant_state)
            return weights.to(dtype)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Multiply by the expanded weights, and add the bias."""
            x = _in_precision(x)
            bias = None if self.bias is None else self.bias.to(x.dtype)
            state = self.weight.quant_state
            product: torch.Tensor = bnb.matmul_4bit(x, self.weight, bias=bias, quant_state=state)
            return product

    class Linear8bit(bnb.nn.Linear8bitLt):
        """A linear layer with 8 bits per weight and one scale for each output.

        Attributes:
            scales: a buffer, so that it moves with the layer to another device.
        """

        scales: torch.Tensor

        def __init__(self, layer: Any, _: Mapping[str, Any]) -> None:
            weight, bias = matrix_of(layer), layer.bias
            super().__init__(*weight.T.shape, bias=False, has_fp16_weights=False, device="meta")
            self.bias, self.bytes = bias, weight.numel() + 4 * len(weight)
            meta = weight.is_meta
            if meta:
                weight = torch.empty(weight.shape, dtype=torch.int8, device="meta")
            self.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
            self.weight = self.weight.to(weight.device)
            scales = torch.empty(len(weight), device="meta") if meta else self.weight.SCB
            self.register_buffer("scales", scales, persistent=False)

        def packed(self) -> torch.Tensor:
            """Return the weights and their scales as bytes."""
            return _as_bytes(self.weight.data, self.scales)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Multiply by the expanded weights, and add the bias."""
            x = _in_precision(x)
            bias = None if self.bias is None else self.bias.to(x.dtype)
            product: torch.Tensor = _ExpandedProduct.apply(x, bias, self)
            return product

        def expanded(self, dtype: torch.dtype) -> torch.Tensor:
            """Return the weights in a precision, as [outputs, inputs]."""
            return self.weight.data.to(dtype).mul_(self.scales.unsqueeze(1).mul(1 / 127))

    return {4: Linear4bit, 8: Linear8bit}


def matrix_of(layer: Any) -> torch.Tensor:
    """Return the weights of a linear layer as [outputs, inputs]; GPT-2's are stored the other way round."""
    weight: torch.Tensor = layer.weight.detach()
    return weight if type(layer) is torch.nn.Linear else weight.T.contiguous()
