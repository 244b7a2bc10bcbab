"""Vision transformers of the ViT family."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="ViT",
    task="image",
    model_types=("vit",),
    reads="first",
    source="Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929",
)
# The first name is that of transformers 5, the second that of transformers 4.
ROLES = {
    "embedding": r"patch_embeddings\.projection",
    "attention.query": r"attention\.q_proj|attention\.attention\.query",
    "attention.key": r"attention\.k_proj|attention\.attention\.key",
    "attention.value": r"attention\.v_proj|attention\.attention\.value",
    "attention.output": r"attention\.o_proj|attention\.output\.dense",
    "mlp.up": r"mlp\.fc1|layer\.\d+\.intermediate\.dense",
    "mlp.down": r"mlp\.fc2|layer\.\d+\.output\.dense",
}
HEAD = ("classifier",)
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
