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
