"""What a dataset is: its card, its rows, and the three parts that its rows are split into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from evenhand.tables.schema import Attribute, IntArray

#: A picture: encoded bytes of a file (jpeg, png), or [height, width, 3] of 0 to 255.
Picture = bytes | npt.NDArray[np.uint8]
#: What is learnt: the class of a text or of a picture; a text's translation; plain text, token by token.
Task = Literal["text", "image", "translation", "language"]


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset.

    Attributes:
        title: its name in reports.
        task: what is learnt; `either` (a text's class or a picture's) when its `Config` decides.
        labels: what the classes are, in words.
        attributes: which attributes its rows have.
        source: where it comes from.
        licence: under which terms.
        problems: what is known to be wrong with it.
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
    """Which rows are for what.

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
    """What texts are translated into.

    Attributes:
        references: [n] right translations of each text; the first one is what is learnt.
        separator: what stands between a text and its translation.
        new_tokens: most tokens of a translation that a model writes.
        prefix: what stands before a text.
        blank: blanks between the separator and the translation. They belong to the translation, as in running
            text: many tokenizers hold a word and the blank before it in one token.
    """

    references: Sequence[Sequence[str]]
    separator: str
    new_tokens: int
    prefix: str = ""
    blank: str = ""

    def prompt(self, text: str) -> str:
        """Give what a model reads before it translates a text."""
        return f"{self.prefix}{text}{self.separator}"

    def learnt(self, row: int) -> str:
        """Give what a model is to write after the prompt of a row."""
        return f"{self.blank}{self.references[row][0]}"


@dataclass(frozen=True)
class PromptTemplate:
    """One way to ask about a text: what stands around it, and the answers to choose from.

    Attributes:
        template: its name.
        variant: which of the template's variants it is.
        before: what stands before the text.
        after: what stands after it, before the answer.
        answers: what may follow, blanks included.
        tokens: each answer as people call it.
        meanings: what each answer stands for here.
        permutation: how far the meanings are turned against the answers, of a series that is asked to see
            how much an answer is chosen for itself; None outside of such series.
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
    """A form filled in.

    Attributes:
        id: of the text that is asked about.
        text: the text; what is too long for a model is cut off its end. Empty where all stands in the form.
        form: how it is asked.
        label: the meaning of the right answer, where there is one.
    """

    id: str
    text: str
    form: PromptTemplate
    label: str | None = None


@dataclass(frozen=True, eq=False)
class PromptSet:
    """What a model is asked after training.

    Attributes:
        forms: filled in with test rows.
        snippets: how many test rows: the first ones, in the order of their hashed ids.
        questions: others, which are asked as they are.
        attributes: of these.
    """

    forms: tuple[PromptTemplate, ...] = ()
    snippets: int = 0
    questions: tuple[Prompt, ...] = ()
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """All rows of a dataset, before they are split. Equal only to itself: work done on it can be kept.

    Attributes:
        task: what is learnt.
        ids: [n] unique names, the same on every machine.
        inputs: [n] texts, or pictures.
        labels: [n] class of each row, an index into `classes`; 0 where nothing is classified.
        classes: names of the classes; the positive one last when there are two; empty where nothing is
            classified.
        attributes: who a row is about: partitions and memberships.
        problems: remarks on the data (rows skipped and why), for the report.
        parts: the dataset's own split, when its `Config` asks for it; else None, and the study draws one.
        units: [n] names of what no split may cut, such as all pairs of one sentence; None: every row.
        translations: what the texts are to be translated into, of a `translation`.
        asked: what a model is asked after training, of a `language`.
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
    asked: PromptSet | None = None
