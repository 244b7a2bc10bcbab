"""DistilBERT."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="DistilBERT",
    task="text",
    model_types=("distilbert",),
    reads="first",
    source="Sanh et al. 2019, https://arxiv.org/abs/1910.01108",
)
ROLES = {
    "embedding": r"embeddings\.word_embeddings",
    "attention.query": r"attention\.q_lin",
    "attention.key": r"attention\.k_lin",
    "attention.value": r"attention\.v_lin",
    "attention.output": r"attention\.out_lin",
    "mlp.up": r"ffn\.lin1",
    "mlp.down": r"ffn\.lin2",
}
HEAD = ("pre_classifier", "classifier")
