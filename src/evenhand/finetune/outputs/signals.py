"""What a model's answers give away of its training rows: `signals.parquet`, and the ids of these rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune import Data, Job
from evenhand.finetune.inputs.batches import EncodedRows, Mirrored
from evenhand.finetune.outputs.predict import logits
from evenhand.tables.io.write import write_atomic
from evenhand.tables.schema import FloatArray, IntArray
from evenhand.tables.signals.schema import write_signals


@dataclass(frozen=True, eq=False)
class Probe:
    """The rows that a run is asked about, in the views in which it may have seen them.

    Attributes:
        encoded: all rows in the form that the model reads.
        labels: [n] class of each row.
        rows: [m] which are asked about.
        flip: whether pictures are mirrored in training, so that each is asked about twice.
        accelerator: device and precision.
    """

    encoded: EncodedRows
    labels: IntArray
    rows: IntArray
    flip: bool
    accelerator: Accelerator

    def margins(self, model: torch.nn.Module) -> FloatArray:
        """Ask a model, as it is now.

        Returns:
            [m, views] the logit of the true class less the logarithm of the summed exponentials of the
            others (Carlini et al. 2022, equation 4 in logits).

        Raises:
            FloatingPointError: a logit is no number.
        """
        inputs = (self.encoded, Mirrored(self.encoded)) if self.flip else (self.encoded,)
        labels = self.labels[self.rows]
        views = [margins(logits(model, view, self.rows, self.accelerator), labels) for view in inputs]
        return np.stack(views, axis=1)


def build_probe(job: Job, data: Data, encoded: EncodedRows, accelerator: Accelerator) -> Probe | None:
    """How to ask a run's model about the rows that are attacked; None where nobody attacks it."""
    if data.attacked is None:
        return None
    flip = job.training.flip and data.examples.task == "image"
    return Probe(encoded, data.examples.labels, data.attacked, flip, accelerator)


def margins(values: FloatArray, labels: IntArray) -> FloatArray:
    """[m] logit of the true class against the rest.

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
    """Cross-entropies (natural logarithm) that belong to margins: log(1 + exp(-margin)), exact near 0 too."""
    loss: FloatArray = np.logaddexp(0.0, -margin)
    return loss


def write(
    folder: Path, job: Job, data: Data, trained: IntArray, before: FloatArray, after: FloatArray
) -> None:
    """Write what a run's model says of the attacked rows, and which rows it has learnt from.

    Args:
        folder: of the run.
        job: a run that is attacked, or that an attack learns from.
        data: its rows.
        trained: rows that it was trained on.
        before: [m, views] margins of the attacked rows before training.
        after: the same after training.
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
