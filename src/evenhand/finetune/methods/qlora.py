"""QLoRA: LoRA on a base whose linear layers are quantised to 4 or 8 bits, and the head in full precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from evenhand.finetune.methods import MethodInfo, _lora, _peft
from evenhand.finetune.models import ALL_LINEAR

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="QLoRA",
    trained="low-rank additions to the target roles, and the classification head",
    paper="Dettmers et al. 2023, https://arxiv.org/abs/2305.14314",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    identity_at_start=False,
    sharded=False,
    quantised=True,
)
#: Options that have an effect with one number of bits only.
_OPTIONS_OF = {"data_type": 4, "double_quantisation": 4, "initialisation": 4}


class Config(_lora.LowRank):
    """Options, besides those of every low-rank adapter.

    Attributes:
        bits: bits per weight of the base's linear layers: 4, or 8 with a scale for each output (as LLM.int8
            stores them, Dettmers et al. 2022, https://arxiv.org/abs/2208.07339). Not quantised are
            embeddings, biases, the head, what transformers leaves in full precision, and, to 4 bits, layers
            whose number of inputs is not a multiple of 64.
        data_type: of 4 bits: `nf4` has its 16 values at the quantiles of a normal distribution, `fp4` are
            floating-point numbers. Each block of 64 weights has a scale.
        double_quantisation: also quantise the scales of 4-bit weights, to 8 bits.
        initialisation: `kaiming` draws A at random and sets B to 0. `loftq` (Li et al. 2024,
            https://arxiv.org/abs/2310.08659) starts from the product that is nearest to what 4 bits took away
            from the weights: quantised weights and adapter together are nearer to the original ones.
        rank_stabilised: scale by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023,
            https://arxiv.org/abs/2312.03732).
    """

    bits: Literal[4, 8] = 4
    data_type: Literal["nf4", "fp4"] = "nf4"
    double_quantisation: bool = True
    initialisation: Literal["kaiming", "loftq"] = "kaiming"
    rank_stabilised: bool = False

    @model_validator(mode="after")
    def _options_of_the_bits(self) -> Config:
        for option, bits in _OPTIONS_OF.items():
            if bits != self.bits and getattr(self, option) != type(self).model_fields[option].default:
                raise ValueError(f"{option}: has an effect only with bits: {bits}; leave it out")
        return self


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Quantise the linear layers of the backbone, and add the adapters with PEFT."""
    from evenhand.finetune.hardware import quantised  # noqa: PLC0415  (torch)

    layers = _quantised_layers(model, roles, config.bits) if config.initialisation == "loftq" else []
    originals = {name: model.get_submodule(name) for name in layers}
    quantised.quantise(model, settings(model, roles, config))
    adapted = _lora.add_adapters(model, roles, config, rank_stabilised=config.rank_stabilised)
    for name, layer in originals.items():
        _start_at_the_error(adapted.get_base_model().get_submodule(name), quantised.matrix_of(layer))
    return adapted


def _start_at_the_error(layer: Any, original: torch.Tensor) -> None:
    """Start an adapter from the error of its quantised weights (LoftQ with one iteration).

    The product that is added, alpha / rank B A, becomes the best approximation of W - Q with its rank: its
    largest singular values and vectors, of which A and B get equal parts. More iterations would change Q,
    and the adapter would not fit the base that anyone else quantises. PEFT's own function runs on
    accelerators alone and leaves alpha / rank out.

    Args:
        layer: of the adapted model; one without an adapter, or without values, stays as it is.
        original: [outputs, inputs] weights before they were quantised.
    """
    import torch  # noqa: PLC0415

    if not hasattr(layer, "lora_A") or original.is_meta:
        return
    a, b = (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    error = original - layer.get_base_layer().expanded(original.dtype)
    left, values, right = torch.linalg.svd(error, full_matrices=False)
    root = (values[: len(a)] / layer.scaling["default"]).sqrt()
    with torch.no_grad():
        a.copy_(root[:, None] * right[: len(a)])
        b.copy_(left[:, : len(a)] * root)


def settings(model: PreTrainedModel, roles: Roles, config: Config) -> dict[str, Any]:
    """Return the settings with which transformers would quantise the same layers (`BitsAndBytesConfig`)."""
    from evenhand.finetune.hardware import quantised  # noqa: PLC0415  (torch)

    layers = set(_quantised_layers(model, roles, config.bits))
    skipped = [name for name, m in model.named_modules() if quantised.is_linear(m) and name not in layers]
    common = {"quant_method": quantised.LIBRARY, quantised.SKIPPED: skipped}
    if config.bits == 8:
        return common | {"load_in_8bit": True}
    return common | {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": config.data_type,
        "bnb_4bit_use_double_quant": config.double_quantisation,
    }


def _quantised_layers(model: PreTrainedModel, roles: Roles, bits: int) -> list[str]:
    """Return the names of the linear layers of the backbone that are quantised.

    Left out are, as in transformers, weights that two layers share, and those that a family keeps in full
    precision. On a CPU, bitsandbytes 0.50 expands 4-bit weights wrongly if a block crosses the end of a row:
    such layers are left out too, on every machine.
    """
    from transformers.quantizers.quantizers_utils import should_convert_module  # noqa: PLC0415

    from evenhand.finetune.hardware import quantised  # noqa: PLC0415  (torch)

    tied = {name.removesuffix(".weight") for pair in model.all_tied_weights_keys.items() for name in pair}
    excluded = list(model._keep_in_fp32_modules or ())
    return [
        name
        for name in roles.layers.get(ALL_LINEAR, ())
        if quantised.is_linear(model.get_submodule(name))
        and name not in tied
        and should_convert_module(name, excluded)
        and (bits == 8 or _peft.shape_of(model.get_submodule(name))[0] % quantised.BLOCK == 0)
    ]


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    if layers := _quantised_layers(model, roles, config.bits):
        if config.initialisation == "kaiming":
            return []
        names = [name for name in roles.of(config.targets) if name in layers]
        return _lora.rank_complaints(roles, config, names, "loftq", "singular vectors")
    if _quantised_layers(model, roles, bits=8):
        return [
            "bits: 4 bits need layers whose inputs are a multiple of 64, of which the model has none; give 8"
        ]
    return ["bits: the model has no linear layers that can be quantised; use lora"]


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options for this model."""
    notes = _lora.remarks(roles, config, "qlora")
    n, widest = (
        len(_quantised_layers(model, roles, config.bits)),
        len(_quantised_layers(model, roles, bits=8)),
    )
    if n < widest:
        notes.append(
            f"qlora: {widest - n} of the {widest} linear layers stay in full precision, because the number "
            "of their inputs is not a multiple of 64."
        )
    return notes
