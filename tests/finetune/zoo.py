"""Tiny checkpoints of the families of transformers, made from their own configurations."""

import torch
import transformers

from evenhand.finetune.estimate.shrink import SIDE, small_fields
from evenhand.finetune.modeling import processor
from evenhand.finetune.modeling.families import AUTO_CLASSES
from tests.finetune import worlds

#: Fields that a tiny configuration needs besides the small ones.
FIELDS = {
    "bit": {"num_groups": 8},
    "cvt": {"embed_dim": [16, 32, 32], "depth": [1, 1, 1], "num_heads": [1, 2, 2]},
}


def config_of(kind, *, text):
    """A tiny configuration of a `model_type`; with the vocabulary of the tests' tokenizer for texts."""
    fields = small_fields(transformers.CONFIG_MAPPING[kind]()) | FIELDS.get(kind, {})
    if text:
        special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 0}
        tokens = {"vocab_size": worlds.VOCABULARY} | special
        for name in ("text_config",):
            if name in fields:
                fields[name] |= tokens
        fields |= tokens
    return transformers.AutoConfig.for_model(kind, **fields)


def folder_of(place, kind, task):
    """Save a random base of a `model_type`, as pretraining leaves it, with its tokenizer or processor."""
    folder = place / f"{kind}-{task}"
    config = config_of(kind, text=task != "image")
    torch.manual_seed(5)
    if task == "language":
        model = getattr(transformers, AUTO_CLASSES[task]).from_config(config)
    else:
        model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    if task == "image":
        processor.default_processor(processor.side_of(config) or (SIDE, SIDE)).save_pretrained(str(folder))
    else:
        worlds.tokenizer(folder, ends=task == "text")
    return str(folder)
