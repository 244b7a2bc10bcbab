"""Questions with answers to choose from, out of a table: sentences of a pair, or answers to a prompt.

A row holds a question with all its answers, or one answer of a question that several rows make together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import kept_of
from evenhand.datasets.lib.prompts.right import read_labels
from evenhand.datasets.lib.prompts.templates import SLOT
from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import Rows, Wanted, read, refuse
from evenhand.datasets.lib.schema import Prompt, PromptTemplate
from evenhand.errors import nearest
from evenhand.tables.schema import Attribute
from evenhand.tables.values import shown, tidy

#: Words that exports write for a value that is missing, and that may be answers.
_WORDS = frozenset({"none", "null", "n/a", "na"})


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
        label: column with the right answer: its meaning, its column's name, its number (that of its column
            or meaning where all are numbered, else its place from 0), its letter, or its text.
        id: column that names a question; else its number does.
        by: partition attributes, one column each.
        without_group: `drop` leaves out questions that lack a value in `by`; `refuse` asks to fill it.
        parse: further columns, out of a column whose values are made of several parts:
            `{sentid: '{job}.{other}.{gender}.txt'}` makes `job`, `other` and `gender`.
        meaning: where each answer has a row of its own, the column that says which answer a row holds; every
            answer is then filled in with its own row.
        together: with `meaning`, the columns in which the rows of a question agree.
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
    without_group: Literal["refuse", "drop"] = "refuse"
    parse: dict[str, str] = Field(default_factory=dict)
    meaning: str | None = None
    together: tuple[str, ...] = ()
    limit: Limit | None = None

    @model_validator(mode="after")
    def _can_be_meant(self) -> Questions:
        if (self.meaning is None) != (not self.together):
            raise ValueError("together: belongs to meaning, and meaning to it: which rows are one question")
        made = [part for pattern in self.parse.values() for part in SLOT.findall(pattern)]
        if wrong := [part for part in made if not part.isidentifier()]:
            raise ValueError(f"parse: {{{wrong[0]}}} is no name; take letters, digits and _")
        if twice := [part for part in made if made.count(part) > 1]:
            raise ValueError(f"parse: {{{twice[0]}}} is made more than once")
        if empty := [column for column, pattern in self.parse.items() if not SLOT.search(pattern)]:
            raise ValueError(f"parse.{empty[0]}: names no part in braces")
        if self.prompt != self.prompt.rstrip():
            raise ValueError("prompt: ends with a blank, which belongs to the answers: ' {answer}'")
        return self


@dataclass(frozen=True)
class _Found:
    """A question in a table.

    Attributes:
        first: its row, or the first of its rows.
        answers: the row of each answer, by meaning.
    """

    first: int
    answers: Mapping[str, int]


def read_questions(config: Questions) -> tuple[tuple[Prompt, ...], tuple[Attribute, ...], list[str]]:
    """Read questions, their attributes, and remarks.

    Raises:
        InputError: the table cannot be read, or its values cannot be used; every complaint at once.
    """
    reader = Reader(_read(config))
    found = _found(reader, config)
    refuse(reader.complaints)
    if config.without_group == "drop":
        grouped = set(
            reader.grouped(config.by, (), np.array([one.first for one in found], np.int64)).tolist()
        )
        found = [one for one in found if one.first in grouped]
        refuse(reader.complaints)
    firsts = np.array([one.first for one in found], np.int64)
    ids = (
        reader.names("id", config.id, firsts)
        if config.id
        else [f"{config.name}-{i}" for i in range(len(found))]
    )
    refuse(reader.complaints)
    chosen, remarks = kept_of(ids, [i.encode() for i in ids], limit=config.limit, duplicates="keep")
    kept = firsts[chosen]
    asked = [found[i] for i in chosen]
    _refuse_missing(reader, config, asked, [ids[i] for i in chosen])
    labels = _labels(reader, config, asked) if config.label else [None] * len(kept)
    attributes = reader.attributes(config.by, (), kept)
    refuse(reader.complaints)
    meanings = tuple(config.answers)
    questions = []
    for i, label in zip(chosen, labels, strict=True):
        one = found[i]
        answers = [_filled(reader, config.answers[m], one.answers[m]) for m in meanings]
        prompt = _filled(reader, config.prompt, one.first)
        form = PromptTemplate(config.name, "text", prompt, "", tuple(answers), meanings, meanings)
        questions.append(Prompt(ids[i], "", form, label))
    return tuple(questions), attributes, [*remarks, *reader.remarks, *_alike(questions)]


def _read(config: Questions) -> Rows:
    """The columns that are needed, and those that are made of them."""
    slots = [c for text in (config.prompt, *config.answers.values()) for c in SLOT.findall(text)]
    named = [("prompt", name) for name in dict.fromkeys(slots)]
    named += [
        (o, c) for o, c in (("label", config.label), ("id", config.id), ("meaning", config.meaning)) if c
    ]
    named += [*(("by", name) for name in config.by), *(("together", name) for name in config.together)]
    made = {part for pattern in config.parse.values() for part in SLOT.findall(pattern)}
    named = [(option, name) for option, name in named if name not in made]
    named += [("parse", name) for name in config.parse]
    wanted = Wanted(tuple(named), (), tuple(slots), section=("dataset", "questions"))
    rows = read(locate(config.path, files=config.files), wanted)
    reader = Reader(rows)
    values = dict(rows.values)
    for column, pattern in config.parse.items():
        values |= _parsed(reader, column, pattern)
    refuse(reader.complaints)
    return replace(rows, values=values)


def _parsed(reader: Reader, column: str, pattern: str) -> dict[str, list[str | None]]:
    """[n] the parts of a column's values, by their names."""
    pieces = SLOT.split(pattern)  # text and names in turn
    told = "".join(f"(?P<{p}>.+?)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    fits = [re.fullmatch(told, value or "") for value in reader.rows.values[column]]
    strange = [v or "" for v, fit in zip(reader.rows.values[column], fits, strict=True) if fit is None]
    if strange:
        what = f"has values that are not like '{pattern}' ({shown(list(dict.fromkeys(strange)), 3)})."
        reader.complain("parse", column, what)
    return {name: [fit and fit[name] for fit in fits] for name in pieces[1::2]}


def _found(reader: Reader, config: Questions) -> list[_Found]:
    """The questions: a row each, or rows that belong together."""
    meanings = tuple(config.answers)
    values = reader.rows.values
    if config.meaning is None:
        return [_Found(i, dict.fromkeys(meanings, i)) for i in range(len(reader.rows.sources))]
    strange = sorted({v or "" for v in values[config.meaning]} - set(meanings))
    if strange:
        reader.complain(
            "meaning", config.meaning, f"has the value '{strange[0]}'; {nearest(strange[0], meanings)}"
        )
    places: dict[tuple[str | None, ...], list[int]] = {}
    for i in range(len(reader.rows.sources)):
        places.setdefault(tuple(values[c][i] for c in config.together), []).append(i)
    found, wrong, unlike = [], [], []
    for key, rows in places.items():
        answers = {values[config.meaning][i] or "": i for i in rows}
        if len(rows) != len(meanings) or set(answers) != set(meanings):
            wrong.append(", ".join(str(part) for part in key))
            continue
        same = {(_filled(reader, config.prompt, i), *_common(reader, config, i)) for i in rows}
        unlike += [", ".join(str(part) for part in key)] if len(same) > 1 else []
        found.append(_Found(rows[0], answers))
    if wrong and not strange:
        told = f"{len(wrong):,} questions ({shown(wrong, 3)})"
        what = f"does not hold each of {', '.join(meanings)} once for {told}."
        reader.complain("meaning", config.meaning, what)
    if unlike:
        what = f"joins rows of different prompts, labels or groups ({shown(unlike, 3)}); name more columns."
        reader.complain("together", config.together[0], what)
    return found


def _common(reader: Reader, config: Questions, row: int) -> list[str | None]:
    """What the rows of a question have in common beside its prompt."""
    columns = [*config.by, *([config.label] if config.label else [])]
    return [reader.rows.values[column][row] for column in columns]


def _filled(reader: Reader, text: str, row: int) -> str:
    """A text with the values of a row in its slots."""
    return SLOT.sub(lambda slot: reader.rows.values[slot[1]][row] or "", text)


def _is_nested(value: str) -> bool:
    """Whether a text is a JSON list of texts or a JSON record."""
    if not value.strip().startswith(("[", "{")):
        return False
    try:
        read = json.loads(value)
    except ValueError:
        return False
    return isinstance(read, dict) or all(isinstance(one, str) for one in read)


def _alike(questions: Sequence[Prompt]) -> list[str]:
    """Remark on questions that have one text for several answers."""
    alike = [q.id for q in questions if len({a.strip() for a in q.form.answers}) < len(q.form.answers)]
    if not alike:
        return []
    return [
        f"{len(alike):,} of {len(questions):,} questions have the same text for several answers (first: "
        f"'{alike[0]}'), which no model can tell apart."
    ]


def _refuse_missing(reader: Reader, config: Questions, asked: Sequence[_Found], ids: Sequence[str]) -> None:
    """Complain of columns of prompts and answers that have no text in a question; remark on words for it."""
    rows: dict[str, list[list[int]]] = {}
    for name in dict.fromkeys(SLOT.findall(config.prompt)):
        rows.setdefault(name, []).append([one.first for one in asked])
    for meaning, text in config.answers.items():
        for name in dict.fromkeys(SLOT.findall(text)):
            rows.setdefault(name, []).append([one.answers[meaning] for one in asked])
    for name, every in rows.items():
        option = "prompt" if name in SLOT.findall(config.prompt) else "answers"
        values = reader.rows.values[name]
        told = [(ids[q], values[row]) for own in every for q, row in enumerate(own)]
        empty = [(which, value) for which, value in told if tidy((value or "").strip()) is None]
        words = [(which, value) for which, value in told if (value or "").strip().lower() in _WORDS]
        if empty:
            which, value = empty[0]
            instead = f" but '{value}'" if value else ""
            n = len({which for which, _ in empty})
            what = (
                f"has no text{instead} in {n:,} of {len(asked):,} questions (first: '{which}'); fill it, or"
            )
            reader.complain(option, name, f"{what} leave these questions out.")
        lists = [(which, value) for which, value in told if _is_nested(value or "")]
        if lists:
            which, value = lists[0]
            n = len({which for which, _ in lists})
            what = f"is nested in {n:,} of {len(asked):,} questions (first: '{which}': {(value or '')[:60]});"
            reader.complain(option, name, f"{what} give one text per row.")
        if words:
            which, value = words[0]
            n = len({which for which, _ in words})
            what = (
                f"is '{value}' in {n:,} of {len(asked):,} questions (first: '{which}'); it is asked as text."
            )
            reader.remarks.append(reader.rows.complain(option, name, what))


def _labels(reader: Reader, config: Questions, asked: Sequence[_Found]) -> Sequence[str | None]:
    """[asked] meaning of the right answer."""
    assert config.label is not None
    values = [reader.rows.values[config.label][one.first] for one in asked]
    values = [None if value is None or not value.strip() else value.strip() for value in values]

    def text_of(question: int, meaning: str) -> str:
        return _filled(reader, config.answers[meaning], asked[question].answers[meaning])

    read = read_labels(values, config.answers, text_of)
    if read.complaint:
        reader.complain("label", config.label, read.complaint)
    missing = sum(value is None for value in values)
    if missing:
        what = f"has no value in {missing:,} of {len(values):,} questions, which have no right answer then."
        reader.remarks.append(reader.rows.complain("label", config.label, what))
    if read.remark:
        reader.remarks.append(reader.rows.complain("label", config.label, read.remark))
    return read.meanings
