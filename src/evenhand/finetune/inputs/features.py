"""Cached features of a frozen base, on which `head_only` trains.

The heads of most classifiers of transformers read one token of the base's last layer, or its pooled output.
`CachedBackbone` replaces the base and returns these, so that the model's own code, pooling and head included,
runs on the stored features. The token is found by comparing the logits of two rows; a head that reads more
than one token is trained without stored features. A frozen base runs without dropout; dropout in the head
stays random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from evenhand.finetune.hardware.devices import all_reduce_sum
from evenhand.finetune.hardware.linears import onednn_linears
from evenhand.finetune.inputs.cache import cache_results
from evenhand.finetune.inputs.encoded_rows import EncodedRows, Inputs, Mirrored, Pixels, Texts
from evenhand.finetune.inputs.passes import in_batches
from evenhand.finetune.modeling.checkpoint import is_adapted
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.tables.schema import IntArray

#: An id other than padding, for the single position of a stored row.
_NO_PADDING_ID = 1
#: Logits that differ by at most this much, absolutely or relatively, differ only in the order of sums.
_SAME = 1e-5
#: Errors of a base or a head that does not run on other inputs than its model's own.
_MISFITS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
Token = Literal["first", "last"]


class BackboneOutput:
    """Output of a base: its hidden states and pooled output; all other fields are None."""

    def __init__(self, hidden: torch.Tensor | None, pooled: torch.Tensor | None) -> None:
        self.last_hidden_state, self.pooler_output = hidden, pooled

    def __getitem__(self, index: int | slice) -> Any:
        """Index like a tuple, as older families do."""
        return (self.last_hidden_state, self.pooler_output)[index]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class CachedBackbone(torch.nn.Module):
    """Replaces a base: returns the features that were assigned to it."""

    def __init__(self, base: torch.nn.Module) -> None:
        super().__init__()
        self.config = base.config
        self.hidden: torch.Tensor | None = None
        self.pooled: torch.Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> BackboneOutput:
        """Return the stored output of the base for the current rows."""
        return BackboneOutput(self.hidden, self.pooled)


@dataclass(frozen=True, eq=False)
class Features:
    """Stored features, as inputs of a model with a `CachedBackbone`.

    Attributes:
        hidden: [n, 1, width] hidden state of the token that the head reads.
        pooled: [n, width] pooled output of the base, or None.
        pad: token id for padding, or None for pictures.
        mirrored: the features of the mirrored pictures, if needed.
        micro_batch: default number of rows per forward pass in training.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor | None
    pad: int | None
    mirrored: Features | None = None
    micro_batch: int = 1024

    @property
    def lengths(self) -> IntArray:
        """Lengths [n] of the rows: one token each."""
        return np.ones(len(self.hidden), np.int64)

    def take(self, rows: IntArray, mirrored: npt.NDArray[np.bool_] | None = None) -> Inputs:
        """Return the features of some rows, by the argument names of `ModelOnCachedFeatures.forward`."""
        index = torch.from_numpy(rows)
        inputs = {"hidden": self.hidden[index]}
        if self.pooled is not None:
            inputs["pooled"] = self.pooled[index]
        if mirrored is None or self.mirrored is None:
            return inputs
        mirror_inputs, chosen = self.mirrored.take(rows), torch.from_numpy(mirrored)
        for name, values in inputs.items():
            values[chosen] = mirror_inputs[name][chosen]
        return inputs


class ModelOnCachedFeatures(torch.nn.Module):
    """A model whose base is replaced by stored features; its head is unchanged."""

    def __init__(self, model: PreTrainedModel, backbone: str, features: Features) -> None:
        super().__init__()
        self.name = backbone
        self.backbone = getattr(model, backbone)
        self.model = model
        self.cached = CachedBackbone(self.backbone)
        self.stored = features
        setattr(model, backbone, self.cached)

    def forward(self, hidden: torch.Tensor, pooled: torch.Tensor | None = None) -> Any:
        """Run the head on features [rows, 1, width] and pooled outputs [rows, width]."""
        self.cached.hidden, self.cached.pooled = hidden, pooled
        rows = hidden.shape[0]
        if self.stored.pad is None:
            return self.model(pixel_values=hidden)
        token = _NO_PADDING_ID if self.stored.pad != _NO_PADDING_ID else _NO_PADDING_ID + 1
        ids = torch.full((rows, 1), token, dtype=torch.long, device=hidden.device)
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids))

    def restored(self) -> PreTrainedModel:
        """Put the base back, and return the model."""
        setattr(self.model, self.name, self.backbone)
        return self.model


def reader_of(
    base: PretrainedModel, model: Any, encoded: Texts | Pixels, accelerator: Accelerator, *, flip: bool
) -> tuple[Any, EncodedRows]:
    """Return the model to train and its inputs: features, computed once, if only the head is trained."""
    if is_adapted(model) or not cacheable(base, model):
        return model, encoded
    token = token_read_by_head(base, encoded)
    if token is None:
        return model, encoded
    stored = features_of(base, encoded, token, accelerator, flip=flip)
    return ModelOnCachedFeatures(model, base.roles.backbone, stored), stored


def cacheable(base: PretrainedModel, model: torch.nn.Module) -> bool:
    """Return True if all trained parameters come after the base."""
    inside = f"{base.roles.backbone}."
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    return bool(trained) and not any(name.startswith(inside) for name in trained)


@cache_results
def token_read_by_head(base: PretrainedModel, encoded: Texts | Pixels) -> Token | None:
    """Find the token that the head reads of the base's output, beside the pooled output.

    For the shortest and the longest row, the logits of the whole model are compared with those of the head on
    stored features.

    Returns:
        `first`, also for a head that reads only the pooled output; `last`, the last token other than padding;
        None if neither gives the model's logits.
    """
    rows = np.unique([int(np.argmin(encoded.lengths)), int(np.argmax(encoded.lengths))])
    inputs, pad = encoded.take(rows), _pad_of(base, encoded)
    tokens: tuple[Token, ...] = ("first", "last") if isinstance(encoded, Texts) else ("first",)
    with torch.no_grad():
        expected = base.model(**inputs).logits
        for token in tokens:
            try:
                out = base.model.get_submodule(base.roles.backbone)(**inputs)
                reader = ModelOnCachedFeatures(
                    base.model, base.roles.backbone, Features(*_select(out, inputs, pad, token), pad)
                )
            except _MISFITS:
                return None  # the base alone does not run on these inputs, or has no such output
            try:
                logits = reader(reader.stored.hidden, reader.stored.pooled).logits
            except _MISFITS:
                continue  # the head needs what the features lack
            finally:
                reader.restored()
            if logits.shape == expected.shape and torch.allclose(logits, expected, rtol=_SAME, atol=_SAME):
                return token
    return None


@cache_results
def features_of(
    base: PretrainedModel, encoded: Texts | Pixels, token: Token, accelerator: Accelerator, *, flip: bool
) -> Features:
    """Run the base once over all rows, and over the mirrored pictures if training mirrors some."""
    model, pad = base.model.get_submodule(base.roles.backbone), _pad_of(base, encoded)
    model.to(accelerator.device)
    try:
        with onednn_linears(model, accelerator):
            straight = _read(model, encoded, pad, token, accelerator)
            mirrored = None
            if flip and isinstance(encoded, Pixels):
                mirrored = _read(model, Mirrored(encoded), pad, token, accelerator)
    finally:
        model.to("cpu")
    return replace(straight, mirrored=mirrored)


def _pad_of(base: PretrainedModel, encoded: Texts | Pixels) -> int | None:
    """Return the token for padding by which a head locates the last token; None for pictures."""
    return getattr(base.model.config, "pad_token_id", None) if isinstance(encoded, Texts) else None


def _read(
    model: torch.nn.Module, encoded: EncodedRows, pad: int | None, token: Token, accelerator: Accelerator
) -> Features:
    """Compute the features of every row."""
    n = len(encoded.lengths)
    stored: list[npt.NDArray[np.float32]] = []
    with torch.no_grad():
        for rows, inputs in in_batches(encoded, np.arange(n), accelerator, shared=True):
            with accelerator.autocast():
                out = model(**inputs)
            parts = [part for part in _select(out, inputs, pad, token) if part is not None]
            stored = stored or [np.zeros((n, *part.shape[1:]), np.float32) for part in parts]
            for values, part in zip(stored, parts, strict=True):
                values[rows] = part[: len(rows)].cpu().numpy()
    if not stored:
        raise ValueError("the dataset has no rows")
    hidden, *pooled = (torch.from_numpy(all_reduce_sum(values, accelerator)) for values in stored)
    return Features(hidden, pooled[0] if pooled else None, pad)


def _select(
    out: Any, inputs: Inputs, pad: int | None, token: Token
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the hidden state of one token per row [m, 1, ...], and the pooled output [m, ...] or None."""
    states = out.last_hidden_state.float()
    position = torch.zeros(len(states), dtype=torch.long, device=states.device)
    if token == "last":  # as transformers locates it: by the token, not by the mask
        is_text = inputs["input_ids"].ne(-1 if pad is None else pad)
        position = (torch.arange(is_text.shape[1], device=is_text.device) * is_text).argmax(-1)
    pooled = getattr(out, "pooler_output", None)
    read = states[torch.arange(len(states), device=position.device), position][:, None]
    return read, None if pooled is None else pooled.float()
