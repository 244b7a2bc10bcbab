"""Types of datasets: the card, the rows, their split into three parts, translations and prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from evenhand.tables.schema import Attribute, IntArray

#: A picture: encoded bytes of a file (jpeg, png), or [height, width, 3] of 0 to 255.
Picture = bytes | npt.NDArray[np.uint8]
#: What a model learns: the class of a text or of a picture; a text's translation; plain text, token by token.
Task = Literal["text", "image", "translation", "language"]


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset.

    Attributes:
        title: name in reports.
        task: what a model learns; `either` (a text's class or a picture's) when the `Config` decides.
        labels: description of the classes.
        attributes: names of the attributes of its rows.
        source: address and publication.
        licence: terms of use.
        problems: known limitations of the data.
    """

    title: str
    task: Literal["text", "image", "translation", "language", "either"]
    labels: str
    attributes: tuple[str, ...]
    source: str
    licence: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """A split: row numbers of the training, validation and test parts.

    Attributes:
        train: row numbers, in the order of the hashed ids.
        validation: the same; may be empty.
        test: the same.
    """

    train: IntArray
    validation: IntArray
    test: IntArray

    def named(self) -> tuple[tuple[str, IntArray], ...]:
        """The parts with their names, in order."""
        return ("train", self.train), ("validation", self.validation), ("test", self.test)


@dataclass(frozen=True, eq=False)
class Translations:
    """Reference translations of texts, and the prompt around them.

    Attributes:
        references: [n] correct translations of each text; the first one is the target in training.
        separator: text between a source text and its translation.
        new_tokens: maximum number of tokens of a generated translation.
        prefix: text before a source text.
        blank: blanks between the separator and the translation. They belong to the translation, as in running
            text: many tokenizers hold a word and the blank before it in one token.
    """

    references: Sequence[Sequence[str]]
    separator: str
    new_tokens: int
    prefix: str = ""
    blank: str = ""

    def prompt(self, text: str) -> str:
        """Return the prompt of a text: what a model reads before it writes the translation."""
        return f"{self.prefix}{text}{self.separator}"

    def learnt(self, row: int) -> str:
        """Return the target of a row: what a model learns to write after the prompt."""
        return f"{self.blank}{self.references[row][0]}"


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt with a slot for a text, and the answer options to choose from.

    Attributes:
        template: name of the template.
        variant: name of the template's variant.
        before: text before the slot.
        after: text between the slot and the answer.
        answers: answer options as they follow the prompt, leading blanks included.
        tokens: name of each answer option.
        meanings: meaning of each answer option in this variant.
        permutation: number of positions by which the meanings are rotated against the answers, in a series
            that measures token bias; None outside of such a series.
    """

    template: str
    variant: str
    before: str
    after: str
    answers: tuple[str, ...]
    tokens: tuple[str, ...]
    meanings: tuple[str, ...]
    permutation: int | None = None


@dataclass(frozen=True)
class Prompt:
    """A template filled in with a text.

    Attributes:
        id: name of the text.
        text: the text; cut at its end where it is too long for a model. Empty where the template is complete.
        form: the template.
        label: meaning of the correct answer, where there is one.
    """

    id: str
    text: str
    form: PromptTemplate
    label: str | None = None


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts for a model after training.

    Attributes:
        forms: templates to fill in with test rows.
        snippets: number of test rows: the first ones, in the order of their hashed ids.
        questions: complete prompts, which are used as they are.
        attributes: attributes of `questions`.
    """

    forms: tuple[PromptTemplate, ...] = ()
    snippets: int = 0
    questions: tuple[Prompt, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """All rows of a dataset, before they are split; compared by identity, so that it can be a key of caches.

    Attributes:
        task: what a model learns.
        ids: [n] unique names, the same on every machine.
        inputs: [n] texts, or pictures.
        labels: [n] class of each row, an index into `classes`; 0 where nothing is classified.
        classes: names of the classes; the positive one last when there are two; empty where nothing is
            classified.
        attributes: groups that the rows are about: partitions and memberships.
        problems: remarks on the data (rows skipped and why), for the report.
        parts: the dataset's own split, when its `Config` asks for it; else None, and the study draws one.
        units: [n] names of units that no split may cut, such as all pairs of one sentence; None: every row.
        translations: reference translations of the texts, for the task `translation`.
        prompts: prompts for a model after training, for the task `language`.
    """

    task: Task
    ids: Sequence[str]
    inputs: Sequence[str] | Sequence[Picture]
    labels: IntArray
    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    problems: tuple[str, ...] = field(default=())
    parts: Parts | None = None
    units: Sequence[str] | None = None
    translations: Translations | None = None
    prompts: PromptSet | None = None
