"""GPT-2: its matrices are stored transposed (Conv1D), and query, key and value are one."""

from __future__ import annotations

from evenhand.finetune.models import ModelInfo

INFO = ModelInfo(
    title="GPT-2",
    task="text",
    model_types=("gpt2",),
    source="Radford et al. 2019, https://openai.com/index/better-language-models",
)
#: The configuration of a stand-in that trains in seconds.
TINY = {"n_embd": 64, "n_inner": 128, "n_layer": 4, "n_head": 4, "n_positions": 128}
