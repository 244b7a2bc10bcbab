"""Signals for membership inference: `signals.parquet`, and the ids of the training rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune import Data, Job
from evenhand.finetune.inputs.encoded_rows import EncodedRows, Mirrored
from evenhand.finetune.outputs.predict import logits
from evenhand.tables.io.write import write_atomic
from evenhand.tables.schema import FloatArray, IntArray
from evenhand.tables.signals.schema import write_signals


@dataclass(frozen=True, eq=False)
class Probe:
    """The attacked rows, in the views that training may have used.

    Attributes:
        encoded: all rows as inputs of the model.
        labels: [n] class of each row.
        rows: [m] attacked rows.
        flip: True if training mirrors pictures, so that each has two views.
        accelerator: device and precision.
    """

    encoded: EncodedRows
    labels: IntArray
    rows: IntArray
    flip: bool
    accelerator: Accelerator

    def margins(self, model: torch.nn.Module) -> FloatArray:
        """Compute the margins of a model in its current state.

        Returns:
            [m, views] the logit of the true class minus the logarithm of the summed exponentials of the
            others (Carlini et al. 2022, equation 4 in logits).

        Raises:
            FloatingPointError: a logit is NaN or infinite.
        """
        inputs = (self.encoded, Mirrored(self.encoded)) if self.flip else (self.encoded,)
        labels = self.labels[self.rows]
        views = [margins(logits(model, view, self.rows, self.accelerator), labels) for view in inputs]
        return np.stack(views, axis=1)


def build_probe(job: Job, data: Data, encoded: EncodedRows, accelerator: Accelerator) -> Probe | None:
    """Build the probe of a run; None for a run without an attack."""
    if data.attacked is None:
        return None
    flip = job.training.flip and data.examples.task == "image"
    return Probe(encoded, data.examples.labels, data.attacked, flip, accelerator)


def margins(values: FloatArray, labels: IntArray) -> FloatArray:
    """Compute the margin [m] of the true class: its logit minus the log-sum-exp of the other logits.

    Args:
        values: [m, classes] logits.
        labels: [m] true classes.
    """
    rows = np.arange(len(labels))
    others = values.copy()
    others[rows, labels] = -np.inf
    margin: FloatArray = values[rows, labels] - np.logaddexp.reduce(others, axis=1)
    return margin


def losses(margin: FloatArray) -> FloatArray:
    """Convert margins to cross-entropies (natural logarithm): log(1 + exp(-margin)), accurate near 0 too."""
    loss: FloatArray = np.logaddexp(0.0, -margin)
    return loss


def write(
    folder: Path, job: Job, data: Data, trained: IntArray, before: FloatArray, after: FloatArray
) -> None:
    """Write the signals of the attacked rows, and the ids of the training rows.

    Args:
        folder: of the run.
        job: a target or a reference of an attack.
        data: its rows.
        trained: rows that it was trained on.
        before: [m, views] margins of the attacked rows before training.
        after: [m, views] margins after training.
    """
    assert job.membership is not None
    assert data.attacked is not None
    examples, rows = data.examples, data.attacked
    ids = [examples.ids[row] for row in trained.tolist()]
    write_atomic(folder / "train_ids.json", json.dumps(ids, ensure_ascii=False))
    write_signals(
        folder / "signals.parquet",
        [examples.ids[row] for row in rows.tolist()],
        np.isin(rows, trained),
        losses(after),
        after,
        [attribute.at(rows) for attribute in examples.attributes],
        role=job.membership.role,
        base_loss=losses(before),
        names={"arm": job.arm, "run": job.run, "model": job.model.label or job.model.name},
    )
