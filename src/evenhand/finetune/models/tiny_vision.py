"""A tiny ViT for the synthetic portraits, made by evenhand: pretrained at first use, on unlabelled pictures.

Pretraining has two objectives on pictures with masked patches: to reconstruct these patches, as a masked
autoencoder does; and to reconstruct the full picture from the token that the classifier reads. The targets
are normalised contrasts of patches, so that small features count as much as large plain areas.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand.datasets import synthetic_portraits
from evenhand.finetune.models import ModelInfo
from evenhand.finetune.models import _cache as cache
from evenhand.finetune.models._pretrain import Pretraining, fit, repeatable, save

if TYPE_CHECKING:
    import torch
    from transformers import ViTConfig, ViTModel

INFO = ModelInfo(
    title="tiny ViT",
    task="image",
    model_types=(),
    source="made by evenhand, from no data of people",
)
#: Increase this number whenever a change here changes the weights.
RECIPE = 2
PICTURES = 12_000
STEPS = 1500
BATCH = 64
LEARNING_RATE = 2e-3
MASKED_SHARE = 0.25
PATCH = 8
#: Contrast below which a patch counts as plain, in units of a normalised pixel.
_MIN_CONTRAST = 0.1


class Config(Pretraining):
    """Options: those of every model that evenhand makes itself."""


def build(config: Config) -> Path:
    """Build the model, or return the cached one.

    Args:
        config: the options.

    Returns:
        A folder in the format of transformers.
    """
    recipe = {"recipe": RECIPE, **config.model_dump()}
    return cache.get_or_make("tiny_vision", recipe, partial(_make, config))


def _make(config: Config, folder: Path) -> None:
    """Write weights and the image processor's settings into a folder."""
    from transformers import ViTModel  # noqa: PLC0415

    with repeatable(config.seed):
        model = ViTModel(_model_config(), add_pooling_layer=False, use_mask_token=True)
        if steps := config.steps(STEPS):
            _pretrain(model, steps, config.seed)
    model.embeddings.mask_token = None  # a classifier masks nothing
    save(model, folder)
    size = synthetic_portraits.SIZE
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    text = json.dumps(processor, indent=1, sort_keys=True) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")


def _model_config() -> ViTConfig:
    from transformers import ViTConfig  # noqa: PLC0415

    return ViTConfig(
        image_size=synthetic_portraits.SIZE,
        patch_size=PATCH,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
    )


def _pretrain(model: ViTModel, steps: int, seed: int) -> None:
    """Mask patches; reconstruct each from its token, and the full picture from the first token."""
    import torch  # noqa: PLC0415

    pictures = torch.from_numpy(np.stack(synthetic_portraits.unlabelled(PICTURES, seed)))
    width, count = model.config.hidden_size, (synthetic_portraits.SIZE // PATCH) ** 2
    patch_head = torch.nn.Linear(width, PATCH * PATCH)
    picture_head = torch.nn.Linear(width, count * PATCH * PATCH)

    def loss() -> torch.Tensor:
        pixels = pictures[torch.randint(len(pictures), (BATCH,))].permute(0, 3, 1, 2) / 127.5 - 1
        hidden = torch.rand(BATCH, count) < MASKED_SHARE
        states = model(pixel_values=pixels, bool_masked_pos=hidden).last_hidden_state
        contrasts = _contrasts(pixels)
        patch_loss = torch.nn.functional.mse_loss(patch_head(states[:, 1:][hidden]), contrasts[hidden])
        return patch_loss + torch.nn.functional.mse_loss(picture_head(states[:, 0]), contrasts.flatten(1))

    fit(torch.nn.ModuleList([model, patch_head, picture_head]), loss, steps, LEARNING_RATE)


def _contrasts(pixels: torch.Tensor) -> torch.Tensor:
    """Return the brightness of every patch minus its mean, in standard deviations, [n, patches, pixels]."""
    grey = pixels.mean(1)
    patches = grey.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(3).flatten(1, 2)
    patches = patches - patches.mean(-1, keepdim=True)
    return patches / (patches.std(-1, keepdim=True) + _MIN_CONTRAST)
