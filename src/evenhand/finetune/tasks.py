"""Tasks: the training targets of a run, its validation, and the final predictions.

Methods, the loop and the checks are the same for all tasks. `ClassificationTask` predicts the class of a text
or picture; `GenerationTask` trains on the next token, and translates or scores answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from accelerate import Accelerator

from evenhand.finetune import Data, Job
from evenhand.finetune.hardware.parallel import copy_of
from evenhand.finetune.inputs.encoded_rows import EncodedRows, encode_rows
from evenhand.finetune.inputs.sequences import EncodedSequences, encode_sequences
from evenhand.finetune.inputs.targets import ClassTargets, Targets
from evenhand.finetune.modeling.families import GENERATIVE_TASKS
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import write as writing
from evenhand.finetune.outputs.generate import translate
from evenhand.finetune.outputs.likelihoods import encode_choices, score_prompts
from evenhand.finetune.outputs.predict import accuracy_and_loss, probabilities, token_log_probs
from evenhand.tables.schema import FloatArray, IntArray

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


class Task(Protocol):
    """The task of a run.

    Attributes:
        encoded: all rows as inputs of the model.
        targets: the expected output for every row.
        train: [m] rows to train on.
        remarks: notes for the user.
    """

    @property
    def encoded(self) -> Any: ...  # noqa: ANN401, D102

    @property
    def targets(self) -> Targets: ...  # noqa: D102

    @property
    def train(self) -> IntArray: ...  # noqa: D102

    @property
    def remarks(self) -> tuple[str, ...]: ...  # noqa: D102

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:  # noqa: ANN401
        """Return a function that evaluates the model on the validation rows; None without such rows."""
        ...

    def sample_probabilities(
        self,
        model: Any,  # noqa: ANN401
        accelerator: Accelerator,
        *,
        exact: bool = False,
    ) -> FloatArray:
        """Return probabilities for a sample of the test rows; `exact` computes them in float32."""
        ...

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Compute all outputs of the trained model for the tables of the run."""
        ...


def build_task(base: PretrainedModel, job: Job, data: Data) -> Task:
    """Build the task of a job.

    Raises:
        InputError: the rows, or the prompts about them, cannot be encoded for the model.
    """
    if data.examples.task in GENERATIVE_TASKS:
        if data.examples.prompts is not None:
            encode_choices(base, data, job.training.max_length)
        return GenerationTask(base, job, data, encode_sequences(base, data, job.training.max_length))
    encoded = encode_rows(base, data.examples, job.training.max_length)
    return ClassificationTask(job, data, encoded, getattr(encoded, "remarks", ()))


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """Classification of texts or pictures."""

    job: Job
    data: Data
    encoded: Any
    remarks: tuple[str, ...] = ()

    @property
    def targets(self) -> ClassTargets:
        """The label of every row."""
        return ClassTargets(self.data.examples.labels)

    @property
    def train(self) -> IntArray:
        """The training rows."""
        return self.data.parts.train

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:  # noqa: ANN401
        """Return a function for accuracy and log loss on the validation rows."""
        rows = self.data.parts.validation
        if not len(rows):
            return None
        labels = self.data.examples.labels[rows]
        return lambda: accuracy_and_loss(
            probabilities(model, encoded, rows, accelerator, shared=True), labels
        )

    def sample_probabilities(
        self,
        model: Any,  # noqa: ANN401
        accelerator: Accelerator,
        *,
        exact: bool = False,
    ) -> FloatArray:
        """Return probabilities [sample, classes]."""
        return probabilities(
            model, self.encoded, self.data.parts.test[:SAMPLE_ROWS], accelerator, exact=exact
        )

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Predict validation and test rows."""
        validation, test = self.data.parts.validation, self.data.parts.test
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
    sequences: EncodedSequences

    @property
    def encoded(self) -> EncodedRows:
        """Token sequences of all rows."""
        return self.sequences.encoded

    @property
    def targets(self) -> Targets:
        """The next tokens."""
        return self.sequences.targets

    @property
    def train(self) -> IntArray:
        """Positions of the training sequences."""
        return self.sequences.train

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on truncated texts."""
        return self.sequences.remarks

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:  # noqa: ANN401
        """Return a function for the mean loss of the target tokens of the validation sequences."""
        rows = self.sequences.validation
        if not len(rows):
            return None

        def measure() -> tuple[None, float]:
            log_probs = token_log_probs(
                model, encoded, self.sequences.targets, rows, accelerator, shared=True
            )
            return None, float(-np.concatenate(log_probs).mean())

        return measure

    def sample_probabilities(
        self,
        model: Any,  # noqa: ANN401
        accelerator: Accelerator,
        *,
        exact: bool = False,
    ) -> FloatArray:
        """Return probabilities [tokens] of the target tokens of the sample."""
        rows = self.sequences.test[:SAMPLE_ROWS]
        log_probs = token_log_probs(
            model, self.encoded, self.sequences.targets, rows, accelerator, exact=exact
        )
        probability: FloatArray = np.exp(np.concatenate(log_probs))
        return probability

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Translate the test rows, or score the answers to all prompts."""
        predictor = translate if self.data.examples.translations is not None else score_prompts
        write, remarks = predictor(self.base, self.job, self.data, copy_of(model), accelerator)
        return TaskOutput(self.sample_probabilities(model, accelerator), write, remarks)
