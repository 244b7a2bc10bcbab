"""Stand-ins: tiny models of the same families with random weights, for smoke tests of a study."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.modeling.families import AUTO_CLASSES, GENERATIVE_TASKS, check_task, family_of
from evenhand.finetune.models import _cache as cache

_FAMILIES = "evenhand.finetune.models"
_SEED = 13
#: Context and vocabulary of stand-ins that generate.
_CONTEXT_TOKENS, _VOCABULARY_SIZE = 512, 600
#: Names that families use for the width of their layers.
_WIDTHS = ("hidden_size", "embed_dim", "n_embd")


def declared_family(model: Model, task: str) -> str:
    """Return the family of a hub model or a folder, from its study or its configuration.

    Raises:
        InputError: neither names the family.
    """
    declared = model.options.get("family")
    if declared is not None:
        return str(declared)
    from evenhand.finetune.estimate.shape import shape_of  # noqa: PLC0415  (torch)

    try:
        family = family_of(shape_of(model), model.name, task)
    except InputError as error:
        raise InputError(
            [*error.complaints, f"model '{model.name}': name its family with model.family."]
        ) from None
    return family.__name__.rpartition(".")[2]


def width(family: str) -> int:
    """Return the width of the layers of a family's stand-in, which bounds the useful ranks."""
    tiny = _tiny(family).TINY
    return min(int(tiny[name]) for name in _WIDTHS if name in tiny)


def stand_in(family: str, task: str) -> Path:
    """Make a tiny model of a family, or return the cached one.

    Args:
        family: a file of `evenhand.finetune.models`.
        task: task of the dataset.

    Returns:
        A folder in the format of transformers, with random weights and the vocabulary of `synthetic_posts`;
        for models that generate, with a byte-level BPE tokenizer.

    Raises:
        InputError: the family has no stand-in, or reads another kind of input.
    """
    plugin = _tiny(family)
    check_task(plugin, f"the stand-in '{family}'", task)
    recipe: dict[str, object] = {"family": family, "fields": plugin.TINY, "seed": _SEED}
    if plugin.INFO.task == "image":
        recipe["processor"] = True
    if task not in GENERATIVE_TASKS:
        return cache.get_or_make(f"stand-in-{family}", recipe, partial(_make, plugin))
    recipe |= {"kind": AUTO_CLASSES[task], "context": _CONTEXT_TOKENS, "pieces": _VOCABULARY_SIZE}
    return cache.get_or_make(f"stand-in-writing-{family}", recipe, partial(_make_generative, plugin))


def _tiny(family: str) -> ModuleType:
    """Load the module of a family that has a stand-in."""
    plugin = registry.load(_FAMILIES, family)
    if not hasattr(plugin, "TINY"):
        known = [n for n in registry.names(_FAMILIES) if hasattr(registry.load(_FAMILIES, n), "TINY")]
        raise InputError(f"the family '{family}' has no stand-in; these have one: {', '.join(known)}.")
    return plugin


def _make(plugin: ModuleType, folder: Path) -> None:
    """Write weights, and a tokenizer for texts or the settings of an image processor for pictures."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer  # noqa: PLC0415

    from evenhand.finetune.modeling import processor  # noqa: PLC0415
    from evenhand.finetune.models import tiny_text  # noqa: PLC0415
    from evenhand.finetune.models._pretrain import repeatable  # noqa: PLC0415

    fields: dict[str, Any] = dict(plugin.TINY)
    if plugin.INFO.task == "text":
        tokenizer = AutoTokenizer.from_pretrained(tiny_text.build(tiny_text.Config(pretraining="none")))
        tokenizer.save_pretrained(str(folder))
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(plugin.INFO.model_types[0], **fields)
    if plugin.INFO.task == "image":
        processor.default_processor((config.image_size, config.image_size)).save_pretrained(str(folder))
    with repeatable(_SEED):
        AutoModel.from_config(config).save_pretrained(folder)


def _make_generative(plugin: ModuleType, folder: Path) -> None:
    """Write weights and tokenizer of a model that generates."""
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    from evenhand.finetune.models._pretrain import repeatable, save  # noqa: PLC0415

    tokenizer = _train_tokenizer()
    tokenizer.save_pretrained(str(folder))
    special_tokens = {
        "pad": tokenizer.pad_token_id,
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
    }
    fields: dict[str, Any] = {
        **plugin.TINY,
        **{f"{name}_token_id": number for name, number in special_tokens.items()},
    }
    fields["n_positions" if "n_positions" in fields else "max_position_embeddings"] = _CONTEXT_TOKENS
    fields["vocab_size"] = len(tokenizer)
    config = AutoConfig.for_model(plugin.INFO.model_types[0], **fields)
    with repeatable(_SEED):
        save(AutoModelForCausalLM.from_config(config), folder)


def _train_tokenizer() -> Any:
    """Train a byte-level BPE tokenizer on evenhand's synthetic texts; other text falls back to bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    from evenhand.datasets import synthetic_pairs, synthetic_posts  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    pairs = synthetic_pairs.load(synthetic_pairs.Config(rows=200))
    assert pairs.translations is not None
    texts = [*map(str, pairs.inputs), *(r[0] for r in pairs.translations.references)]
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY_SIZE, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*texts, *synthetic_posts.unlabelled(200, _SEED)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        model_max_length=_CONTEXT_TOKENS, clean_up_tokenization_spaces=False,
    )  # fmt: skip
