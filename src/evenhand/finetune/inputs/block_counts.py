"""Number of blocks of packed plain text, counted before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.datasets import build_prompts
from evenhand.errors import InputError
from evenhand.finetune import Data, Model
from evenhand.finetune.estimate.shape import local_folder, shape_of
from evenhand.finetune.inputs.encoder import Encoder, encoder_in
from evenhand.finetune.inputs.sequences import blocks_in

#: Typical of English text.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class BlockCounts:
    """Number of blocks of packed plain text.

    Attributes:
        limit: tokens of a block.
        blocks: number of blocks by part; `test` covers the tokens of all prompts.
        counted: True if the model's own tokenizer counted the tokens; False for estimates.
    """

    limit: int
    blocks: Mapping[str, int]
    counted: bool


def count_blocks(model: Model, data: Data, max_length: int) -> BlockCounts:
    """Count the blocks of a study's texts; nothing is downloaded.

    Args:
        model: the base model.
        data: texts and prompts.
        max_length: maximum number of tokens of a block, bounded by the context of the model.
    """
    encoder = _local_encoder(model)
    limit = max(2, min(max_length, encoder.context) if encoder else max_length)
    blocks = {
        name: blocks_in(
            _count_tokens(encoder, [str(data.examples.inputs[row]) for row in rows.tolist()]), limit
        )
        for name, rows in data.parts.named()
    }
    questions = build_prompts(data.examples, data.parts)
    read = [f"{q.form.before}{q.text}{q.form.after}{''.join(q.form.answers)}" for q in questions]
    return BlockCounts(
        limit, {**blocks, "test": -(-_count_tokens(encoder, read) // limit)}, encoder is not None
    )


def _count_tokens(encoder: Encoder | None, texts: list[str]) -> int:
    """Count the tokens of texts, each with its end; estimate them without an encoder."""
    if encoder is None:
        return sum(round(len(text) / CHARACTERS_PER_TOKEN) + 1 for text in texts)
    return sum(len(ids) + 1 for ids in encoder.encode(texts))


def _local_encoder(model: Model) -> Encoder | None:
    """Return the encoder of a model with local files; else None."""
    path = local_folder(model)
    try:
        return None if path is None else encoder_in(str(path), shape_of(model))
    except InputError:
        return None
