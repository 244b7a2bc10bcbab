"""What a run writes besides its model: predictions, and with which packages it was made."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path

from evenhand.finetune import Data, Job
from evenhand.tables.predictions import write_predictions
from evenhand.tables.schema import FloatArray, IntArray

_PACKAGES = ("evenhand", "torch", "transformers", "peft", "accelerate")


def write(path: Path, job: Job, data: Data, rows: IntArray, scores: FloatArray) -> None:
    """Write predictions of the validation and test rows.

    Args:
        path: of the file.
        job: names the columns arm, run and model.
        data: the rows.
        rows: [m] validation rows, then test rows.
        scores: [m, classes] their probabilities.
    """
    examples, validation = data.examples, len(data.parts.validation)
    write_predictions(
        path,
        [examples.ids[row] for row in rows.tolist()],
        ["validation"] * validation + ["test"] * (len(rows) - validation),
        examples.labels[rows],
        scores,
        examples.classes,
        [attribute.at(rows) for attribute in examples.attributes],
        names={"arm": job.arm, "run": str(job.seed), "model": job.model.label or job.model.name},
    )


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Names and versions of the packages that a run's numbers depend on."""
    return tuple((name, version(name)) for name in _PACKAGES)
