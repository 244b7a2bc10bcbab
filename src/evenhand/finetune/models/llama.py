"""Llama: a decoder whose head reads the last token that is no padding."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="Llama",
    task="text",
    model_types=("llama",),
    reads="last",
    source="Touvron et al. 2023, https://arxiv.org/abs/2307.09288",
)
ROLES = {
    "embedding": r"embed_tokens",
    "attention.query": r"self_attn\.q_proj",
    "attention.key": r"self_attn\.k_proj",
    "attention.value": r"self_attn\.v_proj",
    "attention.output": r"self_attn\.o_proj",
    "mlp.gate": r"mlp\.gate_proj",
    "mlp.up": r"mlp\.up_proj",
    "mlp.down": r"mlp\.down_proj",
}
HEAD = ("score",)
