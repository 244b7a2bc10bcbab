"""Writers of a run's tables, and the versions of the packages that produced them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from evenhand._version import __version__
from evenhand.datasets import PromptTemplate
from evenhand.finetune import Data, Job
from evenhand.finetune.inputs.choices import Choices
from evenhand.tables.answers.generations import write_generations
from evenhand.tables.answers.likelihoods import write_likelihoods
from evenhand.tables.predictions.write import write_predictions
from evenhand.tables.schema import Attribute, FloatArray, IntArray

PREDICTIONS = "predictions.parquet"
GENERATIONS, LIKELIHOODS = "generations.parquet", "likelihoods.parquet"
_PACKAGES = ("torch", "transformers", "peft", "accelerate")


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
        names=_names(job),
    )


def write_translations(path: Path, job: Job, data: Data, completions: Sequence[str]) -> None:
    """Write translations of the test rows.

    Args:
        path: of the file.
        job: names the columns arm, run and model.
        data: the rows.
        completions: [m] the generated texts.
    """
    examples, rows = data.examples, data.parts.test.tolist()
    assert examples.translations is not None
    texts = [str(examples.inputs[row]) for row in rows]
    units = examples.units or examples.ids
    write_generations(
        path,
        [examples.ids[row] for row in rows],
        [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts],
        [units[row] for row in rows],
        [examples.translations.prompt(text) for text in texts],
        completions,
        [examples.translations.references[row] for row in rows],
        [attribute.at(data.parts.test) for attribute in examples.attributes],
        names=_names(job),
    )


def write_choices(
    path: Path,
    job: Job,
    data: Data,
    encoded: Choices,
    sums: Sequence[FloatArray],
    content_free: Mapping[PromptTemplate, FloatArray],
) -> None:
    """Write the log probability of each answer to each prompt.

    Args:
        path: of the file.
        job: names the columns arm, run and model.
        data: the rows.
        encoded: the prompts, and the same as tokens.
        sums: [prompts][answers] natural logarithms of the answers' probabilities.
        content_free: [answers] by template, the same for content-free texts.
    """
    lines = [
        (question, choice, i, j)
        for i, (question, choice) in enumerate(zip(encoded.questions, encoded.choices, strict=True))
        for j in range(len(choice.answers))
    ]
    has_permutations = any(q.form.permutation is not None for q in encoded.questions)
    has_labels = any(q.label is not None for q in encoded.questions)
    write_likelihoods(
        path,
        [q.id for q, *_ in lines],
        [q.form.template for q, *_ in lines],
        [q.form.variant for q, *_ in lines],
        [q.form.tokens[j] for q, _, _, j in lines],
        [q.form.meanings[j] for q, _, _, j in lines],
        np.array([sums[i][j] for _, _, i, j in lines]),
        np.array([len(choice.answers[j]) for _, choice, _, j in lines]),
        _attributes(data, encoded, [i for *_, i, _ in lines]),
        names=_names(job),
        log_prob_free=np.array([content_free[q.form][j] for q, _, _, j in lines]) if content_free else None,
        truncated=np.array([choice.cut for _, choice, *_ in lines]),
        permutation=[str(q.form.permutation or 0) for q, *_ in lines] if has_permutations else None,
        label_meaning=[q.label for q, *_ in lines] if has_labels else None,
    )


def _attributes(data: Data, encoded: Choices, questions: Sequence[int]) -> list[Attribute]:
    """Return the attributes of the lines of the table: those of the text, or of the prompt itself."""
    examples, prompt_set = data.examples, data.examples.prompts
    assert prompt_set is not None
    if prompt_set.forms:
        row_of = {name: row for row, name in enumerate(examples.ids)}
        rows = np.array([row_of[encoded.questions[i].id] for i in questions], np.int64)
        return [attribute.at(rows) for attribute in examples.attributes]
    return [attribute.at(np.array(questions, np.int64)) for attribute in prompt_set.attributes]


def _names(job: Job) -> dict[str, str]:
    """Return the columns that identify the run."""
    return {"arm": job.arm, "run": str(job.seed), "model": job.model.label or job.model.name}


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return names and versions of the packages that a run's numbers depend on."""
    return (("evenhand", __version__), *((name, version(name)) for name in _PACKAGES))
