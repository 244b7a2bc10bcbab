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
from evenhand.finetune.inputs.batches import Feed, feed_of
from evenhand.finetune.inputs.sequences import Material, material_of
from evenhand.finetune.inputs.targets import Answers, Classes
from evenhand.finetune.modeling.families import WRITTEN
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import write as output
from evenhand.finetune.outputs.generate import translated
from evenhand.finetune.outputs.likelihoods import choices_of, chosen
from evenhand.finetune.outputs.predict import accuracy_and_loss, probabilities, token_log_probs
from evenhand.tables.schema import FloatArray, IntArray

#: Rows on which reloaded and merged models are compared with the trained one.
SAMPLE = 16
#: Accuracy, None where nothing is classified, and mean loss.
Measure = Callable[[], tuple[float | None, float]]


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
        feed: all that a model reads.
        answers: what it is to say of that.
        train: rows of the feed to learn from.
        remarks: what is worth knowing of them.
    """

    @property
    def feed(self) -> Any: ...  # noqa: ANN401, D102

    @property
    def answers(self) -> Answers: ...  # noqa: D102

    @property
    def train(self) -> IntArray: ...  # noqa: D102

    @property
    def remarks(self) -> tuple[str, ...]: ...  # noqa: D102

    def make_validator(self, model: Any, feed: Feed, accelerator: Accelerator) -> Measure | None:  # noqa: ANN401
        """How to measure a model on validation rows, as it is when that is called; None without rows."""
        ...

    def values(self, model: Any, accelerator: Accelerator, *, exact: bool = False) -> FloatArray:  # noqa: ANN401
        """Probabilities of a sample of the test rows; exact: in float32, whatever the precision."""
        ...

    def predict(self, model: Any, feed: Feed, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Ask the trained model all that is wanted of it."""
        ...


def task_of(base: PretrainedModel, job: Job, data: Data) -> Task:
    """What a job is for.

    Raises:
        InputError: the rows, or the questions about them, cannot be made into what the model reads.
    """
    if data.examples.task in WRITTEN:
        if data.examples.asked is not None:
            choices_of(base, data, job.training.max_length)
        return GenerationTask(base, job, data, material_of(base, data, job.training.max_length))
    feed = feed_of(base, data.examples, job.training.max_length)
    return ClassificationTask(job, data, feed, getattr(feed, "remarks", ()))


@dataclass(frozen=True, eq=False)
class ClassificationTask:
    """To tell the class of texts or pictures."""

    job: Job
    data: Data
    feed: Any
    remarks: tuple[str, ...] = ()

    @property
    def answers(self) -> Classes:
        """The label of every row."""
        return Classes(self.data.examples.labels)

    @property
    def train(self) -> IntArray:
        """The training rows."""
        return self.data.parts.train

    def make_validator(self, model: Any, feed: Feed, accelerator: Accelerator) -> Measure | None:  # noqa: ANN401
        """Accuracy and log loss."""
        rows = self.data.parts.validation
        if not len(rows):
            return None
        labels = self.data.examples.labels[rows]
        return lambda: accuracy_and_loss(probabilities(model, feed, rows, accelerator, shared=True), labels)

    def values(self, model: Any, accelerator: Accelerator, *, exact: bool = False) -> FloatArray:  # noqa: ANN401
        """[sample, classes] probabilities."""
        return probabilities(model, self.feed, self.data.parts.test[:SAMPLE], accelerator, exact=exact)

    def predict(self, model: Any, feed: Feed, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Predict validation and test rows."""
        validation, test = self.data.parts.validation, self.data.parts.test
        rows = np.concatenate([validation, test])
        scores = probabilities(model, feed, rows, accelerator, shared=True)

        def write(folder: Path) -> None:
            output.write(folder / output.PREDICTIONS, self.job, self.data, rows, scores)

        return TaskOutput(scores[len(validation) :][:SAMPLE], write)


@dataclass(frozen=True, eq=False)
class GenerationTask:
    """To write translations, or texts as those that are learnt from."""

    base: PretrainedModel
    job: Job
    data: Data
    material: Material

    @property
    def feed(self) -> Feed:
        """Sequences of tokens."""
        return self.material.feed

    @property
    def answers(self) -> Answers:
        """The next tokens."""
        return self.material.answers

    @property
    def train(self) -> IntArray:
        """Sequences to learn from."""
        return self.material.train

    @property
    def remarks(self) -> tuple[str, ...]:
        """What had to be cut."""
        return self.material.remarks

    def make_validator(self, model: Any, feed: Feed, accelerator: Accelerator) -> Measure | None:  # noqa: ANN401
        """Mean loss of the tokens to be said."""
        rows = self.material.validation
        if not len(rows):
            return None

        def measure() -> tuple[None, float]:
            found = token_log_probs(model, feed, self.material.answers, rows, accelerator, shared=True)
            return None, float(-np.concatenate(found).mean())

        return measure

    def values(self, model: Any, accelerator: Accelerator, *, exact: bool = False) -> FloatArray:  # noqa: ANN401
        """[tokens] probabilities of the tokens to be said."""
        rows = self.material.test[:SAMPLE]
        found = token_log_probs(model, self.feed, self.material.answers, rows, accelerator, exact=exact)
        probability: FloatArray = np.exp(np.concatenate(found))
        return probability

    def predict(self, model: Any, feed: Feed, accelerator: Accelerator) -> TaskOutput:  # noqa: ANN401
        """Let it translate, or choose answers."""
        asked = translated if self.data.examples.translations is not None else chosen
        write, remarks = asked(self.base, self.job, self.data, copy_of(model), accelerator)
        return TaskOutput(self.values(model, accelerator), write, remarks)
