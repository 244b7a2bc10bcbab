"""Tokens of texts for models that generate: first and last tokens, and the boundary of an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evenhand.errors import InputError
from evenhand.finetune.inputs.cache import cache_results
from evenhand.finetune.inputs.encoded_rows import load_tokenizer
from evenhand.finetune.modeling import tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel

#: Ids of tokens.
Ids = list[int]
_TEXT_BLOCK = 1000


@dataclass(frozen=True, eq=False)
class Encoder:
    """A tokenizer with the facts that a model that generates needs.

    Attributes:
        tokenizer: of transformers.
        first: the token at the beginning of each text; empty if it has none.
        end: the token that ends a text.
        pad: a token for padding, which is always masked.
        context: maximum number of tokens of the model.
        rows: number of rows of the model's embedding.
        path: folder of the model's files.
    """

    tokenizer: Any
    first: tuple[int, ...]
    end: int
    pad: int
    context: int
    rows: int
    path: str

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of each text, with the first token and without an end.

        Raises:
            InputError: the embedding has no row for one of the tokens.
        """
        sequences: list[Ids] = []
        for start in range(0, len(texts), _TEXT_BLOCK):
            block = list(texts[start : start + _TEXT_BLOCK])
            encoded = self.tokenizer(block, add_special_tokens=False, truncation=False, verbose=False)
            sequences += [[*self.first, *ids] for ids in encoded["input_ids"]]
        if self.has_tokens_without_rows:
            tokens.check_tokens(self.tokenizer, sequences, self.rows, self.path)
        return sequences

    @cached_property
    def has_tokens_without_rows(self) -> bool:
        """True if the tokenizer has tokens without a row in the embedding."""
        return bool(tokens.tokens_without_rows(self.tokenizer, self.rows))

    def decode(self, ids: Ids) -> str:
        """Return the text of some tokens, without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@cache_results
def encoder_of(base: PretrainedModel) -> Encoder:
    """Build the encoder of a loaded model.

    Raises:
        InputError: its tokenizer cannot be loaded, or has no token that ends a text.
    """
    return encoder_in(base.path, base.model.config)


def encoder_in(path: str, config: Any) -> Encoder:
    """Build the encoder of a model from its folder, without loading the model.

    Args:
        path: folder with the files of its tokenizer.
        config: the model's configuration.

    Raises:
        InputError: its tokenizer cannot be loaded, has no token that ends a text, or has one without a row.
    """
    tokenizer = load_tokenizer(path)
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"model '{path}': its tokenizer has no eos token, which marks the end of a text; give it one."
        )
    empty = tokenizer("")["input_ids"]
    begins = bool(empty) and tokenizer.bos_token_id is not None and empty[0] == tokenizer.bos_token_id
    end = int(tokenizer.eos_token_id)
    rows = tokens.rows_of(config)
    tokens.check_special_token(tokenizer, "eos", end, rows, path)
    if begins:
        tokens.check_special_token(tokenizer, "bos", int(tokenizer.bos_token_id), rows, path)
    pad = tokenizer.pad_token_id
    most = tokens.positions_of(config) or tokenizer.model_max_length
    return Encoder(
        tokenizer=tokenizer,
        first=(int(tokenizer.bos_token_id),) if begins else (),
        end=end,
        pad=end if pad is None or pad >= rows else int(pad),
        context=min(int(most), int(tokenizer.model_max_length)),
        rows=rows,
        path=path,
    )


def boundary(prompt: Ids, continued: Sequence[Ids]) -> int:
    """Return the number of leading tokens that a prompt shares with all texts that continue it.

    A tokenizer may merge the end of a prompt and the beginning of a continuation into one token. Scoring and
    training then start before that token, at the same position for all continuations of a prompt: the
    likelihoods of answers are comparable only if they are conditioned on the same tokens.

    Args:
        prompt: tokens of the prompt alone.
        continued: tokens of the prompt with each continuation.
    """
    shared = len(prompt)
    for ids in continued:
        n = min(shared, len(ids))
        shared = next((i for i in range(n) if prompt[i] != ids[i]), n)
    return shared


def shorten(encoder: Encoder, text: str, build: Callable[[str], str], limit: int) -> str | None:
    """Truncate a text at its end, as little as necessary; None if even an empty text is too long.

    Found by bisection: the start of a text that fits has to fit too.

    Args:
        encoder: the tokenizer.
        text: the text.
        build: returns what is encoded, given the truncated text.
        limit: maximum number of tokens of `build(text)`.
    """

    def fits(characters: int) -> bool:
        return len(encoder.encode([build(text[:characters])])[0]) <= limit

    if not fits(0):
        return None
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return text[:low]
