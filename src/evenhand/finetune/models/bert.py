"""BERT, and what keeps its form: RoBERTa, MiniLM."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="BERT",
    task="text",
    model_types=("bert", "roberta", "xlm-roberta", "camembert"),
    reads="first",
    source="Devlin et al. 2019, https://arxiv.org/abs/1810.04805",
)
ROLES = {
    "embedding": r"embeddings\.word_embeddings",
    "attention.query": r"attention\.self\.query",
    "attention.key": r"attention\.self\.key",
    "attention.value": r"attention\.self\.value",
    "attention.output": r"attention\.output\.dense",
    "mlp.up": r"layer\.\d+\.intermediate\.dense",
    "mlp.down": r"layer\.\d+\.output\.dense",
}
HEAD = ("classifier",)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip
