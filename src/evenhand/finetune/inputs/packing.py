"""How many blocks plain text is packed in, before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.datasets import build_prompts
from evenhand.errors import InputError
from evenhand.finetune import Data, Model
from evenhand.finetune.estimate.shape import local_folder, shape_of
from evenhand.finetune.inputs.encoder import Encoder, encoder_in
from evenhand.finetune.inputs.sequences import blocks_in

#: Of English text, about.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class BlockCounts:
    """What a model reads of plain text.

    Attributes:
        limit: tokens of a block.
        blocks: by part; under `test` as many as have the tokens of all questions.
        counted: whether the model's own tokenizer counted them, which was at hand; else they are estimates.
    """

    limit: int
    blocks: Mapping[str, int]
    counted: bool


def count_blocks(model: Model, data: Data, max_length: int) -> BlockCounts:
    """Count the blocks of a study's texts; nothing is downloaded.

    Args:
        model: which one.
        data: texts and questions.
        max_length: most tokens of a block, if the model can read as many.
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
    """Tokens of texts with their ends; about, without an encoder."""
    if encoder is None:
        return sum(round(len(text) / CHARACTERS_PER_TOKEN) + 1 for text in texts)
    return sum(len(ids) + 1 for ids in encoder.encode(texts))


def _local_encoder(model: Model) -> Encoder | None:
    """The encoder of a model whose files are at hand; else None."""
    path = local_folder(model)
    try:
        return None if path is None else encoder_in(str(path), shape_of(model))
    except InputError:
        return None
