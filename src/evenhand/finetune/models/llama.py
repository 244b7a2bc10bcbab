"""Llama: a decoder whose head reads the last token other than padding."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="Llama",
    task="text",
    model_types=("llama",),
    source="Touvron et al. 2023, https://arxiv.org/abs/2307.09288",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
#: Configurations of well-known models, for sizes without a network.
SHAPES = {
    "meta-llama/Llama-2-7b-hf": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
    },
    "meta-llama/Llama-2-13b-hf": {
        "vocab_size": 32000, "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
        "num_attention_heads": 40, "num_key_value_heads": 40, "max_position_embeddings": 4096,
    },
}  # fmt: skip
