"""What a run is for: what is learnt, how well it is, and what is asked of the model in the end.

Methods, the loop and the checks are the same for all goals. A class is told of a text or a picture
(`ClassificationTask`); a model that writes learns the next token, and translates or chooses among answers
(`GenerationTask`).
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
from evenhand.finetune.inputs.batches import EncodedRows, encode_rows
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
    """What a trained model has said.

    Attributes:
        sample: of the goal's sample, for others to be compared with: probabilities.
        write: writes the table of the run into its folder.
        remarks: what is worth knowing of it.
    """

    sample: FloatArray
    write: Callable[[Path], None]
    remarks: tuple[str, ...] = ()


class Task(Protocol):
    """What a run is for.

    Attributes:
        encoded: all that a model reads.
        targets: what it is to say of that.
        train: rows of the feed to learn from.
        remarks: what is worth knowing of them.
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
        """How to measure a model on validation rows, as it is when that is called; None without rows."""
        ...

    def sample_probabilities(
        self, model: Any, accelerator: Accelerator, *, exact: bool = False
    ) -> FloatArray:  # noqa: ANN401
        """Probabilities of a sample of the test rows; exact: in float32, whatever the precision."""
        ...

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Ask the trained model all that is wanted of it."""
        ...


def build_task(base: PretrainedModel, job: Job, data: Data) -> Task:
    """What a job is for.

    Raises:
        InputError: the rows, or the questions about them, cannot be made into what the model reads.
    """
    if data.examples.task in GENERATIVE_TASKS:
        if data.examples.asked is not None:
            encode_choices(base, data, job.training.max_length)
        return GenerationTask(base, job, data, encode_sequences(base, data, job.training.max_length))
    encoded = encode_rows(base, data.examples, job.training.max_length)
    return ClassificationTask(job, data, encoded, getattr(encoded, "remarks", ()))


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """To tell the class of texts or pictures."""

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
        """Accuracy and log loss."""
        rows = self.data.parts.validation
        if not len(rows):
            return None
        labels = self.data.examples.labels[rows]
        return lambda: accuracy_and_loss(
            probabilities(model, encoded, rows, accelerator, shared=True), labels
        )

    def sample_probabilities(
        self, model: Any, accelerator: Accelerator, *, exact: bool = False
    ) -> FloatArray:  # noqa: ANN401
        """[sample, classes] probabilities."""
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
    """To write translations, or texts as those that are learnt from."""

    base: PretrainedModel
    job: Job
    data: Data
    sequences: EncodedSequences

    @property
    def encoded(self) -> EncodedRows:
        """Sequences of tokens."""
        return self.sequences.encoded

    @property
    def targets(self) -> Targets:
        """The next tokens."""
        return self.sequences.targets

    @property
    def train(self) -> IntArray:
        """Sequences to learn from."""
        return self.sequences.train

    @property
    def remarks(self) -> tuple[str, ...]:
        """What had to be cut."""
        return self.sequences.remarks

    def make_validator(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> Validator | None:  # noqa: ANN401
        """Mean loss of the tokens to be said."""
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
        self, model: Any, accelerator: Accelerator, *, exact: bool = False
    ) -> FloatArray:  # noqa: ANN401
        """[tokens] probabilities of the tokens to be said."""
        rows = self.sequences.test[:SAMPLE_ROWS]
        log_probs = token_log_probs(
            model, self.encoded, self.sequences.targets, rows, accelerator, exact=exact
        )
        probability: FloatArray = np.exp(np.concatenate(log_probs))
        return probability

    def predict(self, model: Any, encoded: EncodedRows, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Let it translate, or choose answers."""
        predictor = translate if self.data.examples.translations is not None else score_prompts
        write, remarks = predictor(self.base, self.job, self.data, copy_of(model), accelerator)
        return TaskOutput(self.sample_probabilities(model, accelerator), write, remarks)
