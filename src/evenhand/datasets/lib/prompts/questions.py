"""Multiple-choice questions from a table: sentences of a pair, or answers to a prompt.

A row holds a question with all its answers, or one of the answers; in that case several rows form a question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import select_rows
from evenhand.datasets.lib.prompts.labels import read_labels
from evenhand.datasets.lib.prompts.templates import SLOT
from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import RequiredColumns, Rows, raise_complaints, read_columns
from evenhand.datasets.lib.schema import Prompt, PromptTemplate
from evenhand.errors import nearest
from evenhand.tables.schema import Attribute
from evenhand.tables.values import shown, tidy

#: Words that exports write for a missing value, and that may also be answers.
_MISSING_VALUE_WORDS = frozenset({"none", "null", "n/a", "na"})


class Questions(Frozen):
    """Files of questions, and the meaning of their columns.

    Attributes:
        path: file, glob, folder or hub id, or several.
        files: glob; only matching files of a folder or a hub dataset are read.
        name: name of the questions in results.
        prompt: text before the answers, with columns in braces: `{context} {question}`; empty where the
            answers are complete sentences.
        answers: text of each answer by its meaning, with columns in braces: `{more: '{sent_more}'}`. Leading
            blanks are part of the answer.
        label: column with the correct answer: its meaning, the name of its column, its number (that of its
            column or meaning where all are numbered, else its position from 0), its letter, or its text.
        id: column with names of the questions; by default they are numbered.
        by: partition attributes, one column each.
        without_group: `drop` leaves out questions that lack a value in `by`; `refuse` raises an error.
        parse: further columns, parsed from a column whose values have several parts:
            `{sentid: '{job}.{other}.{gender}.txt'}` makes `job`, `other` and `gender`.
        meaning: for tables with one row per answer: the column with the meaning of a row's answer; every
            answer is then filled in from its row.
        together: with `meaning`, the columns in which the rows of a question agree.
        limit: number of questions to keep, drawn by the hashes of their ids.
    """

    path: str | tuple[str, ...]
    files: str | None = None
    name: str = Field(default="questions", min_length=1)
    prompt: str = ""
    answers: dict[str, str] = Field(min_length=2)
    label: str | None = None
    id: str | None = None
    by: tuple[str, ...] = ()
    without_group: Literal["refuse", "drop"] = "refuse"
    parse: dict[str, str] = Field(default_factory=dict)
    meaning: str | None = None
    together: tuple[str, ...] = ()
    limit: Limit | None = None

    @model_validator(mode="after")
    def _can_be_meant(self) -> Questions:
        if (self.meaning is None) != (not self.together):
            raise ValueError("together: is needed with meaning, and only then: it joins rows to one question")
        parts = [part for pattern in self.parse.values() for part in SLOT.findall(pattern)]
        if wrong := [part for part in parts if not part.isidentifier()]:
            raise ValueError(f"parse: {{{wrong[0]}}} is not a valid name; use letters, digits and _")
        if twice := [part for part in parts if parts.count(part) > 1]:
            raise ValueError(f"parse: {{{twice[0]}}} is made more than once")
        if empty := [column for column, pattern in self.parse.items() if not SLOT.search(pattern)]:
            raise ValueError(f"parse.{empty[0]}: has no name in braces")
        if self.prompt != self.prompt.rstrip():
            raise ValueError("prompt: ends with a blank; blanks must begin the answers instead: ' {answer}'")
        return self


@dataclass(frozen=True)
class _Question:
    """A question in a table.

    Attributes:
        first: number of its row, or of the first of its rows.
        answers: row number of each answer, by meaning.
    """

    first: int
    answers: Mapping[str, int]


def read_questions(config: Questions) -> tuple[tuple[Prompt, ...], tuple[Attribute, ...], list[str]]:
    """Read questions as prompts, their attributes, and remarks.

    Raises:
        InputError: the table cannot be read, or its values cannot be used; every complaint at once.
    """
    reader = Reader(_read_columns(config))
    questions = _group_rows(reader, config)
    raise_complaints(reader.complaints)
    if config.without_group == "drop":
        grouped = set(
            reader.drop_ungrouped(
                config.by, (), np.array([question.first for question in questions], np.int64)
            ).tolist()
        )
        questions = [question for question in questions if question.first in grouped]
        raise_complaints(reader.complaints)
    firsts = np.array([question.first for question in questions], np.int64)
    ids = (
        reader.read_names("id", config.id, firsts)
        if config.id
        else [f"{config.name}-{i}" for i in range(len(questions))]
    )
    raise_complaints(reader.complaints)
    chosen, remarks = select_rows(ids, [i.encode() for i in ids], limit=config.limit, duplicates="keep")
    rows = firsts[chosen]
    selected = [questions[i] for i in chosen]
    _check_texts(reader, config, selected, [ids[i] for i in chosen])
    labels = _read_labels(reader, config, selected) if config.label else [None] * len(rows)
    attributes = reader.read_attributes(config.by, (), rows)
    raise_complaints(reader.complaints)
    meanings = tuple(config.answers)
    prompts = []
    for i, label in zip(chosen, labels, strict=True):
        question = questions[i]
        answers = [_fill(reader, config.answers[m], question.answers[m]) for m in meanings]
        prompt = _fill(reader, config.prompt, question.first)
        form = PromptTemplate(config.name, "text", prompt, "", tuple(answers), meanings, meanings)
        prompts.append(Prompt(ids[i], "", form, label))
    return tuple(prompts), attributes, [*remarks, *reader.remarks, *_remark_on_equal_answers(prompts)]


def _read_columns(config: Questions) -> Rows:
    """Read the columns that the options name, and add the columns that are parsed from others."""
    slots = [c for text in (config.prompt, *config.answers.values()) for c in SLOT.findall(text)]
    named = [("prompt", name) for name in dict.fromkeys(slots)]
    named += [
        (o, c) for o, c in (("label", config.label), ("id", config.id), ("meaning", config.meaning)) if c
    ]
    named += [*(("by", name) for name in config.by), *(("together", name) for name in config.together)]
    parsed = {part for pattern in config.parse.values() for part in SLOT.findall(pattern)}
    named = [(option, name) for option, name in named if name not in parsed]
    named += [("parse", name) for name in config.parse]
    columns = RequiredColumns(tuple(named), (), tuple(slots), section=("dataset", "questions"))
    rows = read_columns(locate(config.path, files=config.files), columns)
    reader = Reader(rows)
    values = dict(rows.values)
    for column, pattern in config.parse.items():
        values |= _parse_column(reader, column, pattern)
    raise_complaints(reader.complaints)
    return replace(rows, values=values)


def _parse_column(reader: Reader, column: str, pattern: str) -> dict[str, list[str | None]]:
    """Parse a column's values by a pattern such as `{job}.{gender}`; returns values [n] by part name."""
    pieces = SLOT.split(pattern)  # text and names in turn
    expression = "".join(f"(?P<{p}>.+?)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    matches = [re.fullmatch(expression, value or "") for value in reader.rows.values[column]]
    unmatched = [
        v or "" for v, match in zip(reader.rows.values[column], matches, strict=True) if match is None
    ]
    if unmatched:
        problem = f"has values that do not match '{pattern}' ({shown(list(dict.fromkeys(unmatched)), 3)})."
        reader.complain("parse", column, problem)
    return {name: [match and match[name] for match in matches] for name in pieces[1::2]}


def _group_rows(reader: Reader, config: Questions) -> list[_Question]:
    """Group rows into questions: one row each, or the rows that agree in the columns of `together`."""
    meanings = tuple(config.answers)
    values = reader.rows.values
    if config.meaning is None:
        return [_Question(i, dict.fromkeys(meanings, i)) for i in range(len(reader.rows.sources))]
    unknown = sorted({v or "" for v in values[config.meaning]} - set(meanings))
    if unknown:
        reader.complain(
            "meaning", config.meaning, f"has the value '{unknown[0]}'; {nearest(unknown[0], meanings)}"
        )
    rows_by_key: dict[tuple[str | None, ...], list[int]] = {}
    for i in range(len(reader.rows.sources)):
        rows_by_key.setdefault(tuple(values[c][i] for c in config.together), []).append(i)
    questions, incomplete, inconsistent = [], [], []
    for key, rows in rows_by_key.items():
        answers = {values[config.meaning][i] or "": i for i in rows}
        if len(rows) != len(meanings) or set(answers) != set(meanings):
            incomplete.append(", ".join(str(part) for part in key))
            continue
        contents = {(_fill(reader, config.prompt, i), *_shared_values(reader, config, i)) for i in rows}
        inconsistent += [", ".join(str(part) for part in key)] if len(contents) > 1 else []
        questions.append(_Question(rows[0], answers))
    if incomplete and not unknown:
        which = f"{len(incomplete):,} questions ({shown(incomplete, 3)})"
        problem = f"does not hold each of {', '.join(meanings)} once for {which}."
        reader.complain("meaning", config.meaning, problem)
    if inconsistent:
        problem = f"joins rows of different prompts, labels or groups ({shown(inconsistent, 3)});"
        reader.complain("together", config.together[0], f"{problem} name more columns.")
    return questions


def _shared_values(reader: Reader, config: Questions, row: int) -> list[str | None]:
    """List the values, besides the prompt, that must be equal in all rows of a question."""
    columns = [*config.by, *([config.label] if config.label else [])]
    return [reader.rows.values[column][row] for column in columns]


def _fill(reader: Reader, text: str, row: int) -> str:
    """Fill the slots of a text with the values of a row."""
    return SLOT.sub(lambda slot: reader.rows.values[slot[1]][row] or "", text)


def _is_nested(value: str) -> bool:
    """Return True for a text that is a JSON list of texts, or a JSON object."""
    if not value.strip().startswith(("[", "{")):
        return False
    try:
        parsed = json.loads(value)
    except ValueError:
        return False
    return isinstance(parsed, dict) or all(isinstance(item, str) for item in parsed)


def _remark_on_equal_answers(questions: Sequence[Prompt]) -> list[str]:
    """Remark on questions that have one text for several answers."""
    alike = [q.id for q in questions if len({a.strip() for a in q.form.answers}) < len(q.form.answers)]
    if not alike:
        return []
    return [
        f"{len(alike):,} of {len(questions):,} questions have the same text for several answers (first: "
        f"'{alike[0]}'), which no model can distinguish."
    ]


def _check_texts(
    reader: Reader, config: Questions, questions: Sequence[_Question], ids: Sequence[str]
) -> None:
    """Check that the columns of prompts and answers have a text in every question.

    Missing and nested values are complaints; words such as `none`, which may stand for a missing value or be
    an answer, are remarks.
    """
    rows: dict[str, list[list[int]]] = {}
    for name in dict.fromkeys(SLOT.findall(config.prompt)):
        rows.setdefault(name, []).append([question.first for question in questions])
    for meaning, text in config.answers.items():
        for name in dict.fromkeys(SLOT.findall(text)):
            rows.setdefault(name, []).append([question.answers[meaning] for question in questions])
    for name, row_lists in rows.items():
        option = "prompt" if name in SLOT.findall(config.prompt) else "answers"
        values = reader.rows.values[name]
        texts = [(ids[q], values[row]) for answer_rows in row_lists for q, row in enumerate(answer_rows)]
        empty = [(which, value) for which, value in texts if tidy((value or "").strip()) is None]
        words = [
            (which, value) for which, value in texts if (value or "").strip().lower() in _MISSING_VALUE_WORDS
        ]
        if empty:
            which, value = empty[0]
            instead = f" but '{value}'" if value else ""
            n = len({which for which, _ in empty})
            problem = f"has no text{instead} in {n:,} of {len(questions):,} questions (first: '{which}');"
            reader.complain(option, name, f"{problem} fill it, or leave out these questions.")
        lists = [(which, value) for which, value in texts if _is_nested(value or "")]
        if lists:
            which, value = lists[0]
            n = len({which for which, _ in lists})
            first = f"first: '{which}': {(value or '')[:60]}"
            problem = f"is nested in {n:,} of {len(questions):,} questions ({first}); give one text per row."
            reader.complain(option, name, problem)
        if words:
            which, value = words[0]
            n = len({which for which, _ in words})
            fact = f"is '{value}' in {n:,} of {len(questions):,} questions (first: '{which}');"
            reader.remarks.append(reader.rows.complain(option, name, f"{fact} it is used as a text."))


def _read_labels(reader: Reader, config: Questions, questions: Sequence[_Question]) -> Sequence[str | None]:
    """Read the meaning of the correct answer of each question; None where it has no label."""
    assert config.label is not None
    values = [reader.rows.values[config.label][question.first] for question in questions]
    values = [None if value is None or not value.strip() else value.strip() for value in values]

    def text_of(question: int, meaning: str) -> str:
        return _fill(reader, config.answers[meaning], questions[question].answers[meaning])

    labels = read_labels(values, config.answers, text_of)
    if labels.complaint:
        reader.complain("label", config.label, labels.complaint)
    missing = sum(value is None for value in values)
    if missing:
        fact = f"has no value in {missing:,} of {len(values):,} questions;"
        reader.remarks.append(
            reader.rows.complain("label", config.label, f"{fact} these have no correct answer.")
        )
    if labels.remark:
        reader.remarks.append(reader.rows.complain("label", config.label, labels.remark))
    return labels.meanings
