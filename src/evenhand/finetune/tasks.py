"""Tasks: the training targets of a run, its validation, and the final predictions.

Methods, the loop and the checks are the same for all tasks. `ClassificationTask` predicts the class of a text
or picture; `GenerationTask` trains on the next token, and translates or scores answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from evenhand.finetune import Data, Job
from evenhand.finetune.hardware.parallel import copy_of
from evenhand.finetune.inputs.encoded_rows import EncodedRows, encode_rows
from evenhand.finetune.inputs.sequences import encode_sequences
from evenhand.finetune.inputs.targets import ClassTargets, TaskRows, TokenTargets
from evenhand.finetune.modeling.families import GENERATIVE_TASKS
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import write as writing
from evenhand.finetune.outputs.generate import translate
from evenhand.finetune.outputs.likelihoods import encode_choices, score_prompts
from evenhand.finetune.outputs.predict import accuracy_and_loss, probabilities, token_log_probs
from evenhand.tables.schema import FloatArray

#: Rows on which reloaded and merged models are compared with the trained one.
SAMPLE_ROWS = 16
#: Accuracy, None where nothing is classified, and mean loss.
Validator = Callable[[], tuple[float | None, float]]


@dataclass(frozen=True)
class TaskOutput:
    """Output of a trained model.

    Attributes:
        sample: probabilities for the sample of the task; the reloaded model is compared with them.
        write: writes the table of the run into its folder.
        remarks: notes for the user.
    """

    sample: FloatArray
    write: Callable[[Path], None]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """Classification of texts or pictures."""

    job: Job
    data: Data
    rows: TaskRows[ClassTargets]

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:
        """Return a function for accuracy and log loss on the validation rows; None without such rows."""
        rows = self.rows.validation
        if not len(rows):
            return None
        labels = self.data.examples.labels[rows]
        return lambda: accuracy_and_loss(
            probabilities(model, encoded, rows, accelerator, shared=True), labels
        )

    def sample_probabilities(
        self, model: Any, accelerator: Accelerator, *, exact: bool = False
    ) -> FloatArray:
        """Return probabilities [sample, classes] for a sample of the test rows; `exact` uses float32."""
        return probabilities(model, self.rows.encoded, self.rows.test[:SAMPLE_ROWS], accelerator, exact=exact)

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:
        """Predict validation and test rows."""
        validation, test = self.rows.validation, self.rows.test
        rows = np.concatenate([validation, test])
        scores = probabilities(model, encoded, rows, accelerator, shared=True)

        def write(folder: Path) -> None:
            writing.write(folder / writing.PREDICTIONS, self.job, self.data, rows, scores)

        return TaskOutput(scores[len(validation) :][:SAMPLE_ROWS], write)


@dataclass(frozen=True, eq=False)
class GenerationTask:
    """Generation: translations, or likelihoods of answers after training on plain text."""

    base: PretrainedModel
    job: Job
    data: Data
    rows: TaskRows[TokenTargets]

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:
        """Return a function for the mean loss of the targets of the validation rows; None without any."""
        rows = self.rows.validation
        if not len(rows):
            return None

        def measure() -> tuple[None, float]:
            log_probs = token_log_probs(model, encoded, self.rows.targets, rows, accelerator, shared=True)
            return None, float(-np.concatenate(log_probs).mean())

        return measure

    def sample_probabilities(
        self, model: Any, accelerator: Accelerator, *, exact: bool = False
    ) -> FloatArray:
        """Return probabilities [tokens] of the target tokens of a sample; `exact` uses float32."""
        rows = self.rows.test[:SAMPLE_ROWS]
        log_probs = token_log_probs(
            model, self.rows.encoded, self.rows.targets, rows, accelerator, exact=exact
        )
        probability: FloatArray = np.exp(np.concatenate(log_probs))
        return probability

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:
        """Translate the test rows, or score the answers to all prompts."""
        predictor = translate if self.data.examples.translations is not None else score_prompts
        write, remarks = predictor(self.base, self.job, self.data, copy_of(model), accelerator)
        return TaskOutput(self.sample_probabilities(model, accelerator), write, remarks)


Task = ClassificationTask | GenerationTask


def build_task(base: PretrainedModel, job: Job, data: Data) -> Task:
    """Build the task of a job.

    Raises:
        InputError: the rows, or the prompts about them, cannot be encoded for the model.
    """
    if data.examples.task in GENERATIVE_TASKS:
        if data.examples.prompts is not None:
            encode_choices(base, data, job.training.max_length)
        return GenerationTask(base, job, data, encode_sequences(base, data, job.training.max_length))
    encoded, parts = encode_rows(base, data.examples, job.training.max_length), data.parts
    targets = ClassTargets(data.examples.labels)
    rows = TaskRows(encoded, targets, parts.train, parts.validation, parts.test, encoded.remarks)
    return ClassificationTask(job, data, rows)
