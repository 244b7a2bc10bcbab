"""The side on which a batch of texts is padded: the one that changes no prediction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.rnn import pad_sequence

from evenhand.errors import InputError
from evenhand.finetune.modeling.pretrained import PretrainedModel

#: Lengths of the two rows that are tried.
_SHORT, _LONG = 6, 12
#: Logits that differ by more than this depend on the padding; sums in another order differ by less.
_TOLERANCE = 1e-4


def pad(
    lines: Sequence[Sequence[int] | npt.NDArray[np.int64]], token: int, *, left: bool = False
) -> dict[str, torch.Tensor]:
    """Pad token ids to the longest line; return `input_ids` and `attention_mask` [m, longest]."""
    tensors = [torch.as_tensor(line) for line in lines]
    together = partial(pad_sequence, batch_first=True, padding_side="left" if left else "right")
    return {
        "input_ids": together(tensors, padding_value=token),
        "attention_mask": together([torch.ones_like(line) for line in tensors]),
    }


def pads_left(base: PretrainedModel, ids: Sequence[npt.NDArray[np.int64]], token: int) -> bool:
    """Find the side for padding: the right one, unless it changes the predictions of a padded text.

    A short text is classified alone, and beside a longer one. XLNet's head reads the last position, so that
    its texts are padded on the left.

    Args:
        base: the model, with a head.
        ids: token ids of each text.
        token: id for padding.

    Returns:
        True if texts have to be padded on the left.

    Raises:
        InputError: the predictions depend on the padding on either side, or change when they are repeated;
            or the model refuses the texts.
    """
    short = _shorten(min(ids, key=len), _SHORT)
    long = _shorten(max(ids, key=len), _LONG)
    if len(short) == len(long):
        return False

    def logits(left: bool, *rows: npt.NDArray[np.int64]) -> torch.Tensor:
        base.model.config.pad_token_id = token
        try:
            with torch.no_grad():
                result: Any = base.model(**pad(rows, token, left=left)).logits
        except ValueError as error:  # BART's head looks for the token that ends a text
            raise InputError(f"model '{base.path}': does not read these texts ({error}).") from None
        return result[0]

    alone = logits(False, short)
    if not _equal(alone, logits(False, short)):
        raise InputError(
            f"model '{base.path}': its predictions change when they are repeated, so that no two runs could "
            "be compared."
        )
    for left in (False, True):
        if _equal(alone, logits(left, short, long)):
            return left
    raise InputError(
        f"model '{base.path}': its predictions for a text depend on the padding, and thus on the other texts "
        "of a batch, whichever side is padded; such a model (without an attention mask, for example) cannot "
        "be compared row by row."
    )


def _shorten(ids: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return at most so many tokens of a text, with its last one, which some heads look for."""
    return ids if len(ids) <= most else np.concatenate([ids[: most - 1], ids[-1:]])


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE))
