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
    canon = {text: _canonical(text, truth) for text in written}
    canonical_positive = None if positive is None else _canonical(tidy(positive) or positive, truth)
    labels = {canon[text] for a in answers for text in a.labels}
    observed = labels | {canon[text] for a in answers for text in (a.predictions or {})}
    # The order of the checks matters: each one explains a mistake that would make the next one misleading.
    gaps = _gaps(answers, canon)
    if gaps:
        return gaps
    every = _with_scored(observed, [a.scores for a in answers if a.scores])
    scored = every - observed
    if len(labels) <= 2 < len(every) and not scored:
        return _unknown(answers, canon, labels)
    shares = _shares(answers, canon, labels)
    if shares and not scored:
        return shares
    foreign = [
        a for a in answers if a.predictions and not scored and _unknown_predictions(a, canon, labels)[1]
    ]
    if foreign and len(every) > 2:
        return _unknown(foreign, canon, labels)
    chosen = (
        _binary(every, canonical_positive)
        if len(every) <= 2
        else _several(answers, every, canonical_positive)
    )
    if isinstance(chosen, list):
        return chosen
    names, remarks = chosen
    if len(every) > 2:
        remarks = [*remarks, *_never_labels(answers, canon, labels, titles)]
        remarks += _never_predicted(answers, canon, titles)
        unseen = shown([_title(name, titles) for name in in_order(scored)])
        remarks += [f"Class {unseen}: has scores, but no label and no prediction."] if scored else []
    index = {name: i for i, name in enumerate(names)}
    return Classes(
        tuple(names),
        1 if len(every) <= 2 else None,
        {text: index[name] for text, name in canon.items()},
        tuple(remarks),
        tuple(_title(name, titles) for name in names),
    )


def _title(name: str, titles: Sequence[str]) -> str:
    """Return the name in results of a class as tables write it."""
    return titles[int(name)] if titles and name.isdecimal() and int(name) < len(titles) else name


def _gaps(answers: Sequence[TableValues], canon: Mapping[str, str]) -> list[str]:
    """Complain of words for a missing value that occur only as labels, or only as predictions.

    A real class called `None` occurs as a label, and some model predicts it or gives it a score.
    """
    labels = {canon[text] for a in answers for text in a.labels}
    predicted = {canon[text] for a in answers for text in (a.predictions or {})}
    scored = {suffix for a in answers if a.scores for suffix in a.scores.suffixes}
    complaints = []
    for a in answers:
        for what, counts, others in (
            ("labels", a.labels, predicted | scored),
            ("predictions", a.predictions or {}, labels),
        ):
            for word in words_for_missing(counts, as_label=True):
                if canon[word] in others:
                    continue
                lack = "label is" if what == "predictions" else "prediction is" if others else ""
                complaints.append(
                    f"{a.title}: {counts[word]:,} {what} are '{word}', a word for a missing value"
                    f"{f' that no {lack}' if lack else ''}; leave these rows out, or give them a class of "
                    "another name."
                )
    return complaints


def _unknown_predictions(
    answers: TableValues, canon: Mapping[str, str], labels: set[str]
) -> tuple[dict[str, int], bool]:
    """Count the predictions that never occur as a label, by value; True if all predictions are such."""
    predictions = answers.predictions or {}
    strange = {text: n for text, n in predictions.items() if canon[text] not in labels}
    return strange, len(strange) == len(predictions)


def _never_labels(
    answers: Sequence[TableValues], canon: Mapping[str, str], labels: set[str], titles: Sequence[str]
) -> list[str]:
    """Remark on predictions that never occur as a label: a rare class, or another spelling of one."""
    remarks = []
    for a in answers:
        strange, _ = _unknown_predictions(a, canon, labels)
        if strange:
            rows = sum(strange.values())
            listed = shown([_title(text, titles) for text in strange])
            remarks.append(
                f"{a.title}: {rows:,} predictions are {listed}, which never occurs as a label; they count as "
                "wrong."
            )
    return remarks


def _never_predicted(
    answers: Sequence[TableValues], canon: Mapping[str, str], titles: Sequence[str]
) -> list[str]:
    """Remark on labels that no table predicts: a rare class, or a word that is not a class."""
    if any(a.predictions is None for a in answers):
        return []
    predicted = {canon[text] for a in answers for text in (a.predictions or {})}
    never = {text: n for text, n in answers[0].labels.items() if canon[text] not in predicted}
    if not never:
        return []
    rows = sum(never.values())
    listed = shown([_title(text, titles) for text in never])
    return [f"{rows:,} labels are {listed}, which is never predicted; each counts as a class."]


def _shares(answers: Sequence[TableValues], canon: Mapping[str, str], labels: set[str]) -> list[str]:
    """Complain of fractional labels without such predictions: shares of annotators, or measurements."""
    broken = fractional(in_order(labels))
    complaints = []
    for a in answers:
        if not broken or a.predictions is None:
            continue
        strange, _ = _unknown_predictions(a, canon, labels)
        predicted = {canon[text] for text in a.predictions}
        if predicted.isdisjoint(broken) or 2 * sum(strange.values()) > sum(a.predictions.values()):
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


def _unknown(answers: Sequence[TableValues], canon: Mapping[str, str], labels: set[str]) -> list[str]:
    """Complain of predictions that never occur as a label."""
    complaints = []
    for a in answers:
        strange, _ = _unknown_predictions(a, canon, labels)
        if strange:
            rows = sum(strange.values())
            known = in_order(labels)
            complaints.append(
                f"{a.title}: unknown labels: {rows:,} predictions are {shown(strange)}, but labels are "
                f"{shown(known)}; {_advice(list(strange), known)}"
            )
    return complaints


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
