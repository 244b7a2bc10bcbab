"""Remarks on generated texts before they are judged: missing, wrapped and overlong ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from evenhand.errors import TableError
from evenhand.tables.io.quoted import shorten
from evenhand.tables.schema import ArmRun, BoolArray

#: Words that exports write for a missing value.
_WORDS = frozenset({"none", "null", "nan", "<na>", "n/a", "na", "nil", "undefined"})
#: Marks by which models end a text or hand over to the next speaker.
_MARK = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:eos|bos|pad|end|end_of_turn|start_of_turn|end_of_text)>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:PAD|SEP|EOS)\]",
    re.IGNORECASE,
)
#: After the end of a sentence, one to three words and a colon: `He left. English: She left.`
_TURN = re.compile(r"[.!?…。][\"'”’»)\]]*\s+[#*]*\s*[^\W\d_]\w*(?: \w+){0,2}\s?:")
#: A completion is much longer than its references above `factor * words + extra` words.
_LENGTH_FACTOR, _EXTRA_WORDS = 2, 5
#: Smallest share of an arm's completions that causes a remark.
_MIN_SHARE = 0.01

#: Forms in which exports wrap a completion, with their description in a remark.
_WRAPPED = (
    (
        "is a list or record written as text",
        re.compile(r"\s*(?:\[\s*['\"{].*\]|\{\s*['\"].*\})\s*", re.DOTALL),
    ),
    ("is in quotation marks", re.compile(r"\s*(?:\"[^\"]*\"|'[^']*'|“[^”]*”|«[^»]*»)\s*", re.DOTALL)),
    (
        "begins with a label such as 'Translation:'",
        re.compile(
            r"\s*(?:translation|english|assistant|answer|output|response|model|bot)\s?:.*", re.I | re.DOTALL
        ),
    ),
    ("holds '=>' or '->', as prompts do", re.compile(r".*\s(?:=>|->)\s.*", re.DOTALL)),
    (r"holds a line break written as '\n'", re.compile(r".*\\n.*", re.DOTALL)),
    ("holds a line or paragraph separator", re.compile(r".*[\u2028\u2029\x85].*", re.DOTALL)),
    (
        "is an error message",
        re.compile(r"\s*(?:\w*error|\w*exception|traceback)\b\s?[:(].*", re.I | re.DOTALL),
    ),
)

Texts = Sequence[Sequence[str]]


def remarks_on_completions(
    arm_runs: Sequence[ArmRun],
    ids: Sequence[str],
    texts: Texts,
    missing: BoolArray,
    references: Texts,
    there: BoolArray | None = None,
) -> list[str]:
    """Remark on completions that are missing or empty, or that continue after their answer.

    Args:
        arm_runs: the runs.
        ids: [n] names of the rows.
        texts: [runs][n] completions.
        missing: [runs, n] True if a completion that a run should have has no value.
        references: [n] correct texts of each row.
        there: [runs, n] True if a run has the row; None if every run has every row.

    Raises:
        TableError: a run has no completion at all.
    """
    there = np.ones_like(missing) if there is None else there
    silent = [
        f"'{arm}' run '{run}'"
        for (arm, run), empty, present in zip(arm_runs, missing, there, strict=True)
        if (empty | ~present).all()
    ]
    if silent:
        raise TableError(
            f"Column 'completion' has no value in any row of {', '.join(silent)}; there is nothing to judge."
        )
    table = _Completions(arm_runs, ids, texts, [np.flatnonzero(present).tolist() for present in there])
    judged = "Each is judged as an empty text, which names no gender and shares no word with a reference"
    remarks = []
    if lacking := table.count(lambda k, i: bool(missing[k][i])):
        remarks.append(
            f"Column 'completion' has no value in {lacking}. {judged}; leave these rows out if the model "
            "did not get the prompt."
        )
    if blank := table.count(lambda k, i: not missing[k][i] and not texts[k][i].strip()):
        remarks.append(f"Column 'completion' is empty or blank in {blank}. {judged}.")
    if words := table.count(lambda k, i: texts[k][i].strip().lower() in _WORDS):
        examples = sorted(
            {t.strip() for run_texts in texts for t in run_texts if t.strip().lower() in _WORDS}
        )
        remarks.append(
            f"Column 'completion' is a word for a missing value ({', '.join(map(repr, examples[:5]))}) in "
            f"{words}. Each is judged as the text that it is."
        )
    for what, form in _WRAPPED:
        plain = [not any(map(form.fullmatch, right)) for right in references]
        if wrapped := table.count(partial(_has_form, texts, form, plain)):
            remarks.append(f"Column 'completion' {what} in {wrapped}. The whole text is judged as it is.")
    return remarks + _remark_on_constant(table, references) + _remark_on_overlong(table, references)


@dataclass(frozen=True)
class _Completions:
    """The completions of all runs.

    Attributes:
        arm_runs: the runs.
        ids: [n] names of the rows.
        texts: [runs][n] completions.
        rows: for each run, the indices of the rows that it has.
    """

    arm_runs: Sequence[ArmRun]
    ids: Sequence[str]
    texts: Texts
    rows: Sequence[Sequence[int]]

    def by_arm(self, hits: Iterable[tuple[int, int]]) -> str:
        """Count hits (run, row) of every arm: `1 of 20 rows of 'lora'`."""
        counts = Counter(self.arm_runs[k].arm for k, _ in hits)
        return ", ".join(f"{counts[arm]:,} of {size:,} rows of '{arm}'" for arm, size in self.sizes.items())

    @property
    def sizes(self) -> Counter[str]:
        """Number of rows of each arm, over its runs."""
        sizes: Counter[str] = Counter()
        for (arm, _), rows in zip(self.arm_runs, self.rows, strict=True):
            sizes[arm] += len(rows)
        return sizes

    def where(self, test: Callable[[int, int], object]) -> list[tuple[int, int]]:
        """List the (run, row) that pass a test."""
        return [(k, i) for k, rows in enumerate(self.rows) for i in rows if test(k, i)]

    def count(self, test: Callable[[int, int], bool]) -> str:
        """Count the rows of every arm that pass a test, and name the first; an empty text if none does."""
        hits = self.where(test)
        return f"{self.by_arm(hits)} (first: example '{self.ids[hits[0][1]]}')" if hits else ""


def _has_form(texts: Texts, form: re.Pattern[str], plain: Sequence[bool], k: int, i: int) -> bool:
    """Return True if a completion has a form that no reference of its row has."""
    return plain[i] and form.fullmatch(texts[k][i]) is not None


def _remark_on_constant(table: _Completions, references: Texts) -> list[str]:
    """Remark on models that always write the same text."""
    remarks = []
    for (arm, run), run_texts, rows in zip(table.arm_runs, table.texts, table.rows, strict=True):
        completions = [run_texts[i] for i in rows]
        answers = {tuple(references[i]) for i in rows}
        if len(completions) > 4 and completions[0].strip() and len({*completions}) == 1 < len(answers):
            remarks.append(
                f"Column 'completion' is the same text in all {len(completions):,} rows of '{arm}' "
                f"run '{run}': {shorten(completions[0], 100)!r}."
            )
    return remarks


def _remark_on_overlong(table: _Completions, references: Texts) -> list[str]:
    """Remark on completions that continue after their answer."""
    limits = [_limits(right) for right in references]
    kinds = {
        (k, i): kind
        for k, rows in enumerate(table.rows)
        for i in rows
        if (kind := _kind(table.texts[k][i], references[i], limits[i]))
    }
    counts = Counter(table.arm_runs[k].arm for k, _ in kinds)
    if not kinds or max(count / table.sizes[arm] for arm, count in counts.items()) < _MIN_SHARE:
        return []
    k, i = next(iter(kinds))
    listed = ", ".join(f"{n:,} {kind}" for kind, n in Counter(kinds.values()).most_common())
    return [
        f"Completions seem to continue after their answer in {table.by_arm(kinds)} ({listed}; first: "
        f"example '{table.ids[i]}': {shorten(table.texts[k][i], 100)!r}). The whole text is judged: pronouns "
        "and words of what follows count in every number, and arms may differ by the length of their "
        "continuations alone. Cut completions at the end of the answer to judge the answers only."
    ]


def _limits(references: Iterable[str]) -> tuple[int, int | None]:
    """Return the largest numbers of lines and words that the references of a completion allow."""
    lines, words = [1], []
    for text in references:
        lines.append(_lines(text))
        words.append(len(text.split()))
    return max(lines), _LENGTH_FACTOR * max(words) + _EXTRA_WORDS if words else None


def _kind(text: str, references: Sequence[str], limits: tuple[int, int | None]) -> str:
    """Describe how a completion continues after its answer; an empty text if it does not."""
    lines, words = limits
    if _MARK.search(text) and not any(_MARK.search(r) for r in references):
        return "with a mark of an end or a next speaker"
    if _lines(text) > lines:
        return "with several lines"
    if _TURN.search(text) and not any(_TURN.search(r) for r in references):
        return "with a next turn after a sentence"
    if words is not None and len(text.split()) > words:
        return "much longer than every reference"
    return ""


def _lines(text: str) -> int:
    return sum(1 for line in re.split(r"[\r\n]+", text) if line.strip())
