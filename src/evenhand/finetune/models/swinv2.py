"""Swin Transformer v2: stages of blocks; the head reads the mean over the last stage."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="Swin v2",
    task="image",
    model_types=("swinv2",),
    source="Liu et al. 2022, https://arxiv.org/abs/2111.09883",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {
    "image_size": 32, "patch_size": 4, "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4],
    "window_size": 4, "mlp_ratio": 2.0,
}  # fmt: skip
#: Configurations of well-known models, for sizes without a network.
SHAPES = {
    "microsoft/swinv2-large-patch4-window12-192-22k": {
        "image_size": 192, "patch_size": 4, "embed_dim": 192, "depths": [2, 2, 18, 2],
        "num_heads": [6, 12, 24, 48], "window_size": 12,
    },
}  # fmt: skip
