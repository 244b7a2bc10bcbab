"""Tiny configurations: the fields of a configuration that determine its size, made small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

#: Width of the layers; of their inner layers; number of layers, heads, experts; context in tokens; pixels.
WIDTH, _INNER, _LAYERS, _HEADS, _EXPERTS, CONTEXT, SIDE = 64, 128, 2, 4, 4, 128, 32
#: Values by the names that configurations of transformers use.
_SMALL: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "embedding_size", "emb_dim",
                     "word_embed_proj_dim", "projection_dim"), WIDTH),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "d_inner", "n_inner", "encoder_ffn_dim",
                     "decoder_ffn_dim", "hidden_dim", "ffn_hidden_size", "moe_intermediate_size",
                     "shared_expert_intermediate_size", "shared_intermediate_size"), _INNER),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers",
                     "decoder_layers", "num_decoder_layers", "num_encoder_layers"), _LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads",
                     "num_kv_heads", "encoder_attention_heads", "decoder_attention_heads"), _HEADS),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_size", "d_head"), WIDTH // _HEADS),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), _EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), CONTEXT),
    "image_size": SIDE,
}  # fmt: skip
#: Widths of the first two stages of a model with stages, and of the others.
_STAGE_WIDTHS = (16, 32)
_LARGEST_PATCH = 8


def small_fields(config: PretrainedConfig) -> dict[str, Any]:
    """Return the fields of a tiny configuration of the same type.

    Args:
        config: any configuration; those inside of it (`text_config`, `vision_config`) are made small as well.
    """
    fields: dict[str, Any] = {}
    for name, value in config.to_dict().items():
        small = _small_value(name, value)
        if small is not None:
            fields[name] = small
    if isinstance(fields.get("depths"), list) and isinstance(fields.get("embed_dim"), int):
        fields["embed_dim"] = _STAGE_WIDTHS[0]  # doubled by every stage
    if kinds := fields.get("layer_types"):
        fields["num_hidden_layers"] = len(kinds)
    if "mlp_layer_types" in fields:
        fields["mlp_layer_types"] = fields["mlp_layer_types"][: fields["num_hidden_layers"]]
    for name in config.sub_configs:
        inner = getattr(config, name, None)
        if inner is not None:
            fields[name] = {"model_type": inner.model_type, **small_fields(inner)}
    return fields


def _small_value(name: str, value: Any) -> Any:
    """Return the small value of a field; None for a field that does not determine the size."""
    if isinstance(value, list | tuple) and value:
        if name == "num_heads":
            return [2] * len(value)
        if name == "image_size":
            return [SIDE] * len(value)
        if name in ("depths", "layers"):
            return [1] * len(value)
        if name in ("hidden_sizes", "embed_dims", "neck_hidden_sizes", "encoder_hidden_sizes"):
            return [_STAGE_WIDTHS[i > 1] for i in range(len(value))]
        if name == "layer_types":  # one of each kind
            return (list(dict.fromkeys(value)) * _LAYERS)[: max(_LAYERS, len(set(value)))]
        return list(value) if name == "mlp_layer_types" else None
    if name == "patch_size" and isinstance(value, int):
        return min(value, _LARGEST_PATCH)
    return None if value is None else _SMALL.get(name)
