"""Token sequences for models that generate: pairs of text and translation, or blocks of plain text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evenhand.datasets import Examples, Translations
from evenhand.errors import InputError
from evenhand.finetune import Data
from evenhand.finetune.inputs.cache import cache_results
from evenhand.finetune.inputs.encoded_rows import SHORT_TEXT_TOKENS, Texts
from evenhand.finetune.inputs.encoder import Encoder, Ids, boundary, encoder_of, shorten
from evenhand.finetune.inputs.targets import TaskRows, TokenTargets
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.tables.schema import IntArray

Sequences = TaskRows[TokenTargets]


@cache_results
def encode_sequences(base: PretrainedModel, data: Data, max_length: int) -> Sequences:
    """Encode the rows of a study for a model that generates.

    Raises:
        InputError: its tokenizer cannot be used, or a translation exceeds the maximum length.
    """
    encoder = encoder_of(base)
    limit = min(max_length, encoder.context)
    if data.examples.translations is not None:
        return _encode_pairs(encoder, data, data.examples.translations, limit)
    return _pack_blocks(encoder, data, limit)


def _encode_pairs(encoder: Encoder, data: Data, translations: Translations, limit: int) -> Sequences:
    """Encode each row as prefix, text, separator, translation, end; only the last two are targets."""
    examples = data.examples
    ids, starts, cut, joined = [], [], 0, 0
    pairs = pair_ids(encoder, examples, translations, range(len(examples.ids)))
    too_long = []
    for row, pair in enumerate(pairs):
        is_long = len(pair[1]) > limit
        fitting = _shorten(encoder, examples, translations, row, limit) if is_long else pair
        if fitting is None:
            too_long.append(examples.ids[row])
            continue
        cut += is_long
        prompt, full = fitting
        start = boundary(prompt, [full])
        joined += start < len(prompt)
        ids.append(np.array(full, np.int64))
        starts.append(max(1, start))
    if too_long:
        raise InputError(
            f"{len(too_long):,} translations exceed {limit} tokens even with an empty source text (first: "
            f"'{too_long[0]}'); raise training.max_length, up to the model's {encoder.context}, or remove "
            "these rows."
        )
    remarks = []
    if cut:
        remarks.append(f"{cut:,} texts were cut at their end so that their translations fit {limit} tokens.")
    if joined:
        remarks.append(
            f"In {joined:,} pairs one token spans the end of the separator and the beginning of the "
            "translation; all of it is a target."
        )
    parts = data.parts
    targets = TokenTargets(ids, np.array(starts, np.int64))
    return TaskRows(_texts(ids, encoder), targets, parts.train, parts.validation, parts.test, tuple(remarks))


def pair_ids(
    encoder: Encoder, examples: Examples, translations: Translations, rows: Sequence[int] | range
) -> list[tuple[Ids, Ids]]:
    """Return each row's tokens: of its prompt (prefix, text, separator), and with translation and end."""
    prompts = [translations.prompt(str(examples.inputs[row])) for row in rows]
    fulls = [prompt + translations.learnt(row) for prompt, row in zip(prompts, rows, strict=True)]
    return [
        (prompt, [*full, encoder.end])
        for prompt, full in zip(encoder.encode(prompts), encoder.encode(fulls), strict=True)
    ]


def _shorten(
    encoder: Encoder, examples: Examples, translations: Translations, row: int, limit: int
) -> tuple[Ids, Ids] | None:
    """Truncate the text of a pair at its end, as little as necessary; None if the translation is too long."""
    learnt = translations.learnt(row)
    text = shorten(
        encoder, str(examples.inputs[row]), lambda part: translations.prompt(part) + learnt, limit - 1
    )
    if text is None:
        return None
    prompt, full = encoder.encode([translations.prompt(text), translations.prompt(text) + learnt])
    return prompt, [*full, encoder.end]


def _pack_blocks(encoder: Encoder, data: Data, limit: int) -> Sequences:
    """Pack the texts of each part, in order and each with its end, into blocks of `limit` tokens.

    The last block of a part has the remaining tokens; a single remaining token is dropped, as no token before
    it could predict it. Attention crosses the texts within a block. All tokens but the first of a block are
    targets.
    """
    if limit < 2:
        raise InputError(f"training.max_length: got {limit}; blocks of text need at least 2 tokens.")
    blocks: list[np.ndarray] = []
    positions = {}
    for name, rows in data.parts.named():
        texts = encoder.encode([str(data.examples.inputs[row]) for row in rows.tolist()])
        stream = np.array([token for ids in texts for token in (*ids, encoder.end)], np.int64)
        packed = [stream[i * limit : (i + 1) * limit] for i in range(blocks_in(len(stream), limit))]
        positions[name] = np.arange(len(blocks), len(blocks) + len(packed))
        blocks += packed
    targets = TokenTargets(blocks, np.ones(len(blocks), np.int64))
    return TaskRows(
        _texts(blocks, encoder), targets, positions["train"], positions["validation"], positions["test"]
    )


def blocks_in(tokens: int, limit: int) -> int:
    """Return the number of blocks for some tokens; a last block of a single token is dropped."""
    return tokens // limit + (tokens % limit > 1)


def _texts(ids: Sequence[np.ndarray], encoder: Encoder) -> Texts:
    lengths = np.array([len(i) for i in ids], np.int64)
    cut = not torch.cuda.is_available() and int(lengths.max()) > SHORT_TEXT_TOKENS
    return Texts(ids, encoder.pad, lengths, 8 if cut else 64)


def encode_prompts(encoder: Encoder, data: Data, rows: IntArray, max_length: int) -> tuple[list[Ids], int]:
    """Encode the prompts of some rows, and count the texts that were truncated at their end.

    A prompt has at most `max_length` tokens, and leaves room for `new_tokens` in the model's context.

    Raises:
        InputError: the context is too short for both.
    """
    examples, translations = data.examples, data.examples.translations
    assert translations is not None
    limit = min(max_length, encoder.context - translations.new_tokens)
    least = len(encoder.encode([translations.prompt("")])[0])
    if limit <= least:
        raise InputError(
            f"dataset.new_tokens: got {translations.new_tokens}; the model's context of {encoder.context} "
            "tokens leaves no room for a text."
        )
    texts = [str(examples.inputs[row]) for row in rows.tolist()]
    prompts = encoder.encode([translations.prompt(text) for text in texts])
    cut = 0
    for i, text in enumerate(texts):
        if len(prompts[i]) > limit:
            start = shorten(encoder, text, translations.prompt, limit) or ""
            prompts[i] = encoder.encode([translations.prompt(start)])[0]
            cut += 1
    return prompts, cut
