"""BERT, and models with its architecture: RoBERTa, MiniLM."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="BERT",
    task="text",
    model_types=("bert", "roberta", "xlm-roberta", "camembert"),
    source="Devlin et al. 2019, https://arxiv.org/abs/1810.04805",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip
_BASE = {
    "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 512,
}  # fmt: skip
_ROBERTA = {
    "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
}  # fmt: skip
#: Configurations of well-known models, for sizes without a network.
SHAPES = {
    "bert-base-uncased": _BASE,
    "google-bert/bert-base-uncased": _BASE,
    "roberta-base": {**_BASE, **_ROBERTA},
    "FacebookAI/roberta-base": {**_BASE, **_ROBERTA},
}
