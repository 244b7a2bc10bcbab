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
