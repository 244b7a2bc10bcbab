"""Plain text to learn from, and questions about texts of the same kind that were not learnt."""

from __future__ import annotations

from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, PromptSet, from_column, synthetic_posts
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import kept_of, names, texts
from evenhand.datasets.lib.leaks import fingerprint
from evenhand.datasets.lib.placeholder import SMOKE, SMOKE_ROWS
from evenhand.datasets.lib.prompts.questions import Questions, read_questions
from evenhand.datasets.lib.prompts.templates import forms_of, read_templates
from evenhand.datasets.lib.reading.columns import Reader, impossible
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import Wanted, read, refuse
from evenhand.tables.schema import Attribute

INFO = DatasetInfo(
    title="Text snippets",
    task="language",
    labels="the next token",
    attributes=(),
    source="a column of any table; the paper: https://huggingface.co/datasets/facebook/md_gender_bias",
    licence="the table's own",
    problems=("Texts are asked about as if they told their author's gender; most do not.",),
)
Value = str | int | float | bool
_SMOKE_SNIPPETS, _SMOKE_OF_FAMILIES = 4, 5
_SMOKE_GROUPS = ("a", "b")


class Bias(Frozen):
    """What a model is asked after training about test rows.

    Attributes:
        templates: file of templates, or `paper`, the 45 prompts of the paper; None: evenhand's own.
        families: names of the templates to ask; None: all.
        variants: which variants of them (`words`, `letters_inverted`, ...); None: all.
        snippets: about how many test rows.
        permutations: whether answers with signs are also turned to every place, for PriDe.
    """

    templates: str | None = None
    families: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    snippets: Limit = 200
    permutations: bool = True


class Config(Frozen):
    """Where the texts are, and what is asked.

    Attributes:
        path: file, glob, folder or hub id (`owner/name`), or several.
        files: of a folder or hub dataset only the files that match this glob.
        revision: of a hub dataset.
        text: column of texts.
        id: column that names a row; else a hash of its text.
        by: partition attributes of the texts, one column each.
        where: keep only the rows with this value, or one of these values, in a column.
        split_column: column that says a row's part (train, validation, test).
        limit: keep this many rows, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several rows with the same text.
        without_group: `drop` leaves out rows that lack a value in `by`; `refuse` asks to fill it.
        bias: what is asked about test rows.
        questions: in place of `bias`: questions out of a table.
    """

    path: str | tuple[str, ...]
    files: str | None = None
    revision: str | None = None
    text: str = "text"
    id: str | None = None
    by: tuple[str, ...] = ()
    where: dict[str, Value | tuple[Value, ...]] = Field(default_factory=dict)
    split_column: str | None = None
    limit: Limit | None = None
    duplicates: Literal["keep", "drop"] = "drop"
    without_group: Literal["refuse", "drop"] = "refuse"
    bias: Bias | None = None
    questions: Questions | None = None

    @model_validator(mode="after")
    def _can_be_meant(self) -> Config:
        if self.bias is not None and self.questions is not None:
            raise ValueError("questions: give either bias or questions; a study asks one of them")
        complaints = impossible(self.by, ())
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


def load(config: Config) -> Examples:
    """Read the texts, and the questions.

    Raises:
        InputError: a file cannot be read, or its values cannot be used.
    """
    asked, told_questions = _asked(config)
    named = [("text", config.text), ("id", config.id), ("split_column", config.split_column)]
    named += [*(("by", name) for name in config.by), *(("where", name) for name in config.where)]
    single = tuple((option, name) for option, name in named if name is not None)
    rows = read(
        locate(config.path, files=config.files, revision=config.revision),
        Wanted(single, (), (config.text,)),
    )
    reader = Reader(rows)
    kept = reader.where(config.where)
    if config.without_group == "drop":
        kept = reader.grouped(config.by, (), kept)
    refuse(reader.complaints)
    inputs = texts(rows, kept, config.text)
    marks = [fingerprint(value) for value in inputs.values]
    said = None if config.split_column is None else rows.values[config.split_column]
    ids, told = names(reader, inputs.rows, marks, column=config.id, duplicates=config.duplicates, parts=said)
    chosen, dropped = kept_of(ids, marks, limit=config.limit, duplicates=config.duplicates)
    kept = inputs.rows[chosen]
    attributes = reader.attributes(config.by, (), kept)
    refuse(reader.complaints)
    ids = [ids[i] for i in chosen]
    parts = None if said is None else from_column([said[i] for i in kept], ids)
    values = [str(inputs.values[i]) for i in chosen]
    remarks = (*inputs.remarks, *told, *dropped, *reader.remarks, *told_questions)
    return Examples(
        "language", ids, values, np.zeros(len(ids), np.int64), (), attributes, remarks, parts, asked=asked
    )


def smoke(config: Config) -> Examples:
    """Made-up posts in place of the texts; every fifth template is asked about few of them."""
    posts = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS))
    rng = np.random.default_rng(0)
    attributes = tuple(
        Attribute(name, "partition", _SMOKE_GROUPS, codes=rng.integers(len(_SMOKE_GROUPS), size=SMOKE_ROWS))
        for name in config.by
    )
    bias = config.bias or Bias()
    names = bias.families or tuple(read_templates(bias.templates).templates)
    few = {"snippets": _SMOKE_SNIPPETS, "families": names[::_SMOKE_OF_FAMILIES]}
    bias = bias.model_copy(update=few)
    asked, _ = _asked(config.model_copy(update={"bias": bias, "questions": None}))
    return Examples(
        "language", posts.ids, posts.inputs, np.zeros(len(posts.ids), np.int64), (), attributes, (SMOKE,),
        asked=asked,
    )  # fmt: skip


def _asked(config: Config) -> tuple[PromptSet, list[str]]:
    """What is asked, and remarks on it."""
    if config.questions is not None:
        questions, attributes, remarks = read_questions(config.questions)
        return PromptSet(questions=questions, attributes=attributes), remarks
    bias = config.bias or Bias()
    forms = forms_of(
        read_templates(bias.templates), bias.families, bias.variants, permutations=bias.permutations
    )
    return PromptSet(forms=forms, snippets=bias.snippets), []
