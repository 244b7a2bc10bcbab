"""Which answer of a question is right: labels in any of the ways in which data sets say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evenhand.tables.values import shown, tidy

_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<mark>\d+)")
_LETTERED = re.compile(
    r"(?P<stem>|.*[a-z](?=[A-Z])|.*[_\W\d]|op|opt|option|ans|answer|choice)(?P<mark>[A-Za-z])"
)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SLOT = re.compile(r"{([^{}]*)}")


@dataclass(frozen=True)
class Labels:
    """How labels are read.

    Attributes:
        meanings: [rows] the right answer; None where a row has no label.
        complaint: why they cannot be read; empty when they can.
        remark: how numbers, letters and texts are read; empty where all labels are names.
    """

    meanings: Sequence[str | None]
    complaint: str = ""
    remark: str = ""


def read_labels(
    labels: Sequence[str | None], answers: Mapping[str, str], text_of: Callable[[int, str], str]
) -> Labels:
    """Read the labels of questions.

    A label is the meaning of an answer, the column that it comes from, its number or letter, or its text. A
    number is that of the answer's column where these are numbered (`ans0`, `ans1`), else that of its meaning
    where these are, else its place in the order of the answers, from 0. Letters likewise.

    Args:
        labels: [rows] labels, None where there is none.
        answers: templates of the answers, by meaning.
        text_of: what an answer says: from the number of the row and the meaning.
    """
    names = _names(answers)
    used = list(dict.fromkeys(label for label in labels if label is not None))
    others = [label for label in used if label not in names]
    if not others:
        return Labels([None if label is None else names[label] for label in labels])
    signs, basis = _signs(answers, others)
    known = signs | names
    by_text = _by_text(labels, answers, text_of)
    lost = [label for label in others if label not in known]
    if lost and by_text is not None:
        return Labels(by_text, remark="is read as the texts of the answers.")
    found = [None if label is None else known.get(label) for label in labels]
    if lost:
        allowed = ", ".join(dict.fromkeys((*answers, *sorted(sign for sign in signs if sign.isdecimal()))))
        return Labels(
            found,
            complaint=f"is '{lost[0]}' in {sum(label == lost[0] for label in labels):,} rows; must be one of "
            f"{allowed}, or the text of one answer in its row. Numbers are those of {basis}; to count "
            "otherwise, call each answer by its number.",
        )
    if by_text is not None and by_text != found:
        told = f"holds {shown(used, 4)}, which may be numbers or texts of the answers; name them by meaning."
        return Labels(found, complaint=told)
    listed = ", ".join(
        f"'{label}' as '{known[label]}' ({answers[known[label]].strip()})" for label in sorted(others)
    )
    return Labels(found, remark=f"is read with {listed}: by {basis}.")


def _names(answers: Mapping[str, str]) -> dict[str, str]:
    """Meanings, and the columns of the answers where each has one of its own; meanings go first."""
    columns = {column: meaning for meaning, column in _columns(answers).items()}
    return columns | {tidy(meaning) or meaning: meaning for meaning in answers}


def _columns(answers: Mapping[str, str]) -> dict[str, str]:
    """The column of each answer; empty unless each has one column, and no other has it."""
    slots = {meaning: set(_SLOT.findall(text)) for meaning, text in answers.items()}
    columns = {meaning: next(iter(own)) for meaning, own in slots.items() if len(own) == 1}
    return columns if len(set(columns.values())) == len(answers) else {}


def _signs(answers: Mapping[str, str], labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """Numbers and letters of the answers, and what they are the numbers or letters of."""
    for names, what in ((_columns(answers), "the columns"), ({m: m for m in answers}, "the meanings")):
        numbers = _marks(_NUMBERED, names)
        if numbers and len(numbers) == len(answers):
            order = [numbers[n] for n in sorted(numbers, key=int)]
            by_number = {str(int(n)): meaning for n, meaning in numbers.items()}
            counted = sorted(map(int, numbers)) == list(range(1, len(order) + 1))
            if counted and "0" in labels and str(len(order)) not in labels:
                # Labels from 0 beside columns from 1: only the first can be 0.
                return _lettered(order) | _counted(order), f"{what}, which count from 1, less 1"
            return _lettered(order) | by_number, f"{what}"
        letters = _marks(_LETTERED, names)
        if letters and len(letters) == len(answers) and len({n.upper() for n in letters}) == len(answers):
            order = [letters[n] for n in sorted(letters, key=str.upper)]
            if sorted(n.upper() for n in letters) == list(_ALPHABET[: len(order)]):
                return _lettered(order) | _counted(order), f"{what}, in the order of their letters, from 0"
    order = list(answers)
    single = any(len(meaning) == 1 and meaning.isalpha() for meaning in answers)
    capitals = {} if single else dict(zip(_ALPHABET, order, strict=False))
    return capitals | _counted(order), "the answers in their order, from 0"


def _marks(pattern: re.Pattern[str], names: Mapping[str, str]) -> dict[str, str]:
    """The meaning of each mark that alone tells the names apart; empty when it does not."""
    found = {meaning: pattern.fullmatch(name) for meaning, name in names.items()}
    stems = {match["stem"] for match in found.values() if match is not None}
    if len(stems) != 1 or any(match is None for match in found.values()):
        return {}
    return {match["mark"]: meaning for meaning, match in found.items() if match is not None}


def _counted(order: Sequence[str]) -> dict[str, str]:
    return {str(i): meaning for i, meaning in enumerate(order)}


def _lettered(order: Sequence[str]) -> dict[str, str]:
    """Letters, capital or small, of answers that columns or meanings put in order."""
    pairs = list(zip(_ALPHABET, order, strict=False))
    return dict(pairs) | {a.lower(): m for a, m in pairs}


def _by_text(
    labels: Sequence[str | None], answers: Mapping[str, str], text_of: Callable[[int, str], str]
) -> list[str | None] | None:
    """[rows] the one answer whose text a label is; None unless every label is one."""
    found: list[str | None] = []
    for row, label in enumerate(labels):
        fits = [m for m in answers if label is not None and _plain(text_of(row, m)) == _plain(label)]
        if label is not None and len(fits) != 1:
            return None
        found.append(fits[0] if fits else None)
    return found


def _plain(text: str) -> str:
    return (tidy(text.strip()) or text.strip()).casefold()
