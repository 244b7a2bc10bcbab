"""DistilBERT."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="DistilBERT",
    task="text",
    model_types=("distilbert",),
    source="Sanh et al. 2019, https://arxiv.org/abs/1910.01108",
)
