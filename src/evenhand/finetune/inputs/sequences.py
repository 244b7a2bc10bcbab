"""What models that write learn from: pairs of a text and its translation, or blocks of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from evenhand.datasets import Examples, Translations
from evenhand.errors import InputError
from evenhand.finetune import Data
from evenhand.finetune.inputs.batches import SHORT, Texts
from evenhand.finetune.inputs.cache import kept
from evenhand.finetune.inputs.encoder import Encoder, Ids, boundary, encoder_of, longest
from evenhand.finetune.inputs.targets import Continuations
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.tables.schema import IntArray


@dataclass(frozen=True, eq=False)
class Material:
    """Sequences of tokens, and what each is for.

    Attributes:
        feed: all of them.
        answers: the tokens to be said in each.
        train: which to learn from.
        validation: on which to measure.
        test: on which a saved model is compared with the trained one.
        remarks: what had to be cut.
    """

    feed: Texts
    answers: Continuations
    train: IntArray
    validation: IntArray
    test: IntArray
    remarks: tuple[str, ...] = ()


@kept
def material_of(base: PretrainedModel, data: Data, max_length: int) -> Material:
    """Encode the rows of a study for a model that writes.

    Raises:
        InputError: its tokenizer cannot be used, or a translation is longer than the model's texts may be.
    """
    encoder = encoder_of(base)
    limit = min(max_length, encoder.context)
    if data.examples.translations is not None:
        return _pairs(encoder, data, data.examples.translations, limit)
    return _blocks(encoder, data, limit)


def _pairs(encoder: Encoder, data: Data, translations: Translations, limit: int) -> Material:
    """One sequence for each row: prefix, text, separator, translation, end. Only the last two are learnt."""
    examples = data.examples
    ids, starts, cut, joined = [], [], 0, 0
    whole = pair_ids(encoder, examples, translations, range(len(examples.ids)))
    wrong = []
    for row, given in enumerate(whole):
        long = len(given[1]) > limit
        pair = _shortened(encoder, examples, translations, row, limit) if long else given
        if pair is None:
            wrong.append(examples.ids[row])
            continue
        cut += long
        prompt, full = pair
        start = boundary(prompt, [full])
        joined += start < len(prompt)
        ids.append(np.array(full, np.int64))
        starts.append(max(1, start))
    if wrong:
        raise InputError(
            f"{len(wrong):,} translations are longer than {limit} tokens with nothing but the separator "
            f"before them (first: '{wrong[0]}'); raise training.max_length, up to the model's "
            f"{encoder.context}, or take them out."
        )
    remarks = []
    if cut:
        remarks.append(f"{cut:,} texts were cut at their end so that their translations fit {limit} tokens.")
    if joined:
        remarks.append(
            f"In {joined:,} pairs one token holds the end of the separator and the beginning of the "
            "translation; it is learnt whole."
        )
    parts = data.parts
    answers = Continuations(ids, np.array(starts, np.int64))
    return Material(_texts(ids, encoder), answers, parts.train, parts.validation, parts.test, tuple(remarks))


def pair_ids(
    encoder: Encoder, examples: Examples, translations: Translations, rows: Sequence[int] | range
) -> list[tuple[Ids, Ids]]:
    """Tokens of the prompt (prefix, text, separator), and of prompt, translation and end, of some rows."""
    prompts = [translations.prompt(str(examples.inputs[row])) for row in rows]
    fulls = [prompt + translations.learnt(row) for prompt, row in zip(prompts, rows, strict=True)]
    return [
        (prompt, [*full, encoder.end])
        for prompt, full in zip(encoder.whole(prompts), encoder.whole(fulls), strict=True)
    ]


def _shortened(
    encoder: Encoder, examples: Examples, translations: Translations, row: int, limit: int
) -> tuple[Ids, Ids] | None:
    """A pair whose text is cut at its end, as little as is needed; None when the translation is too long."""
    text = str(examples.inputs[row])
    learnt = translations.learnt(row)

    def fits(characters: int) -> bool:
        return len(encoder.whole([translations.prompt(text[:characters]) + learnt])[0]) + 1 <= limit

    kept = longest(fits, len(text))
    if kept is None:
        return None
    shortened = translations.prompt(text[:kept])
    prompt, full = encoder.whole([shortened, shortened + learnt])
    return prompt, [*full, encoder.end]


def _blocks(encoder: Encoder, data: Data, limit: int) -> Material:
    """Blocks of `limit` tokens, of each part by itself: its texts in the order of the part, each ended.

    The last block of a part is as long as what is left; a single token is dropped, as nothing predicts it.
    Texts are not kept apart within a block. All tokens but a block's first are learnt.
    """
    if limit < 2:
        raise InputError(f"training.max_length: got {limit}; blocks of text have at least 2 tokens.")
    blocks: list[np.ndarray] = []
    numbers = {}
    for name, rows in data.parts.named():
        texts = encoder.whole([str(data.examples.inputs[row]) for row in rows.tolist()])
        stream = np.array([token for ids in texts for token in (*ids, encoder.end)], np.int64)
        made = [stream[i * limit : (i + 1) * limit] for i in range(blocks_in(len(stream), limit))]
        numbers[name] = np.arange(len(blocks), len(blocks) + len(made))
        blocks += made
    answers = Continuations(blocks, np.ones(len(blocks), np.int64))
    return Material(
        _texts(blocks, encoder), answers, numbers["train"], numbers["validation"], numbers["test"]
    )


def blocks_in(tokens: int, limit: int) -> int:
    """How many blocks so many tokens are packed in; a last one of a single token is dropped."""
    return tokens // limit + (tokens % limit > 1)


def _texts(ids: Sequence[np.ndarray], encoder: Encoder) -> Texts:
    lengths = np.array([len(i) for i in ids], np.int64)
    cut = not torch.cuda.is_available() and int(lengths.max()) > SHORT
    return Texts(ids, encoder.pad, lengths, 8 if cut else 64)


def prompts_of(encoder: Encoder, data: Data, rows: IntArray, max_length: int) -> tuple[list[Ids], int]:
    """Prompts to be continued, and how many texts had to be cut at their end.

    A prompt has `max_length` tokens at most, and leaves room in the model's context for what is written.

    Raises:
        InputError: the context has no room for both.
    """
    examples, translations = data.examples, data.examples.translations
    assert translations is not None
    limit = min(max_length, encoder.context - translations.new_tokens)
    least = len(encoder.whole([translations.prompt("")])[0])
    if limit <= least:
        raise InputError(
            f"dataset.new_tokens: got {translations.new_tokens}; the model reads {encoder.context} tokens in "
            "all, which leaves no room for a text."
        )
    texts = [str(examples.inputs[row]) for row in rows.tolist()]
    prompts = encoder.whole([translations.prompt(text) for text in texts])
    cut = 0
    for i, text in enumerate(texts):
        if len(prompts[i]) > limit:
            kept = longest(partial(_fits, encoder, text, translations, limit), len(text)) or 0
            prompts[i] = encoder.whole([translations.prompt(text[:kept])])[0]
            cut += 1
    return prompts, cut


def _fits(encoder: Encoder, text: str, translations: Translations, limit: int, characters: int) -> bool:
    return len(encoder.whole([translations.prompt(text[:characters])])[0]) <= limit
