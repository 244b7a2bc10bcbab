"""Predictions of a ready model: load it, encode the rows as a run does, predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.datasets import Examples
from evenhand.finetune import Precision
from evenhand.finetune.hardware.devices import accelerator_of, precision_of
from evenhand.finetune.hardware.linears import onednn_linears
from evenhand.finetune.inputs.encoded_rows import Texts, encode_rows
from evenhand.finetune.inputs.passes import limit_rows_of_a_pass
from evenhand.finetune.modeling.ready import ReadySource, Reordered, load_ready
from evenhand.finetune.outputs import write as writing
from evenhand.finetune.outputs.predict import probabilities
from evenhand.tables.schema import FloatArray

__all__ = ["PredictSettings", "ReadySource", "predict_ready"]


@dataclass(frozen=True)
class PredictSettings:
    """Settings that can change a prediction; the same for every model that is compared.

    Attributes:
        precision: of the arithmetic.
        max_length: maximum number of tokens of a text.
        batch: maximum number of rows per forward pass; None for the usual number.
    """

    precision: Precision = "float32"
    max_length: int = 256
    batch: int | None = None


def predict_ready(
    source: ReadySource,
    examples: Examples,
    settings: PredictSettings,
    *,
    loaded: Callable[[], None] | None = None,
) -> tuple[FloatArray, dict[str, Any]]:
    """Predict all rows with a ready model.

    Args:
        source: the model.
        examples: the rows.
        settings: precision and lengths.
        loaded: called once the model and the rows are loaded, before it predicts.

    Returns:
        Probabilities [n, classes] in the order of the classes of the data; and facts for the record: what was
        loaded, versions, device, remarks.

    Raises:
        InputError: the model cannot be loaded, or does not fit the rows.
        FloatingPointError: a probability is NaN.
    """
    accelerator = accelerator_of(settings.precision)
    with limit_rows_of_a_pass(settings.batch):
        ready = load_ready(source, examples.task, examples.classes, settings.precision)
        encoded = encode_rows(ready.base, examples, settings.max_length)
        if isinstance(encoded, Texts):  # by which a head locates the last token
            ready.model.config.pad_token_id = encoded.pad
        if loaded is not None:
            loaded()
        model = Reordered(ready.model, ready.order).to(accelerator.device)
        try:
            with onednn_linears(model, accelerator):
                scores = probabilities(model, encoded, np.arange(len(examples.ids)), accelerator)
        finally:
            model.to("cpu")  # the checkpoint stays in the cache of this process
    facts = {
        **ready.facts,
        "remarks": [*ready.remarks, *encoded.remarks],
        "device": str(accelerator.device),
        "precision": precision_of(accelerator),
        "versions": dict(writing.versions()),
    }
    return scores, facts
