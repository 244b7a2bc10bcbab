"""Stand-ins: tiny models of the same families with random weights, for smoke tests of a study."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evenhand import registry
from evenhand.errors import InputError, nearest
from evenhand.finetune import Model
from evenhand.finetune.estimate.shrink import SIDE, WIDTH, small_fields
from evenhand.finetune.modeling.families import (
    AUTO_CLASSES,
    FAMILIES,
    GENERATIVE_TASKS,
    check_task,
    family_file,
    family_of,
)
from evenhand.finetune.models import _cache as cache

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
        return family_of(shape_of(model), model.name, task).name
    except InputError as error:
        raise InputError(
            [*error.complaints, f"model '{model.name}': name its family with model.family."]
        ) from None


def width(family: str) -> int:
    """Return the width of the layers of a family's stand-in, which bounds the useful ranks."""
    fields = _fields(family)
    return min((int(fields[name]) for name in _WIDTHS if isinstance(fields.get(name), int)), default=WIDTH)


def stand_in(family: str, task: str) -> Path:
    """Make a tiny model of a family, or return the cached one.

    Args:
        family: a file of `evenhand.finetune.models`, or a `model_type` of transformers.
        task: task of the dataset.

    Returns:
        A folder in the format of transformers, with random weights and the vocabulary of `synthetic_posts`;
        for models that generate, with a byte-level BPE tokenizer.

    Raises:
        InputError: the family is unknown, is not for the task, or no tiny model of it can be built.
    """
    fields = _fields(family)
    check_task(_config(family, fields), f"the stand-in '{family}'", task)
    recipe: dict[str, object] = {"family": family, "fields": fields, "seed": _SEED}
    if task == "image":
        recipe["processor"] = True
    if task not in GENERATIVE_TASKS:
        make = partial(_make, family, fields, pictures=task == "image")
        return cache.get_or_make(f"stand-in-{family}", recipe, make)
    recipe |= {"kind": AUTO_CLASSES[task], "context": _CONTEXT_TOKENS, "pieces": _VOCABULARY_SIZE}
    return cache.get_or_make(f"stand-in-writing-{family}", recipe, partial(_make_generative, family, fields))


def _fields(family: str) -> dict[str, Any]:
    """Return the fields of the configuration of a family's stand-in.

    Raises:
        InputError: the family is unknown, or is made by evenhand itself.
    """
    from transformers import CONFIG_MAPPING  # noqa: PLC0415

    file = family_file(family)
    if file is not None and hasattr(file, "TINY"):
        return dict(file.TINY)
    if family not in CONFIG_MAPPING:
        known = [*registry.all_names(FAMILIES), *CONFIG_MAPPING]
        raise InputError(f"the family '{family}' has no stand-in; {nearest(family, known)}")
    return small_fields(CONFIG_MAPPING[family]())


def _config(family: str, fields: Mapping[str, Any]) -> Any:
    """Build the configuration of a stand-in.

    Raises:
        InputError: the configuration has no tiny form.
    """
    from transformers import AutoConfig  # noqa: PLC0415

    file = family_file(family)
    try:
        return AutoConfig.for_model(file.INFO.model_types[0] if file else family, **fields)
    except Exception as error:  # each configuration has checks of its own
        raise InputError(
            f"the family '{family}' has no stand-in: a tiny configuration of it is refused ({error})."
        ) from None


def _make(family: str, fields: Mapping[str, Any], folder: Path, *, pictures: bool) -> None:
    """Write weights, and a tokenizer for texts or the settings of an image processor for pictures."""
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    from evenhand.finetune.modeling import processor  # noqa: PLC0415
    from evenhand.finetune.models import tiny_text  # noqa: PLC0415
    from evenhand.finetune.models._pretrain import repeatable  # noqa: PLC0415

    fields = dict(fields)
    if not pictures:
        tokenizer = AutoTokenizer.from_pretrained(tiny_text.build(tiny_text.Config(pretraining="none")))
        tokenizer.save_pretrained(str(folder))
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config = _config(family, fields)
    if pictures:
        processor.default_processor(processor.side_of(config) or (SIDE, SIDE)).save_pretrained(str(folder))
    with repeatable(_SEED):
        AutoModel.from_config(config).save_pretrained(folder)


def _make_generative(family: str, fields: Mapping[str, Any], folder: Path) -> None:
    """Write weights and tokenizer of a model that generates."""
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    from evenhand.finetune.models._pretrain import repeatable, save  # noqa: PLC0415

    tokenizer = _train_tokenizer()
    tokenizer.save_pretrained(str(folder))
    special_tokens = {
        "pad": tokenizer.pad_token_id,
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
    }
    fields = {**fields, **{f"{name}_token_id": number for name, number in special_tokens.items()}}
    fields["n_positions" if "n_positions" in fields else "max_position_embeddings"] = _CONTEXT_TOKENS
    fields["vocab_size"] = len(tokenizer)
    with repeatable(_SEED):
        save(AutoModelForCausalLM.from_config(_config(family, fields)), folder)


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
