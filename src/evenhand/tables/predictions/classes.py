"""Determine the classes of a task, and the positive one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evenhand.errors import nearest
from evenhand.tables.predictions.scores import Scores
from evenhand.tables.reader.labels import SELF_EVIDENT, fractional, words_for_missing
from evenhand.tables.values import in_order, shown, tidy

_TRUTH = {"true": "1", "false": "0", "1": "1", "0": "0"}


@dataclass(frozen=True)
class TableValues:
    """The labels, predictions and scores of one table.

    Attributes:
        title: the name of the table in complaints.
        labels: number of rows by label, as written.
        predictions: number of rows by prediction, as written; None if the table has scores only.
        scores: the location of its scores, or None.
    """

    title: str
    labels: Mapping[str, int]
    predictions: Mapping[str, int] | None
    scores: Scores | None


@dataclass(frozen=True)
class Classes:
    """The classes of a task.

    Attributes:
        names: class names; binary ones are (negative, positive).
        positive: index of the positive class when binary, else None.
        codes: index of the class for every spelling of it.
        remarks: remarks on the classes.
        titles: names of the classes in results.
    """

    names: tuple[str, ...]
    positive: int | None
    codes: Mapping[str, int]
    remarks: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Values:
    """The values of all tables and the classes that they mean.

    Attributes:
        tables: values of each table.
        meaning: class of every text: true and false are 1 and 0 if all values are truth values.
        titles: names of the classes in results, where tables hold their numbers from 0; else empty.
    """

    tables: Sequence[TableValues]
    meaning: Mapping[str, str]
    titles: Sequence[str]

    @property
    def labels(self) -> set[str]:
        """The classes that occur as labels."""
        return {self.meaning[text] for table in self.tables for text in table.labels}

    @property
    def predicted(self) -> set[str]:
        """The classes that occur as predictions."""
        return {self.meaning[text] for table in self.tables for text in (table.predictions or {})}

    def never_labels(self, table: TableValues) -> dict[str, int]:
        """Count the predictions of a table that never occur as a label, by value."""
        labels = self.labels
        return {text: n for text, n in (table.predictions or {}).items() if self.meaning[text] not in labels}

    def title(self, name: str) -> str:
        """Return the name in results of a class as tables write it."""
        return self.titles[int(name)] if name.isdecimal() and int(name) < len(self.titles) else name

    def shown(self, names: Iterable[str]) -> str:
        """Format classes for a sentence by their names in results."""
        return shown([self.title(name) for name in names])


def resolve_classes(
    answers: Sequence[TableValues], positive: str | None, titles: Sequence[str] = ()
) -> Classes | list[str]:
    """Determine the classes from the values of all tables.

    Args:
        answers: values of each table.
        positive: the positive class as the user names it.
        titles: names of the classes in results, where tables hold their numbers from 0; else empty.

    Returns:
        The classes, or complaints.
    """
    written = {text for a in answers for text in (*a.labels, *(a.predictions or {}))}
    truth = all(text.strip().lower() in _TRUTH for text in written)
    values = _Values(answers, {text: _canonical(text, truth) for text in written}, titles)
    canonical_positive = None if positive is None else _canonical(tidy(positive) or positive, truth)
    observed = values.labels | values.predicted
    # The order of the checks matters: each one explains a mistake that would make the next one misleading.
    gaps = _gaps(values)
    if gaps:
        return gaps
    every = _with_scored(observed, [a.scores for a in answers if a.scores])
    scored = every - observed
    if len(values.labels) <= 2 < len(every) and not scored:
        return _unknown(values, answers)
    shares = _shares(values)
    if shares and not scored:
        return shares
    foreign = [
        a for a in answers if a.predictions and not scored and values.never_labels(a) == dict(a.predictions)
    ]
    if foreign and len(every) > 2:
        return _unknown(values, foreign)
    several = len(every) > 2
    chosen = _several(answers, every, canonical_positive) if several else _binary(every, canonical_positive)
    if isinstance(chosen, list):
        return chosen
    names, remarks = chosen
    if several:
        remarks = [*remarks, *_never_labels(values), *_never_predicted(values)]
        unseen = values.shown(in_order(scored))
        remarks += [f"Class {unseen}: has scores, but no label and no prediction."] if scored else []
    index = {name: i for i, name in enumerate(names)}
    return Classes(
        tuple(names),
        None if several else 1,
        {text: index[name] for text, name in values.meaning.items()},
        tuple(remarks),
        tuple(map(values.title, names)),
    )


def _gaps(values: _Values) -> list[str]:
    """Complain of words for a missing value that occur only as labels, or only as predictions.

    A real class called `None` occurs as a label, and some model predicts it or gives it a score.
    """
    scored = {suffix for a in values.tables if a.scores for suffix in a.scores.suffixes}
    complaints = []
    for a in values.tables:
        for what, counts, others in (
            ("labels", a.labels, values.predicted | scored),
            ("predictions", a.predictions or {}, values.labels),
        ):
            for word in words_for_missing(counts, as_label=True):
                if values.meaning[word] in others:
                    continue
                lack = "label is" if what == "predictions" else "prediction is" if others else ""
                complaints.append(
                    f"{a.title}: {counts[word]:,} {what} are '{word}', a word for a missing value"
                    f"{f' that no {lack}' if lack else ''}; leave these rows out, or give them a class of "
                    "another name."
                )
    return complaints


def _never_labels(values: _Values) -> list[str]:
    """Remark on predictions that never occur as a label: a rare class, or another spelling of one."""
    return [
        f"{a.title}: {sum(strange.values()):,} predictions are {values.shown(strange)}, which never occurs "
        "as a label; they count as wrong."
        for a in values.tables
        if (strange := values.never_labels(a))
    ]


def _never_predicted(values: _Values) -> list[str]:
    """Remark on labels that no table predicts: a rare class, or a word that is not a class."""
    predicted, labels = values.predicted, values.tables[0].labels
    never = {text: n for text, n in labels.items() if values.meaning[text] not in predicted}
    if not never or any(a.predictions is None for a in values.tables):
        return []
    return [
        f"{sum(never.values()):,} labels are {values.shown(never)}, which is never predicted; each counts as "
        "a class."
    ]


def _shares(values: _Values) -> list[str]:
    """Complain of fractional labels without such predictions: shares of annotators, or measurements."""
    broken = fractional(in_order(values.labels))
    complaints = []
    for a in values.tables:
        if not broken or a.predictions is None:
            continue
        predicted = {values.meaning[text] for text in a.predictions}
        strange = sum(values.never_labels(a).values())
        if predicted.isdisjoint(broken) or 2 * strange > sum(a.predictions.values()):
            complaints.append(
                f"{a.title}: labels such as '{broken[0]}' are shares or measurements, and predictions are "
                f"{shown(in_order(predicted), 5)}; give classes (such as 1 where a share is at least 0.5)."
            )
    return complaints


def _canonical(text: str, truth: bool) -> str:
    """Return the class of a text; true and false are 1 and 0 if all values are truth values (`truth`)."""
    bare = text.strip()
    return _TRUTH.get(bare.lower(), bare) if truth else (tidy(bare) or bare)


def _with_scored(observed: set[str], scores: Iterable[Scores]) -> set[str]:
    """Add the classes that have scores but occur in no row."""
    every = set(observed)
    for table_scores in scores:
        if table_scores.single:
            continue
        columns = set(table_scores.suffixes) or {str(i) for i in range(table_scores.length)}
        if observed <= columns:
            every |= columns
    return every


def _unknown(values: _Values, tables: Sequence[TableValues]) -> list[str]:
    """Complain of predictions of some tables that never occur as a label."""
    known = in_order(values.labels)
    return [
        f"{a.title}: unknown labels: {sum(strange.values()):,} predictions are {shown(strange)}, but labels "
        f"are {shown(known)}; {_advice(list(strange), known)}"
        for a in tables
        if (strange := values.never_labels(a))
    ]


def _advice(strange: Sequence[str], labels: Sequence[str]) -> str:
    """Guess the mistake behind predictions that never occur as a label."""
    numbers = [_number(text) for text in strange]
    if all(number is not None and 0 <= number <= 1 and number != int(number) for number in numbers):
        return "are they probabilities? --score names their column."
    class_numbers = all(text.removeprefix("LABEL_").isdecimal() for text in strange)
    if class_numbers and not any(text.isdecimal() for text in labels):
        return "are they the numbers of the classes? Give labels and predictions by the same names."
    if {text.casefold() for text in strange} <= {text.casefold() for text in labels}:
        return "they differ in capital letters only; write them alike."
    guess = nearest(strange[0], labels)
    return guess if guess.startswith("did") else "rename them, or name another column with --prediction."


def _number(text: str) -> float | None:
    """Convert a text to a number; None if it is not one."""
    try:
        return float(text)
    except ValueError:
        return None


def _several(
    answers: Sequence[TableValues], every: set[str], positive: str | None
) -> tuple[list[str], list[str]] | list[str]:
    """Order three or more classes; return (names, remarks) or complaints."""
    names = in_order(every)
    complaints = []
    if positive is not None:
        complaints.append(
            f"--positive '{positive}': a positive class is for two classes, but there are {len(names)}: "
            f"{shown(names)}."
        )
    complaints += [
        f"{a.title}: --score '{a.scores.title}': one score per row is the probability of the positive class, "
        f"but there are {len(names)} classes ({shown(names)}); give one score per class."
        for a in answers
        if a.scores is not None and a.scores.single
    ]
    return complaints or (names, [])


def _binary(every: set[str], positive: str | None) -> tuple[list[str], list[str]] | list[str]:
    """Order two classes, the negative one first; return (names, remarks) or complaints.

    Where only one class occurs, the other still gets a name.
    """
    names = in_order(every)
    pair = next((pair for pair in SELF_EVIDENT if every <= set(pair) and positive in {None, *pair}), None)
    if pair is not None:
        return list(reversed(pair) if positive == pair[0] else pair), []
    if positive is None:
        known = "the classes are" if len(names) > 1 else "the only class is"
        return [f"--positive: {known} {shown(names)}; name the positive one with --positive VALUE."]
    if len(names) == 2:
        if positive not in every:
            return [f"--positive '{positive}': is not one of the classes; {nearest(positive, names)}"]
        return sorted(names, key=lambda name: name == positive), []
    if positive in every:
        return [f"not {positive}", positive], [f"Every label and prediction is '{positive}'."]
    remark = f"No label and no prediction is '{positive}', the positive class; all are '{names[0]}'."
    return [names[0], positive], [remark]
