"""Consistency of tokenizer and weights: every used token needs a row in the model's embedding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evenhand.errors import InputError

_MAX_LISTED = 5
#: Without any of these files, transformers builds a tokenizer with an empty vocabulary.
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")


def has_tokenizer(path: Path) -> bool:
    """Return True if a folder has the vocabulary of a tokenizer."""
    return any((path / name).is_file() for name in VOCABULARIES)


def rows_of(config: Any) -> int:
    """Return the number of rows of a model's embedding, from its configuration."""
    return int(config.get_text_config().vocab_size)


def positions_of(config: Any) -> int | None:
    """Return the number of positions of a model, from its configuration; None if it sets no limit."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions and positions > 0 else None


def tokens_without_rows(tokenizer: Any, rows: int) -> dict[int, str]:
    """Return the tokens without a row in an embedding of `rows` rows, by id."""
    return {int(i): str(token) for token, i in tokenizer.get_vocab().items() if i >= rows}


def check_tokens(tokenizer: Any, texts: Sequence[Iterable[int]], rows: int, path: str) -> None:
    """Check that the embedding has rows for all tokens of some texts.

    Args:
        tokenizer: of transformers.
        texts: token ids of each text.
        rows: number of rows of the embedding.
        path: folder of the model.

    Raises:
        InputError: a token has none; the message names the tokens, and both sizes.
    """
    missing = tokens_without_rows(tokenizer, rows)
    if not missing:
        return
    used = [missing.keys() & {int(i) for i in ids} for ids in texts]
    if ids_without_rows := sorted(set().union(*used)):
        affected = sum(bool(ids) for ids in used)
        raise InputError(
            f"model '{path}': its tokenizer does not fit its weights. The tokenizer has {len(tokenizer):,} "
            f"tokens, the embedding {rows:,} rows, and {affected:,} of {len(texts):,} texts have a token "
            f"without a row ({_join_tokens(missing, ids_without_rows)}). {_RESIZE}"
        )


def check_special_token(tokenizer: Any, kind: str, token: int, rows: int, path: str) -> None:
    """Check that the embedding has a row for a special token that every text has.

    Raises:
        InputError: it has none; the message names the token, and both sizes.
    """
    if token >= rows:
        shown = tokenizer.convert_ids_to_tokens(token)
        raise InputError(
            f"model '{path}': its tokenizer does not fit its weights. The tokenizer has {len(tokenizer):,} "
            f"tokens, the embedding {rows:,} rows, and none for its {kind} token {shown!r} ({token}). "
            f"{_RESIZE}"
        )


def choose_padding(tokenizer: Any, rows: int, ends: set[int]) -> tuple[int | None, str]:
    """Choose a token for padding, which is always masked.

    A pad token without a row in the embedding is replaced by one that has a row and does not end a text:
    heads that read the last token locate it as the last one other than padding.

    Args:
        tokenizer: of transformers.
        rows: number of rows of the embedding.
        ends: ids of the last tokens of the texts.

    Returns:
        The id, None if the tokenizer names no suitable token; and a remark if the pad token was replaced.
    """
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    named = pad if pad is not None else end
    if named is None or named < rows:
        return named, ""
    others = (end, tokenizer.unk_token_id, tokenizer.bos_token_id, *range(rows))
    free = next((i for i in others if i is not None and i < rows and i not in ends), None)
    if free is None:
        return None, ""
    was, now = tokenizer.convert_ids_to_tokens([named, free])
    return free, (
        f"its tokenizer pads with {was!r} ({named}), for which its embedding of {rows:,} rows has none: "
        f"texts are padded with {now!r} instead, which is masked"
    )


def _join_tokens(names: dict[int, str], every: Sequence[int]) -> str:
    """Join tokens with their ids for a sentence."""
    more = f", and {len(every) - _MAX_LISTED} more" if len(every) > _MAX_LISTED else ""
    return ", ".join(f"{names[i]!r} ({i})" for i in every[:_MAX_LISTED]) + more


_RESIZE = (
    "Use the tokenizer that belongs to the weights, or resize the embedding with transformers: "
    "model.resize_token_embeddings(len(tokenizer)), then save both."
)
