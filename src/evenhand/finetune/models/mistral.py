"""Mistral: Llama's layers, with attention to a window."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="Mistral",
    task="text",
    model_types=("mistral",),
    source="Jiang et al. 2023, https://arxiv.org/abs/2310.06825",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "sliding_window": 64,
}  # fmt: skip
#: Configurations of well-known models, for sizes without a network.
SHAPES = {
    "mistralai/Mistral-7B-v0.1": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
}  # fmt: skip
