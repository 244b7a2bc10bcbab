"""Labels of questions: the correct answer, by any of the conventions that datasets use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evenhand.errors import plural
from evenhand.tables.values import shown, tidy

_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<mark>\d+)")
_LETTERED = re.compile(
    r"(?P<stem>|.*[a-z](?=[A-Z])|.*[_\W\d]|op|opt|option|ans|answer|choice)(?P<mark>[A-Za-z])"
)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SLOT = re.compile(r"{([^{}]*)}")


@dataclass(frozen=True)
class Labels:
    """Labels of questions as meanings.

    Attributes:
        meanings: [rows] meaning of the correct answer; None where a row has no label.
        complaint: reason why the labels cannot be read; empty when they can.
        remark: interpretation of numbers, letters and texts; empty where all labels are names.
    """

    meanings: Sequence[str | None]
    complaint: str = ""
    remark: str = ""


def read_labels(
    labels: Sequence[str | None], answers: Mapping[str, str], text_of: Callable[[int, str], str]
) -> Labels:
    """Read the labels of questions.

    A label is the meaning of an answer, the name of its column, its number or letter, or its text. A number
    refers to the answers' columns where these are numbered (`ans0`, `ans1`), else to the meanings where these
    are numbered, else to the position among the answers, from 0. The same holds for letters.

    Args:
        labels: [rows] labels, None where a row has none.
        answers: templates of the answers, by meaning.
        text_of: returns the text of an answer, given the number of the row and the meaning.
    """
    names = _meanings_by_name(answers)
    used = list(dict.fromkeys(label for label in labels if label is not None))
    unnamed = [label for label in used if label not in names]
    if not unnamed:
        return Labels([None if label is None else names[label] for label in labels])
    signs, basis = _meanings_by_sign(answers, unnamed)
    known = signs | names
    by_text = _match_texts(labels, answers, text_of)
    unknown = [label for label in unnamed if label not in known]
    if unknown and by_text is not None:
        return Labels(by_text, remark="is read as the texts of the answers.")
    meanings = [None if label is None else known.get(label) for label in labels]
    if unknown:
        allowed = ", ".join(dict.fromkeys((*answers, *sorted(sign for sign in signs if sign.isdecimal()))))
        return Labels(
            meanings,
            complaint=f"is '{unknown[0]}' in {plural(list(labels).count(unknown[0]), 'row')}; must be "
            f"one of {allowed}, or the text of one answer in its row. Numbers refer to {basis}; for another "
            "numbering, use the numbers as meanings.",
        )
    if by_text is not None and by_text != meanings:
        problem = (
            f"holds {shown(used, 4)}, which may be numbers or texts of the answers; name them by meaning."
        )
        return Labels(meanings, complaint=problem)
    listed = ", ".join(
        f"'{label}' as '{known[label]}' ({answers[known[label]].strip()})" for label in sorted(unnamed)
    )
    return Labels(meanings, remark=f"is read with {listed}: by {basis}.")


def _meanings_by_name(answers: Mapping[str, str]) -> dict[str, str]:
    """Map names to meanings: the meanings themselves, and, with lower priority, the answers' columns."""
    columns = {column: meaning for meaning, column in _columns_by_meaning(answers).items()}
    return columns | {tidy(meaning) or meaning: meaning for meaning in answers}


def _columns_by_meaning(answers: Mapping[str, str]) -> dict[str, str]:
    """Map each meaning to the column of its answer; empty unless each answer has one column, and its own."""
    slots = {meaning: set(_SLOT.findall(text)) for meaning, text in answers.items()}
    columns = {
        meaning: next(iter(slots_of_answer))
        for meaning, slots_of_answer in slots.items()
        if len(slots_of_answer) == 1
    }
    return columns if len(set(columns.values())) == len(answers) else {}


def _meanings_by_sign(answers: Mapping[str, str], labels: Sequence[str]) -> tuple[dict[str, str], str]:
    """Map numbers and letters to meanings; also return the basis of the numbering, for messages."""
    for names, what in (
        (_columns_by_meaning(answers), "the columns"),
        ({m: m for m in answers}, "the meanings"),
    ):
        numbers = _meanings_by_mark(_NUMBERED, names)
        if numbers and len(numbers) == len(answers):
            order = [numbers[n] for n in sorted(numbers, key=int)]
            by_number = {str(int(n)): meaning for n, meaning in numbers.items()}
            counted = sorted(map(int, numbers)) == list(range(1, len(order) + 1))
            if counted and "0" in labels and str(len(order)) not in labels:
                # Columns are numbered from 1 and labels from 0, since 0 occurs and the last number does not.
                return _by_letter(order) | _by_position(order), f"{what}, which count from 1, minus 1"
            return _by_letter(order) | by_number, f"{what}"
        letters = _meanings_by_mark(_LETTERED, names)
        if letters and len(letters) == len(answers) and len({n.upper() for n in letters}) == len(answers):
            order = [letters[n] for n in sorted(letters, key=str.upper)]
            if sorted(n.upper() for n in letters) == list(_ALPHABET[: len(order)]):
                return _by_letter(order) | _by_position(
                    order
                ), f"{what}, in the order of their letters, from 0"
    order = list(answers)
    single = any(len(meaning) == 1 and meaning.isalpha() for meaning in answers)
    capitals = {} if single else dict(zip(_ALPHABET, order, strict=False))
    return capitals | _by_position(order), "the answers in their order, from 0"


def _meanings_by_mark(pattern: re.Pattern[str], names: Mapping[str, str]) -> dict[str, str]:
    """Map the part in which the names differ to meanings; empty unless they differ in that part only."""
    matches = {meaning: pattern.fullmatch(name) for meaning, name in names.items()}
    stems = {match["stem"] for match in matches.values() if match is not None}
    if len(stems) != 1 or any(match is None for match in matches.values()):
        return {}
    return {match["mark"]: meaning for meaning, match in matches.items() if match is not None}


def _by_position(order: Sequence[str]) -> dict[str, str]:
    return {str(i): meaning for i, meaning in enumerate(order)}


def _by_letter(order: Sequence[str]) -> dict[str, str]:
    """Map letters, capital and small, to the meanings in their order."""
    pairs = list(zip(_ALPHABET, order, strict=False))
    return dict(pairs) | {a.lower(): m for a, m in pairs}


def _match_texts(
    labels: Sequence[str | None], answers: Mapping[str, str], text_of: Callable[[int, str], str]
) -> list[str | None] | None:
    """Find the one answer whose text each label [rows] equals; None unless every label equals exactly one."""
    meanings: list[str | None] = []
    for row, label in enumerate(labels):
        matches = [
            m for m in answers if label is not None and _normalize(text_of(row, m)) == _normalize(label)
        ]
        if label is not None and len(matches) != 1:
            return None
        meanings.append(matches[0] if matches else None)
    return meanings


def _normalize(text: str) -> str:
    return (tidy(text.strip()) or text.strip()).casefold()
