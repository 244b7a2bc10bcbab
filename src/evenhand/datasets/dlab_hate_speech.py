"""Measuring Hate Speech (Berkeley D-Lab): comments, a hate score, and the targets that each annotator saw."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, synthetic_posts
from evenhand.datasets.lib.config import Frozen, Limit
from evenhand.datasets.lib.deduplicate import draw_rows
from evenhand.datasets.lib.leaks import normalize_text
from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import RequiredColumns, Rows, raise_complaints, read_columns
from evenhand.datasets.lib.smoke import SMOKE, SMOKE_ROWS
from evenhand.errors import InputError, plural
from evenhand.tables.schema import Attribute, BoolArray, FloatArray, IntArray

INFO = DatasetInfo(
    title="Measuring Hate Speech",
    task="text",
    labels="hate (hate_speech_score above 0.5, positive) or no hate",
    attributes=("target_religion", "target_race", "target_gender", "target_sexuality", "target_age"),
    source="https://huggingface.co/datasets/ucberkeley-dlab/measuring-hate-speech (Sachdeva et al. 2022)",
    licence="CC BY 4.0",
    problems=(
        "Contains hateful and offensive language.",
        "Targets are what annotators saw; they disagree, and groups overlap.",
    ),
)
GROUPS = {
    "religion": ("atheist", "buddhist", "christian", "hindu", "jewish", "mormon", "muslim", "other"),
    "race": ("asian", "black", "latinx", "middle_eastern", "native_american", "pacific_islander", "white",
             "other"),
    "gender": ("men", "non_binary", "transgender_men", "transgender_unspecified", "transgender_women",
               "women", "other"),
    "sexuality": ("bisexual", "gay", "lesbian", "straight", "other"),
    "age": ("children", "teenagers", "young_adults", "middle_aged", "seniors", "other"),
}  # fmt: skip
CLASSES = ("no hate", "hate")
THRESHOLD = 0.5
#: Probability of a further group for a synthetic post, besides the one that is drawn for it.
_SMOKE_OVERLAP = 0.1


class Config(Frozen):
    """Selection of comments, and aggregation of their annotations.

    Attributes:
        path: the hub dataset, or a file, glob or folder in its format (one row per comment and annotator).
        attribute: keep the comments that target it, with its groups; `all` keeps every comment and reads
            every attribute.
        targets: targets of a comment: those that a majority of its annotators saw (more than half), those in
            its first row (as in the original study), or those that any annotator saw.
        limit: number of comments to keep, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several comments with the same text that target the attribute. `first`
            treats all rows of a text as one comment, with the score of the first row, as in the original
            study; with `targets: first`, also with the targets of the first row.
    """

    path: str = "ucberkeley-dlab/measuring-hate-speech"
    attribute: Literal["religion", "race", "gender", "sexuality", "age", "all"] = "religion"
    targets: Literal["majority", "first", "any"] = "majority"
    limit: Limit | None = None
    duplicates: Literal["keep", "drop", "first"] = "keep"


def load(config: Config) -> Examples:
    """Read the comments.

    Raises:
        InputError: files or columns are missing, or values cannot be used.
    """
    names = tuple(GROUPS) if config.attribute == "all" else (config.attribute,)
    rows = read_columns(locate(config.path), _required_columns(names))
    reader = Reader(rows)
    all_rows = np.arange(len(rows.sources))
    comment, first = _group_rows(rows, by_text=config.duplicates == "first")
    score = _read_scores(rows, reader)
    votes = {name: reader.read_flags("target", name, all_rows) for name in _flag_columns(names)}
    raise_complaints(reader.complaints)
    flags = {name: _aggregate(flag, comment, first, config.targets) for name, flag in votes.items()}
    remarks = [
        *_remark_on_scores(score, comment, first),
        *_remark_on_other_rule(votes, comment, first, config.targets),
    ]
    if config.duplicates == "first":
        remarks += _remark_on_merged(rows, first)
    keep = np.ones(len(first), bool)
    if config.attribute != "all":
        keep = flags[f"target_{config.attribute}"]
    texts = [(rows.values["text"][i] or "").strip() for i in first]
    blank = np.array([not text for text in texts])
    if (keep & blank).any():
        remarks.append(f"{int((keep & blank).sum()):,} comments have no text; they were skipped.")
    chosen, dropped = _select_comments(np.flatnonzero(keep & ~blank), rows, first, config)
    if not len(chosen):
        raise InputError(f"{rows.title}: no comment targets {config.attribute} (targets: {config.targets}).")
    attributes = tuple(_attribute(name, flags, chosen) for name in names)
    if config.attribute != "all":
        nowhere = int((~np.any(attributes[0].flags, axis=0)).sum())
        if nowhere:
            remarks.append(f"{nowhere:,} comments target {config.attribute} but none of its groups.")
    ids = _number_duplicates([str(rows.values["comment_id"][first[i]]) for i in chosen])
    labels = (score[first][chosen] > THRESHOLD).astype(np.int64)
    inputs = [rows.values["text"][first[i]] or "" for i in chosen]
    return Examples("text", ids, inputs, labels, CLASSES, attributes, (*remarks, *dropped))


def smoke(config: Config) -> Examples:
    """Write synthetic posts in the same form, with random targets: one group or several for each."""
    posts = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS, difficulty=0.0))
    rng = np.random.default_rng(0)
    names = tuple(GROUPS) if config.attribute == "all" else (config.attribute,)
    attributes = []
    for name in names:
        flags = rng.random((len(GROUPS[name]), SMOKE_ROWS)) < _SMOKE_OVERLAP
        flags[rng.integers(len(flags), size=SMOKE_ROWS), np.arange(SMOKE_ROWS)] = True
        attributes.append(Attribute(f"target_{name}", "memberships", GROUPS[name], flags=flags))
    return Examples("text", posts.ids, posts.inputs, posts.labels, CLASSES, tuple(attributes), (SMOKE,))


def _flag_columns(names: tuple[str, ...]) -> list[str]:
    """List the names of the target columns of attributes."""
    return [c for name in names for c in (f"target_{name}", *(f"target_{name}_{g}" for g in GROUPS[name]))]


def _required_columns(attributes: tuple[str, ...]) -> RequiredColumns:
    """List the columns to read."""
    names = ["comment_id", "text", "hate_speech_score", *_flag_columns(attributes)]
    return RequiredColumns(tuple(("column", name) for name in names), verbatim=("text",))


def _group_rows(rows: Rows, *, by_text: bool) -> tuple[IntArray, IntArray]:
    """Group rows into comments.

    Args:
        rows: rows of the table.
        by_text: treat rows with the same text as one comment, regardless of their comment_id.

    Returns:
        [rows] number of each row's comment, and [comments] first row of each, in the order of the file.
    """
    number: dict[str, int] = {}
    comment, first = np.zeros(len(rows.sources), np.int64), []
    for i, comment_id in enumerate(rows.values["comment_id"]):
        if comment_id is None:
            raise InputError(rows.complain("column", "comment_id", f"has no value in row {i + 1}."))
        text = normalize_text(rows.values["text"][i] or "") if by_text else ""
        name = f"text {text}" if text else comment_id
        if name not in number:
            number[name] = len(number)
            first.append(i)
        comment[i] = number[name]
    return comment, np.array(first, np.int64)


def _remark_on_merged(rows: Rows, first: IntArray) -> list[str]:
    """Remark on comments that count as one because they have the same text."""
    comments = len(set(rows.values["comment_id"]))
    if comments <= len(first):
        return []
    return [
        f"{comments - len(first):,} comments that repeat an earlier comment's text count as that comment."
    ]


def _number_duplicates(ids: list[str]) -> list[str]:
    """Make ids unique: a comment_id with several texts is numbered."""
    times: Counter[str] = Counter()
    for i, name in enumerate(ids):
        times[name] += 1
        if times[name] > 1:
            ids[i] = f"{name}-{times[name]}"
    return ids


def _read_scores(rows: Rows, reader: Reader) -> FloatArray:
    """Read hate scores [rows], NaN where a value is not a finite number, with a complaint."""
    values = np.full(len(rows.sources), np.nan)
    for i, text in enumerate(rows.values["hate_speech_score"]):
        try:
            values[i] = float(text) if text is not None else np.nan
        except ValueError:
            values[i] = np.nan
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = f"has no number in {plural(len(bad), 'row')} (first: row {bad[0] + 1})."
        reader.complain("column", "hate_speech_score", what)
    return values


def _aggregate(flag: BoolArray, comment: IntArray, first: IntArray, targets: str) -> BoolArray:
    """Aggregate the annotators' 0/1 values [rows] to one value for each comment [comments]."""
    if targets == "first":
        return flag[first]
    votes = np.bincount(comment, weights=flag, minlength=len(first))
    if targets == "any":
        return np.asarray(votes > 0)
    return np.asarray(2 * votes > np.bincount(comment, minlength=len(first)))


def _remark_on_other_rule(
    votes: dict[str, BoolArray], comment: IntArray, first: IntArray, targets: str
) -> list[str]:
    """Remark on the number of comments that would be in other groups under another rule for `targets`."""
    other, who = ("first", "its first row") if targets == "majority" else ("majority", "the majority")
    differs = np.zeros(len(first), bool)
    for flag in votes.values():
        differs |= _aggregate(flag, comment, first, targets) != _aggregate(flag, comment, first, other)
    if not differs.any():
        return []
    return [
        f"{int(differs.sum()):,} of {len(first):,} comments would be in other groups if {who} decided "
        f"(targets: {other}; here {targets})."
    ]


def _remark_on_scores(score: FloatArray, comment: IntArray, first: IntArray) -> list[str]:
    """Remark on comments whose rows have different scores."""
    odd = np.unique(comment[np.abs(score - score[first][comment]) > 1e-6])
    if not len(odd):
        return []
    return [f"{len(odd):,} comments have rows with different hate_speech_scores; the first row's is used."]


def _select_comments(
    selected: IntArray, rows: Rows, first: IntArray, config: Config
) -> tuple[IntArray, list[str]]:
    """Drop duplicates, then draw comments up to the limit; returns their numbers and remarks."""
    remarks = []
    texts: dict[str, int] = {}
    for i in selected:
        texts.setdefault(normalize_text(rows.values["text"][first[i]] or ""), int(i))
    again = len(selected) - len(texts)
    if again and config.duplicates == "drop":
        selected = np.array(sorted(texts.values()), np.int64)
        remarks.append(f"Dropped {plural(again, 'comment')} with the text of another comment.")
    elif again:
        remarks.append(f"{again:,} comments repeat the text of another comment.")
    drawn = draw_rows(
        selected.tolist(), [str(rows.values["comment_id"][first[i]]) for i in selected], config.limit
    )
    if len(drawn) < len(selected):
        remarks.append(f"{len(drawn):,} of {len(selected):,} comments were drawn (limit).")
    return np.array(drawn, np.int64), remarks


def _attribute(name: str, flags: dict[str, BoolArray], chosen: IntArray) -> Attribute:
    """Build the memberships of one attribute, whose groups may overlap."""
    members = np.array([flags[f"target_{name}_{group}"][chosen] for group in GROUPS[name]], bool)
    return Attribute(f"target_{name}", "memberships", GROUPS[name], flags=members)
