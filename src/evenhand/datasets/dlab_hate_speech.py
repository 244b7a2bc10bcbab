"""Measuring Hate Speech (Berkeley D-Lab): comments, a hate score, and whom each annotator saw targeted."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, synthetic_posts
from evenhand.datasets.lib.config import Frozen, Limit
from evenhand.datasets.lib.leaks import normal
from evenhand.datasets.lib.placeholder import SMOKE, SMOKE_ROWS
from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import Rows, Wanted, read, refuse
from evenhand.errors import InputError
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
#: Share of the posts that a group is in besides those that are drawn for it.
_SMOKE_OVERLAP = 0.1


class Config(Frozen):
    """Which comments, and who is said to be targeted.

    Attributes:
        path: the hub dataset, or a file, glob or folder in its format (one row per comment and annotator).
        attribute: keep the comments that target it, sorted into its groups; `all` keeps every comment and
            has every attribute.
        targets: a comment's targets are those that most of its annotators saw (more than half), that its
            first row says (the original study), or that any annotator saw.
        limit: keep this many comments, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several comments with the same text that target the attribute. `first`
            takes all rows of a text for one comment, of which the first row says the score, as in the
            original study; with `targets: first` it says the targets too.
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
    wanted = tuple(GROUPS) if config.attribute == "all" else (config.attribute,)
    rows = read(locate(config.path), _wanted(wanted))
    reader = Reader(rows)
    every = np.arange(len(rows.sources))
    comment, first = _comments(rows, by_text=config.duplicates == "first")
    score = _scores(rows, reader)
    seen = {name: reader.flag("target", name, every) for name in _flags(wanted)}
    refuse(reader.complaints)
    flags = {name: _decide(flag, comment, first, config.targets) for name, flag in seen.items()}
    remarks = [*_disagreement(score, comment, first), *_by_others(seen, comment, first, config.targets)]
    if config.duplicates == "first":
        remarks += _joined(rows, first)
    keep = np.ones(len(first), bool)
    if config.attribute != "all":
        keep = flags[f"target_{config.attribute}"]
    texts = [(rows.values["text"][i] or "").strip() for i in first]
    blank = np.array([not text for text in texts])
    if (keep & blank).any():
        remarks.append(f"{int((keep & blank).sum()):,} comments have no text; they were skipped.")
    chosen, dropped = _chosen(np.flatnonzero(keep & ~blank), rows, first, config)
    if not len(chosen):
        raise InputError(f"{rows.title}: no comment targets {config.attribute} (targets: {config.targets}).")
    attributes = tuple(_attribute(name, flags, chosen) for name in wanted)
    if config.attribute != "all":
        nowhere = int((~np.any(attributes[0].flags, axis=0)).sum())
        if nowhere:
            remarks.append(f"{nowhere:,} comments target {config.attribute} but none of its groups.")
    ids = _numbered([str(rows.values["comment_id"][first[i]]) for i in chosen])
    labels = (score[first][chosen] > THRESHOLD).astype(np.int64)
    inputs = [rows.values["text"][first[i]] or "" for i in chosen]
    return Examples("text", ids, inputs, labels, CLASSES, attributes, (*remarks, *dropped))


def smoke(config: Config) -> Examples:
    """Made-up posts in the same form: whom one targets is drawn, and may be several groups."""
    posts = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS, difficulty=0.0))
    rng = np.random.default_rng(0)
    wanted = tuple(GROUPS) if config.attribute == "all" else (config.attribute,)
    attributes = []
    for name in wanted:
        flags = rng.random((len(GROUPS[name]), SMOKE_ROWS)) < _SMOKE_OVERLAP
        flags[rng.integers(len(flags), size=SMOKE_ROWS), np.arange(SMOKE_ROWS)] = True
        attributes.append(Attribute(f"target_{name}", "memberships", GROUPS[name], flags=flags))
    return Examples("text", posts.ids, posts.inputs, posts.labels, CLASSES, tuple(attributes), (SMOKE,))


def _flags(wanted: tuple[str, ...]) -> list[str]:
    """Names of the target columns of attributes."""
    return [c for name in wanted for c in (f"target_{name}", *(f"target_{name}_{g}" for g in GROUPS[name]))]


def _wanted(attributes: tuple[str, ...]) -> Wanted:
    """The columns that are needed."""
    names = ["comment_id", "text", "hate_speech_score", *_flags(attributes)]
    return Wanted(tuple(("column", name) for name in names), verbatim=("text",))


def _comments(rows: Rows, *, by_text: bool) -> tuple[IntArray, IntArray]:
    """[rows] the comment of each row, and [comments] the first row of each, in the order of the file.

    Args:
        rows: of the table.
        by_text: whether rows of one text are of one comment, whatever their comment_id.
    """
    number: dict[str, int] = {}
    comment, first = np.zeros(len(rows.sources), np.int64), []
    for i, given in enumerate(rows.values["comment_id"]):
        if given is None:
            raise InputError(rows.complain("column", "comment_id", f"has no value in row {i + 1}."))
        text = normal(rows.values["text"][i] or "") if by_text else ""
        name = f"text {text}" if text else given
        if name not in number:
            number[name] = len(number)
            first.append(i)
        comment[i] = number[name]
    return comment, np.array(first, np.int64)


def _joined(rows: Rows, first: IntArray) -> list[str]:
    """Tell of comments that count as one because they have one text."""
    comments = len(set(rows.values["comment_id"]))
    if comments <= len(first):
        return []
    return [
        f"{comments - len(first):,} comments that repeat an earlier comment's text count as that comment."
    ]


def _numbered(ids: list[str]) -> list[str]:
    """Ids that differ: a comment_id that has several texts is numbered."""
    times: Counter[str] = Counter()
    for i, name in enumerate(ids):
        times[name] += 1
        if times[name] > 1:
            ids[i] = f"{name}-{times[name]}"
    return ids


def _scores(rows: Rows, reader: Reader) -> FloatArray:
    """[rows] hate scores; complains of those that are no numbers."""
    values = np.full(len(rows.sources), np.nan)
    for i, text in enumerate(rows.values["hate_speech_score"]):
        try:
            values[i] = float(text) if text is not None else np.nan
        except ValueError:
            values[i] = np.nan
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = f"has no number in {len(bad):,} rows (first: row {bad[0] + 1})."
        reader.complain("column", "hate_speech_score", what)
    return values


def _decide(flag: BoolArray, comment: IntArray, first: IntArray, targets: str) -> BoolArray:
    """[comments] what the annotators' 0/1 values [rows] say together."""
    if targets == "first":
        return flag[first]
    votes = np.bincount(comment, weights=flag, minlength=len(first))
    if targets == "any":
        return np.asarray(votes > 0)
    return np.asarray(2 * votes > np.bincount(comment, minlength=len(first)))


def _by_others(seen: dict[str, BoolArray], comment: IntArray, first: IntArray, targets: str) -> list[str]:
    """Tell how many comments would be in other groups if other annotators decided."""
    other, who = ("first", "its first row") if targets == "majority" else ("majority", "the majority")
    differs = np.zeros(len(first), bool)
    for flag in seen.values():
        differs |= _decide(flag, comment, first, targets) != _decide(flag, comment, first, other)
    if not differs.any():
        return []
    return [
        f"{int(differs.sum()):,} of {len(first):,} comments would be in other groups if {who} decided "
        f"(targets: {other}; here {targets})."
    ]


def _disagreement(score: FloatArray, comment: IntArray, first: IntArray) -> list[str]:
    """Tell of comments whose rows have different scores."""
    odd = np.unique(comment[np.abs(score - score[first][comment]) > 1e-6])
    if not len(odd):
        return []
    return [f"{len(odd):,} comments have rows with different hate_speech_scores; the first row's is used."]


def _chosen(kept: IntArray, rows: Rows, first: IntArray, config: Config) -> tuple[IntArray, list[str]]:
    """Comments that stay after duplicates are dropped and the limit is kept."""
    remarks = []
    texts: dict[str, int] = {}
    for i in kept:
        texts.setdefault(normal(rows.values["text"][first[i]] or ""), int(i))
    again = len(kept) - len(texts)
    if again and config.duplicates == "drop":
        kept = np.array(sorted(texts.values()), np.int64)
        remarks.append(f"{again:,} comments that repeat another comment's text were dropped.")
    elif again:
        remarks.append(f"{again:,} comments repeat the text of another comment.")
    if config.limit is not None and config.limit < len(kept):

        def key(i: int) -> bytes:
            return hashlib.sha256(f"limit:{rows.values['comment_id'][first[i]]}".encode()).digest()

        remarks.append(f"{config.limit:,} of {len(kept):,} comments were drawn (limit).")
        kept = np.array(sorted(sorted(kept.tolist(), key=key)[: config.limit]), np.int64)
    return kept, remarks


def _attribute(name: str, flags: dict[str, BoolArray], chosen: IntArray) -> Attribute:
    """The groups of one attribute, which may overlap."""
    members = np.array([flags[f"target_{name}_{group}"][chosen] for group in GROUPS[name]], bool)
    return Attribute(f"target_{name}", "memberships", GROUPS[name], flags=members)
