"""What a model reads, ready in memory: tokens, pixels, or features; rows in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from evenhand.datasets import Examples, Picture, rgb
from evenhand.errors import InputError
from evenhand.finetune.inputs.cache import kept
from evenhand.finetune.modeling import tokens
from evenhand.finetune.modeling.pretrained import Base, processor_of
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
    """Decoded pictures [n, height, width, 3] of the model's size, kept as bytes."""

    pictures: npt.NDArray[np.uint8]
    scale: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    lengths: IntArray
    micro_batch: int = 64

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Pixels of some rows, scaled as the model's processor does."""
        pictures = self.pictures[rows]
        if mirrored is not None:
            pictures[mirrored] = pictures[mirrored, :, ::-1]
        values = pictures.astype(np.float32) * self.scale + self.shift
        return {"pixel_values": torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))}


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


def feed_of(base: Base, examples: Examples, max_length: int) -> Texts | Pixels:
    """Encode a dataset for a model; the work of the last ones is kept, however the rows are split."""
    feed = _encoded(base, examples, max_length)
    if isinstance(feed, Texts):
        # A head that reads the last token finds it by this number.
        base.model.config.pad_token_id = feed.pad
    return feed


@kept
def _encoded(base: Base, examples: Examples, max_length: int) -> Texts | Pixels:
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


def _texts(base: Base, texts: Sequence[str], max_length: int) -> Texts:
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


def _pixels(base: Base, pictures: Sequence[Picture]) -> Pixels:
    said = processor_of(base)
    side = base.model.config.image_size
    high, wide = (side, side) if isinstance(side, int) else side
    mean = np.array(said.get("image_mean") or (0.5, 0.5, 0.5), np.float32)
    deviation = np.array(said.get("image_std") or (0.5, 0.5, 0.5), np.float32)
    if not said.get("do_normalize", True):
        mean, deviation = np.zeros(3, np.float32), np.ones(3, np.float32)
    factor = np.float32(said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1)
    resample = int(said.get("resample", 2))
    decoded = np.empty((len(pictures), high, wide, 3), np.uint8)
    for i, picture in enumerate(pictures):
        decoded[i] = _decode(picture, (wide, high), resample)
    return Pixels(decoded, factor / deviation, -mean / deviation, np.ones(len(pictures), np.int64))


def _decode(picture: Picture, size: tuple[int, int], resample: int) -> npt.NDArray[np.uint8]:
    from PIL import Image  # noqa: PLC0415

    image = rgb(picture)
    if image.size != size:
        image = image.resize(size, Image.Resampling(resample))
    return np.asarray(image)
