"""Tiny checkpoints of the families of transformers, made from their own configurations."""

import torch
import transformers

from evenhand.finetune.estimate.shrink import SIDE, small_fields
from evenhand.finetune.modeling import processor
from evenhand.finetune.modeling.families import AUTO_CLASSES
from tests.finetune import worlds

#: Fields that a tiny configuration needs besides the small ones.
_LATENT = {"q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16}
_LATENT |= {"v_head_dim": 16, "head_dim": 16}
FIELDS = {
    "cvt": {"embed_dim": [16, 32, 32], "depth": [1, 1, 1], "num_heads": [1, 2, 2]},
    "deepseek_v3": _LATENT | {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1},
    "donut-swin": {"depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
    "gptj": {"rotary_dim": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "longformer": {"attention_window": 8},
    "nemotron": {"num_key_value_heads": 2},
    "pvt": {"num_attention_heads": [1, 2, 2, 2]},
    "pvt_v2": {"num_attention_heads": [1, 2, 2, 2], "image_size": 32},
    "swin": {"depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
    "swinv2": {"window_size": 4},
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
