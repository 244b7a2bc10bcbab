"""Encoded rows in memory: token ids or pixels of a dataset, and batches of tensors from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from evenhand.datasets import Examples, Picture
from evenhand.errors import InputError
from evenhand.finetune.inputs.cache import cache_results
from evenhand.finetune.inputs.padding import pad, pads_left
from evenhand.finetune.modeling import processor, tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.tables.schema import IntArray

Inputs = dict[str, torch.Tensor]
_TEXT_BLOCK = 1000
#: Texts with at most this many tokens count as short.
SHORT_TEXT_TOKENS = 48


class EncodedRows(Protocol):
    """Rows of a dataset as inputs of a model.

    Attributes:
        lengths: [n] cost of each row: its number of tokens; all equal for pictures.
        micro_batch: default number of rows per forward pass in training.
    """

    @property
    def lengths(self) -> IntArray: ...  # noqa: D102

    @property
    def micro_batch(self) -> int: ...  # noqa: D102

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Return the tensors of some rows [m]; pictures are flipped left to right where `mirrored` [m]."""
        ...


@dataclass(frozen=True, eq=False)
class Texts:
    """Token ids; a batch is padded to its longest row.

    Attributes:
        ids: [n] token ids of each row.
        pad: id for padding.
        lengths: [n] number of tokens of each row.
        micro_batch: default number of rows per forward pass in training.
        remarks: notes for the user.
        left: pad on the left instead of the right.
    """

    ids: Sequence[npt.NDArray[np.int64]]
    pad: int
    lengths: IntArray
    micro_batch: int
    remarks: tuple[str, ...] = ()
    left: bool = False

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Return `input_ids` and `attention_mask` [m, longest row]."""
        return pad([self.ids[row] for row in rows.tolist()], self.pad, left=self.left)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pictures [n, height, width, channels] in the size of the model's inputs, stored as bytes.

    Attributes:
        pictures: bytes; floats if the model's processor cannot be split at bytes.
        values: [channels, 256] input value for every byte; None for floats, which are used unchanged.
        lengths: [n] all equal.
        micro_batch: default number of rows per forward pass in training.
        remarks: notes on the preparation of the pictures.
    """

    pictures: npt.NDArray[Any]
    values: npt.NDArray[np.float32] | None
    lengths: IntArray
    micro_batch: int = 64
    remarks: tuple[str, ...] = ()

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Return `pixel_values` [m, channels, height, width], equal to the model's processor's output."""
        pictures = self.pictures[rows]
        if mirrored is not None:
            pictures[mirrored] = pictures[mirrored, :, ::-1]
        if self.values is None:
            return {"pixel_values": torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))}
        return {"pixel_values": torch.from_numpy(processor.apply_byte_table(self.values, pictures))}


@dataclass(frozen=True, eq=False)
class Mirrored:
    """All pictures of some encoded rows, each flipped left to right."""

    encoded: EncodedRows

    @property
    def lengths(self) -> IntArray:
        """Those of the unflipped rows."""
        return self.encoded.lengths

    @property
    def micro_batch(self) -> int:
        """Those of the unflipped rows."""
        return self.encoded.micro_batch

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Return the tensors of some rows, all flipped; `mirrored` is ignored."""
        return self.encoded.take(rows, np.ones(len(rows), np.bool_))


def encode_rows(base: PretrainedModel, examples: Examples, max_length: int) -> Texts | Pixels:
    """Encode a dataset for a model; recent results are cached, independent of the split of the rows."""
    encoded = _encode(base, examples, max_length)
    if isinstance(encoded, Texts):
        # A head that reads the last token locates it as the last id other than this one.
        base.model.config.pad_token_id = encoded.pad
    return encoded


@cache_results
def _encode(base: PretrainedModel, examples: Examples, max_length: int) -> Texts | Pixels:
    """Encode texts as token ids, or pictures as pixels."""
    if examples.task == "text":
        return _encode_texts(base, cast(Sequence[str], examples.inputs), max_length)
    return _encode_pictures(base, cast(Sequence[Picture], examples.inputs))


def load_tokenizer(path: str) -> Any:
    """Load the tokenizer in a model's folder.

    Raises:
        InputError: the folder has none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415

    try:
        if not tokens.has_tokenizer(Path(path)):
            raise FileNotFoundError("found none of " + ", ".join(tokens.VOCABULARIES))
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"model '{path}': its tokenizer cannot be loaded ({why}); place tokenizer.json and "
            "tokenizer_config.json beside its weights."
        ) from None


def tokenize(tokenizer: Any, texts: Sequence[str], limit: int) -> list[npt.NDArray[np.int64]]:
    """Return the token ids of each text, truncated to `limit`."""
    ids: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(texts), _TEXT_BLOCK):
        block = tokenizer(list(texts[start : start + _TEXT_BLOCK]), truncation=True, max_length=limit)
        ids += [
            np.asarray(row_ids or [0], np.int64) for row_ids in block["input_ids"]
        ]  # no text, no token: any one
    return ids


def _encode_texts(base: PretrainedModel, texts: Sequence[str], max_length: int) -> Texts:
    tokenizer = load_tokenizer(base.path)
    limit = min(max_length, tokenizer.model_max_length)
    if (positions := tokens.positions_of(base.model.config)) is not None:
        # RoBERTa's first position is the number after that of its padding token.
        start_at = getattr(getattr(base.model.base_model, "embeddings", None), "padding_idx", None)
        limit = min(limit, positions - 1 - (-1 if start_at is None else start_at))
    ids = tokenize(tokenizer, texts, limit)
    rows = tokens.rows_of(base.model.config)
    tokens.check_tokens(tokenizer, ids, rows, base.path)
    token, remark = tokens.choose_padding(tokenizer, rows, {int(row_ids[-1]) for row_ids in ids})
    if token is None:
        raise InputError(
            f"model '{base.path}': its tokenizer has neither a pad nor an eos token; give it one."
        )
    lengths = np.array([len(i) for i in ids], np.int64)
    # On a CPU, padding costs more than another pass, unless all texts are short; on a GPU it costs little.
    small_batches = not torch.cuda.is_available() and int(lengths.max()) > SHORT_TEXT_TOKENS
    remarks = (f"model '{base.path}': {remark}.",) if remark else ()
    left = pads_left(base, ids, int(token))
    return Texts(ids, int(token), lengths, 8 if small_batches else 64, remarks, left)


def _encode_pictures(base: PretrainedModel, pictures: Sequence[Picture]) -> Pixels:
    """Resize and crop every picture once, with the checkpoint's own processor."""
    preparation = processor.load_preparation(Path(base.path), base.model.config, base.path)
    preparation = processor.fit_to_model(preparation, base.model, base.path)
    dtype = np.float32 if preparation.values is None else np.uint8
    shaped = np.empty((len(pictures), *preparation.size, preparation.channels), dtype)
    for i, picture in enumerate(pictures):
        shaped[i] = preparation.of(picture)
    return Pixels(shaped, preparation.values, np.ones(len(pictures), np.int64), remarks=preparation.remarks)
