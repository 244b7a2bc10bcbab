"""Plain texts for language modelling, and questions about held-out texts of the same kind."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, PromptSet, synthetic_posts
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import Value, read_texts, select_inputs
from evenhand.datasets.lib.prompts.questions import Questions, read_questions
from evenhand.datasets.lib.prompts.templates import expand_templates, read_templates
from evenhand.datasets.lib.reading.columns import attribute_complaints
from evenhand.datasets.lib.reading.read import raise_complaints
from evenhand.datasets.lib.smoke import SMOKE, SMOKE_ROWS, draw_partitions

INFO = DatasetInfo(
    title="Text snippets",
    task="language",
    labels="the next token",
    attributes=(),
    source="a column of any table; the paper: https://huggingface.co/datasets/facebook/md_gender_bias",
    licence="the table's own",
    problems=("The questions presuppose that a text reveals its author's gender; most texts do not.",),
)
_SMOKE_SNIPPETS, _SMOKE_OF_FAMILIES = 4, 5
_SMOKE_GROUPS = ("a", "b")


class Bias(Frozen):
    """Questions about test rows for a model after training.

    Attributes:
        templates: file of templates, or `paper`, the 45 prompts of the paper; None: the default set.
        families: names of the templates; None: all.
        variants: names of the variants (`words`, `letters_inverted`, ...); None: all.
        snippets: number of test rows to ask about.
        permutations: also rotate answers with signs to every position, for PriDe.
    """

    templates: str | None = None
    families: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    snippets: Limit = 200
    permutations: bool = True


class Config(Frozen):
    """Files of the texts, and questions.

    Attributes:
        path: file, glob, folder or hub id (`owner/name`), or several.
        files: glob; only matching files of a folder or a hub dataset are read.
        revision: branch, tag or commit of a hub dataset.
        text: column of texts.
        id: column with names of the rows; by default a hash of the text.
        by: partition attributes of the texts, one column each.
        where: keep only the rows with this value, or one of these values, in a column.
        split_column: column with the part of each row (train, validation, test).
        limit: number of rows to keep, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several rows with the same text.
        without_group: `drop` leaves out rows that lack a value in `by`; `refuse` raises an error.
        bias: questions about test rows.
        questions: instead of `bias`: questions from a table.
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
            raise ValueError("questions: give either bias or questions, not both")
        complaints = attribute_complaints(self.by, ())
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


def load(config: Config) -> Examples:
    """Read the texts, and the questions.

    Raises:
        InputError: a file cannot be read, or its values cannot be used.
    """
    prompts, on_prompts = _build_prompt_set(config)
    selection = select_inputs(config, {"text": config.text}, partial(read_texts, config.text))
    reader = selection.reader
    attributes = reader.read_attributes(config.by, (), selection.rows)
    parts = selection.read_parts()
    raise_complaints(reader.complaints)
    return Examples(
        "language", selection.ids, selection.values, np.zeros(len(selection.ids), np.int64), (), attributes,
        (*selection.remarks, *reader.remarks, *on_prompts), parts, prompts=prompts,
    )  # fmt: skip


def smoke(config: Config) -> Examples:
    """Write synthetic posts in place of the texts, and ask every fifth template about a few of them."""
    posts = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS))
    rng = np.random.default_rng(0)
    attributes = tuple(draw_partitions(config.by, _SMOKE_GROUPS, rng))
    bias = config.bias or Bias()
    names = bias.families or tuple(read_templates(bias.templates).templates)
    few = {"snippets": _SMOKE_SNIPPETS, "families": names[::_SMOKE_OF_FAMILIES]}
    bias = bias.model_copy(update=few)
    prompts, _ = _build_prompt_set(config.model_copy(update={"bias": bias, "questions": None}))
    return Examples(
        "language", posts.ids, posts.inputs, np.zeros(len(posts.ids), np.int64), (), attributes, (SMOKE,),
        prompts=prompts,
    )  # fmt: skip


def _build_prompt_set(config: Config) -> tuple[PromptSet, list[str]]:
    """Build the prompts, and remarks on them."""
    if config.questions is not None:
        questions, attributes, remarks = read_questions(config.questions)
        return PromptSet(questions=questions, attributes=attributes), remarks
    bias = config.bias or Bias()
    forms = expand_templates(
        read_templates(bias.templates), bias.families, bias.variants, permutations=bias.permutations
    )
    return PromptSet(forms=forms, snippets=bias.snippets), []
