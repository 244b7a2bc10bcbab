"""Tiny models of the same families, with random weights: what a smoke test of a study trains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.models import _cache as cache

_FAMILIES = "evenhand.finetune.models"
_SEED = 13
#: What families call the width of their layers.
_WIDTHS = ("hidden_size", "embed_dim", "n_embd")


def family_said(model: Model, task: str) -> str:
    """The family of a hub model or a folder: as its study says, or as its configuration does.

    Raises:
        InputError: neither says it.
    """
    said = model.options.get("family")
    if said is not None:
        return str(said)
    from evenhand.finetune.base import family_of  # noqa: PLC0415
    from evenhand.finetune.size import shape_of  # noqa: PLC0415

    try:
        family = family_of(shape_of(model), model.name, task)
    except InputError as error:
        raise InputError(
            [*error.complaints, f"model '{model.name}': say its family: model.family."]
        ) from None
    return family.__name__.rpartition(".")[2]


def width(family: str) -> int:
    """How wide the layers of a family's stand-in are: the highest rank that means something there."""
    tiny = _tiny(family).TINY
    return min(int(tiny[name]) for name in _WIDTHS if name in tiny)


def stand_in(family: str, task: str) -> Path:
    """Make a tiny model of a family, or take the one that was made before.

    Args:
        family: a file of `evenhand.finetune.models`.
        task: what the data have: `text` or `image`.

    Returns:
        A folder in the form of transformers, with random weights, and the words of `synthetic_posts`.

    Raises:
        InputError: the family has no stand-in, or reads something else.
    """
    plugin = _tiny(family)
    if plugin.INFO.task != task:
        raise InputError(f"the family '{family}' reads {plugin.INFO.task}s, but the dataset has {task}s.")
    recipe = {"family": family, "fields": plugin.TINY, "seed": _SEED}
    return cache.kept(f"stand-in-{family}", recipe, partial(_make, plugin))


def _tiny(family: str) -> ModuleType:
    """The file of a family that has a stand-in."""
    plugin = registry.load(_FAMILIES, family)
    if not hasattr(plugin, "TINY"):
        known = [n for n in registry.names(_FAMILIES) if hasattr(registry.load(_FAMILIES, n), "TINY")]
        raise InputError(f"the family '{family}' has no stand-in; these have one: {', '.join(known)}.")
    return plugin


def _make(plugin: ModuleType, folder: Path) -> None:
    """Write weights, and a tokenizer where texts are read."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer  # noqa: PLC0415

    from evenhand.finetune.models import tiny_text  # noqa: PLC0415
    from evenhand.finetune.models._pretrain import repeatable  # noqa: PLC0415

    fields: dict[str, Any] = dict(plugin.TINY)
    if plugin.INFO.task == "text":
        tokenizer = AutoTokenizer.from_pretrained(tiny_text.build(tiny_text.Config(pretraining="none")))
        tokenizer.save_pretrained(str(folder))
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(plugin.INFO.model_types[0], **fields)
    with repeatable(_SEED):
        AutoModel.from_config(config).save_pretrained(folder)
