"""Vision transformers of the ViT family."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="ViT",
    task="image",
    model_types=("vit",),
    source="Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "image_size": 32, "patch_size": 8, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4,
}  # fmt: skip
#: Configurations of well-known models, for sizes without a network.
SHAPES = {
    "google/vit-base-patch16-224-in21k": {
        "image_size": 224, "patch_size": 16, "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12,
    },
}  # fmt: skip
