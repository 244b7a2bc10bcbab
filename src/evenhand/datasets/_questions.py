"""Questions with answers to choose from, out of a table: sentences of a pair, or answers to a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.datasets._columns import Reader
from evenhand.datasets._config import Field, Frozen, Limit, model_validator
from evenhand.datasets._files import locate
from evenhand.datasets._kept import kept_of
from evenhand.datasets._reading import Wanted, read, refuse
from evenhand.datasets._schema import Form, Question
from evenhand.datasets._templates import SLOT
from evenhand.tables.schema import Attribute, IntArray


class Questions(Frozen):
    """Where questions are, and what their columns mean.

    Attributes:
        path: file, glob, folder or hub id, or several.
        files: of a folder or hub dataset only the files that match this glob.
        name: what the questions are called in results.
        prompt: what stands before the answers, with columns in braces: `{context} {question}`; empty where
            the answers are whole sentences.
        answers: by meaning: what each answer says, with columns in braces: `{more: '{sent_more}'}`. Blanks
            before it belong to it.
        label: column with the meaning of the right answer, or with its number from 0.
        id: column that names a question; else its number does.
        by: partition attributes, one column each.
        limit: keep this many questions, drawn by the hashes of their ids.
    """

    path: str | tuple[str, ...]
    files: str | None = None
    name: str = Field(default="questions", min_length=1)
    prompt: str = ""
    answers: dict[str, str] = Field(min_length=2)
    label: str | None = None
    id: str | None = None
    by: tuple[str, ...] = ()
    limit: Limit | None = None

    @model_validator(mode="after")
    def _blank_belongs_to_the_answer(self) -> Questions:
        if self.prompt != self.prompt.rstrip():
            raise ValueError("prompt: ends with a blank, which belongs to the answers: ' {answer}'")
        return self


def read_questions(config: Questions) -> tuple[tuple[Question, ...], tuple[Attribute, ...], list[str]]:
    """Read questions, their attributes, and remarks.

    Raises:
        InputError: the table cannot be read, or its values cannot be used; every complaint at once.
    """
    slots = [c for text in (config.prompt, *config.answers.values()) for c in SLOT.findall(text)]
    named = [("prompt", name) for name in dict.fromkeys(slots)]
    named += [("label", config.label)] if config.label else []
    named += [("id", config.id)] if config.id else []
    named += [("by", name) for name in config.by]
    rows = read(locate(config.path, files=config.files), Wanted(tuple(named), (), tuple(slots)))
    reader = Reader(rows)
    every = np.arange(len(rows.sources))
    ids = reader.names("id", config.id, every) if config.id else [f"{config.name}-{i}" for i in every]
    refuse(reader.complaints)
    chosen, remarks = kept_of(ids, [i.encode() for i in ids], limit=config.limit, duplicates="keep")
    kept = np.array(chosen, np.int64)
    labels = _labels(reader, config, kept) if config.label else [None] * len(kept)
    attributes = reader.attributes(config.by, (), kept)
    refuse(reader.complaints)
    meanings = tuple(config.answers)
    questions = []
    for i, label in zip(kept.tolist(), labels, strict=True):
        filled = [
            SLOT.sub(lambda slot, i=i: rows.values[slot[1]][i] or "", text)  # type: ignore[misc]
            for text in (config.prompt, *config.answers.values())
        ]
        form = Form(config.name, "text", filled[0], "", tuple(filled[1:]), meanings, meanings)
        questions.append(Question(ids[i], "", form, label))
    return tuple(questions), attributes, remarks


def _labels(reader: Reader, config: Questions, kept: IntArray) -> Sequence[str | None]:
    """[kept] meaning of the right answer."""
    assert config.label is not None
    meanings = tuple(config.answers)
    known = {str(i): meaning for i, meaning in enumerate(meanings)} | {m: m for m in meanings}
    values = [reader.rows.values[config.label][i] for i in kept.tolist()]
    strange = sorted({v for v in values if v is not None and v not in known})
    if strange:
        told = f"is '{strange[0]}' in some rows; must be one of {', '.join(meanings)}, or its number from 0."
        reader.complain("label", config.label, told)
    return [None if v is None else known.get(v) for v in values]
