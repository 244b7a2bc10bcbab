"""What a model reads, ready in memory: tokens, pixels, or features; rows in, tensors out."""

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
from evenhand.finetune.inputs.cache import kept
from evenhand.finetune.modeling import processor, tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.tables.schema import IntArray

Inputs = dict[str, torch.Tensor]
_TEXT_BLOCK = 1000
#: Texts of at most so many tokens are all short.
SHORT = 48


class Feed(Protocol):
    """Rows of a dataset in the form that a model reads.

    Attributes:
        lengths: [n] how much work a row is: its tokens; all the same for pictures.
        micro_batch: rows per forward pass in training, when nobody says.
    """

    @property
    def lengths(self) -> IntArray: ...  # noqa: D102

    @property
    def micro_batch(self) -> int: ...  # noqa: D102

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Tensors for some rows; pictures of `mirrored` rows are turned left to right."""
        ...


@dataclass(frozen=True, eq=False)
class Texts:
    """Token ids, padded on the right to the longest row of a batch; and what is worth knowing of them."""

    ids: Sequence[npt.NDArray[np.int64]]
    pad: int
    lengths: IntArray
    micro_batch: int
    remarks: tuple[str, ...] = ()

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Ids and attention mask of some rows."""
        longest = int(self.lengths[rows].max())
        ids = np.full((len(rows), longest), self.pad, np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for i, row in enumerate(rows.tolist()):
            n = len(self.ids[row])
            ids[i, :n], mask[i, :n] = self.ids[row], 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pictures [n, height, width, channels] in the shape that the model reads, kept as bytes.

    Attributes:
        pictures: bytes; floats where the model's processor does not go by way of bytes.
        values: [channels, 256] what the model reads of every byte; None of floats, which stay as they are.
        lengths: [n] all the same.
        micro_batch: as of every feed.
        remarks: what is worth knowing of how they were prepared.
    """

    pictures: npt.NDArray[Any]
    values: npt.NDArray[np.float32] | None
    lengths: IntArray
    micro_batch: int = 64
    remarks: tuple[str, ...] = ()

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Pixels of some rows, as the model's processor gives them."""
        pictures = self.pictures[rows]
        if mirrored is not None:
            pictures[mirrored] = pictures[mirrored, :, ::-1]
        if self.values is None:
            return {"pixel_values": torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))}
        return {"pixel_values": torch.from_numpy(processor.looked_up(self.values, pictures))}


@dataclass(frozen=True, eq=False)
class Mirrored:
    """All pictures, every one turned left to right."""

    feed: Feed

    @property
    def lengths(self) -> IntArray:
        """As of the feed."""
        return self.feed.lengths

    @property
    def micro_batch(self) -> int:
        """As of the feed."""
        return self.feed.micro_batch

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Some rows, turned whatever is asked."""
        return self.feed.take(rows, np.ones(len(rows), np.bool_))


def feed_of(base: PretrainedModel, examples: Examples, max_length: int) -> Texts | Pixels:
    """Encode a dataset for a model; the work of the last ones is kept, however the rows are split."""
    feed = _encoded(base, examples, max_length)
    if isinstance(feed, Texts):
        # A head that reads the last token finds it by this number.
        base.model.config.pad_token_id = feed.pad
    return feed


@kept
def _encoded(base: PretrainedModel, examples: Examples, max_length: int) -> Texts | Pixels:
    """Tokens or pixels."""
    if examples.task == "text":
        return _texts(base, cast(Sequence[str], examples.inputs), max_length)
    return _pixels(base, cast(Sequence[Picture], examples.inputs))


def tokenizer_of(place: str) -> Any:  # noqa: ANN401
    """The tokenizer in a model's folder.

    Raises:
        InputError: there is none.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415

    # Without any of these, transformers makes up a tokenizer that knows no word.
    known = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")
    try:
        if not any((Path(place) / name).is_file() for name in known):
            raise FileNotFoundError("there is none of " + ", ".join(known))
        return AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"model '{place}': its tokenizer cannot be loaded ({why}); place tokenizer.json and "
            "tokenizer_config.json beside its weights."
        ) from None


def encoded(tokenizer: Any, texts: Sequence[str], limit: int) -> list[npt.NDArray[np.int64]]:  # noqa: ANN401
    """Tokens of texts, at most so many of each."""
    ids: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(texts), _TEXT_BLOCK):
        block = tokenizer(list(texts[start : start + _TEXT_BLOCK]), truncation=True, max_length=limit)
        ids += [np.asarray(one or [0], np.int64) for one in block["input_ids"]]  # no text, no token: any one
    return ids


def _texts(base: PretrainedModel, texts: Sequence[str], max_length: int) -> Texts:
    tokenizer = tokenizer_of(base.place)
    most = getattr(base.model.config, "max_position_embeddings", max_length)
    # RoBERTa's first position is the number after that of its padding token.
    start_at = getattr(getattr(base.model.base_model, "embeddings", None), "padding_idx", -1)
    limit = min(max_length, most - start_at - 1, tokenizer.model_max_length)
    ids = encoded(tokenizer, texts, limit)
    rows = tokens.rows_of(base.model.config)
    tokens.refuse_spare(tokenizer, ids, rows, base.place)
    pad, remark = tokens.padding(tokenizer, rows, {int(one[-1]) for one in ids})
    if pad is None:
        raise InputError(
            f"model '{base.place}': its tokenizer has neither a pad nor an eos token; give it one."
        )
    lengths = np.array([len(i) for i in ids], np.int64)
    # On a CPU, padding costs more than another pass, unless all texts are short; on a GPU it is free.
    cut = not torch.cuda.is_available() and int(lengths.max()) > SHORT
    told = (f"model '{base.place}': {remark}.",) if remark else ()
    return Texts(ids, int(pad), lengths, 8 if cut else 64, told)


def _pixels(base: PretrainedModel, pictures: Sequence[Picture]) -> Pixels:
    """Shape every picture once, as the checkpoint's own processor does."""
    found = processor.preparation_in(Path(base.place), base.model.config, base.place)
    found = processor.fitted(found, base.model, base.place)
    kind = np.float32 if found.values is None else np.uint8
    shaped = np.empty((len(pictures), *found.size, found.channels), kind)
    for i, picture in enumerate(pictures):
        shaped[i] = found.of(picture)
    return Pixels(shaped, found.values, np.ones(len(pictures), np.int64), remarks=found.remarks)
