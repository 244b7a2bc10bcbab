"""Which classes there are, and which one is positive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evenhand.errors import nearest
from evenhand.tables.scores import Scores
from evenhand.tables.values import in_order, shown, tidy

_TRUTH = {"true": "1", "false": "0", "1": "1", "0": "0"}


@dataclass(frozen=True)
class Answers:
    """What one table says about classes.

    Attributes:
        title: what complaints call the table.
        labels: rows by label, as written.
        predictions: rows by prediction, as written; None when the table has scores only.
        scores: where its scores are, or None.
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
        codes: index of the class for every way to write it.
        remarks: what is worth knowing about them.
    """

    names: tuple[str, ...]
    positive: int | None
    codes: Mapping[str, int]
    remarks: tuple[str, ...] = ()


def decide(answers: Sequence[Answers], positive: str | None) -> Classes | list[str]:
    """Find the classes, or complain.

    Args:
        answers: what each table says.
        positive: the positive class as the call names it.
    """
    written = {text for a in answers for text in (*a.labels, *(a.predictions or {}))}
    truth = all(text.strip().lower() in _TRUTH for text in written)
    canon = {text: _canonical(text, truth) for text in written}
    wanted = None if positive is None else _canonical(tidy(positive) or positive, truth)
    labels = {canon[text] for a in answers for text in a.labels}
    observed = labels | {canon[text] for a in answers for text in (a.predictions or {})}
    every = _with_scored(observed, [a.scores for a in answers if a.scores])
    if len(labels) <= 2 < len(every) and every == observed:
        return _unknown(answers, canon, labels)
    chosen = _binary(every, wanted) if len(every) <= 2 else _several(answers, every, wanted)
    if isinstance(chosen, list):
        return chosen
    names, remarks = chosen
    index = {name: i for i, name in enumerate(names)}
    return Classes(
        tuple(names),
        1 if len(every) <= 2 else None,
        {text: index[name] for text, name in canon.items()},
        tuple(remarks),
    )


def _canonical(text: str, truth: bool) -> str:
    """The class that a text means; true and false are 1 and 0 where nothing else occurs."""
    bare = text.strip()
    return _TRUTH.get(bare.lower(), bare) if truth else (tidy(bare) or bare)


def _with_scored(observed: set[str], scores: Iterable[Scores]) -> set[str]:
    """The classes together with those that have scores but occur in no row."""
    every = set(observed)
    for found in scores:
        if found.single:
            continue
        columns = set(found.suffixes) or {str(i) for i in range(found.length)}
        if observed <= columns:
            every |= columns
    return every


def _unknown(answers: Sequence[Answers], canon: Mapping[str, str], labels: set[str]) -> list[str]:
    """Complain of predictions that are no label."""
    complaints = []
    for a in answers:
        strange: dict[str, int] = {}
        for text, n in (a.predictions or {}).items():
            if canon[text] not in labels:
                strange[text] = strange.get(text, 0) + n
        if strange:
            rows = sum(strange.values())
            complaints.append(
                f"{a.title}: unknown labels: {rows:,} predictions are {shown(strange)}, but labels are "
                f"{shown(in_order(labels))}; {nearest(next(iter(strange)), in_order(labels))}"
            )
    return complaints


def _several(
    answers: Sequence[Answers], every: set[str], wanted: str | None
) -> tuple[list[str], list[str]] | list[str]:
    """Three classes or more, in order."""
    names = in_order(every)
    complaints = []
    if wanted is not None:
        complaints.append(
            f"--positive '{wanted}': a positive class is for two classes, but there are {len(names)}: "
            f"{shown(names)}."
        )
    complaints += [
        f"{a.title}: --score '{a.scores.title}': one score per row is the probability of the positive class, "
        f"but there are {len(names)} classes ({shown(names)}); give one score per class."
        for a in answers
        if a.scores is not None and a.scores.single
    ]
    return complaints or (names, [])


def _binary(every: set[str], wanted: str | None) -> tuple[list[str], list[str]] | list[str]:
    """Two classes, the negative one first; where only one occurs, the other is still named."""
    names = in_order(every)
    if every <= {"0", "1"} and wanted in {None, "0", "1"}:
        return (["1", "0"] if wanted == "0" else ["0", "1"]), []
    if wanted is None and "1" in every and len(every) == 2:
        return sorted(names, key=lambda name: name == "1"), []
    if wanted is None:
        return [
            f"--positive: the classes are {shown(names)}; say with --positive VALUE which one is positive."
        ]
    if len(names) == 2:
        if wanted not in every:
            return [f"--positive '{wanted}': is none of the classes; {nearest(wanted, names)}"]
        return sorted(names, key=lambda name: name == wanted), []
    if wanted in every:
        return [f"not {wanted}", wanted], [f"Every label and prediction is '{wanted}'."]
    remark = f"No label and no prediction is '{wanted}', the positive class; all are '{names[0]}'."
    return [names[0], wanted], [remark]
