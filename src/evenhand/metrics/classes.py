"""Labels of array-likes: find the classes and the positive class, by the rules of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import CallError, nearest
from evenhand.tables.predictions.validate import MIN_EQUAL_SHARE
from evenhand.tables.reader.labels import (
    SELF_EVIDENT,
    describe_measurements,
    describe_nested_labels,
    fractional,
    words_for_missing,
)
from evenhand.tables.schema import IntArray
from evenhand.tables.values import in_order, shown, tidy

Column = npt.NDArray[Any]


def code_values(values: Column, name: str) -> tuple[IntArray, list[object]]:
    """Return the [n] index of each value, and the distinct values."""
    if values.dtype.kind != "O":
        distinct, code = np.unique(values, return_inverse=True)
        return np.asarray(code, dtype=np.int64), list(distinct.tolist())
    known: dict[object, int] = {}
    try:
        each = [known.setdefault(v, len(known)) for v in values.tolist()]
    except TypeError:
        raise CallError(f"{name}: a value is neither a text nor a number; give one value per row.") from None
    return np.array(each, dtype=np.int64), list(known)


def classes_of(columns: dict[str, Column]) -> tuple[list[object], list[IntArray]]:
    """Return the labels that occur, sorted, and the [n] indices of each column into them."""
    coded = [code_values(values, name) for name, values in columns.items()]
    values = dict.fromkeys(v for _, distinct in coded for v in distinct)
    try:
        classes: list[object] = sorted(values)  # type: ignore[type-var]
    except TypeError:
        raise CallError(
            f"{' and '.join(columns)}: labels have different types: {_shown(list(values))}; "
            "make them all texts or all numbers."
        ) from None
    _refuse_no_classes(dict(zip(columns, coded, strict=True)))
    index = {c: i for i, c in enumerate(classes)}
    return classes, [np.array([index[v] for v in distinct], dtype=np.int64)[code] for code, distinct in coded]


def _refuse_no_classes(coded: dict[str, tuple[IntArray, list[object]]]) -> None:
    """Refuse measurements, lists, and words for a missing value, by the rules of an audit."""
    counts = {
        name: dict(
            zip(map(_name, distinct), np.bincount(code, minlength=len(distinct)).tolist(), strict=True)
        )
        for name, (code, distinct) in coded.items()
    }
    complaints = [
        f"{name}: {odd}" for name, values in counts.items() if (odd := describe_nested_labels(values))
    ]
    equal = _agreement(coded)
    if equal < MIN_EQUAL_SHARE:
        complaints += [
            f"{name}: {odd}" for name, values in counts.items() if (odd := describe_measurements(values))
        ]
    if not complaints and len(counts) == 2:
        complaints += _foreign(*counts.items())
    for name, values in counts.items():
        others = [other for key, other in counts.items() if key != name]
        complaints += [
            f"{name}: {values[word]} values are {word!r}, a word for a missing value that does not occur in "
            f"{' and '.join(key for key in counts if key != name)}; leave their rows out first."
            for word in words_for_missing(values, as_label=True)
            if others and all(word not in other for other in others)
        ]
    if complaints:
        raise CallError(complaints)


def _agreement(coded: dict[str, tuple[IntArray, list[object]]]) -> float:
    """Compute the share of rows whose label equals the prediction; 0 with one column or without rows."""
    if len(coded) < 2:
        return 0.0
    first, other = (np.array(values, dtype=object)[code] for code, values in coded.values())
    return float(np.mean(first == other)) if len(first) else 0.0


def _foreign(labels: tuple[str, dict[str, int]], predictions: tuple[str, dict[str, int]]) -> list[str]:
    """List complaints about predictions that never equal a label, and about labels that are fractions."""
    (true, label_counts), (predicted, predicted_counts) = labels, predictions
    if (
        label_counts
        and predicted_counts
        and not label_counts.keys() & predicted_counts.keys()
        and len(label_counts.keys() | predicted_counts.keys()) > 2
    ):
        return [
            f"{predicted}: unknown labels: values are {shown(in_order(predicted_counts), 5)}, but {true} has "
            f"{shown(in_order(label_counts), 5)}; write labels and predictions alike."
        ]
    broken = fractional(in_order(label_counts))
    if broken and not predicted_counts.keys() & set(broken):
        return [f"{true}: labels such as '{broken[0]}' are fractions or measurements; give classes."]
    return []


def positive_index(classes: list[object], pos_label: object) -> int:
    """Return the index of the positive label; one past the end if it does not occur."""
    if pos_label is None:
        names = [_name(c) for c in classes]
        pair = next((pair for pair in SELF_EVIDENT if set(names) <= set(pair)), None)
        if pair is None:
            raise CallError(
                f"pos_label: labels are {_shown(classes)}; name the positive one with pos_label "
                "(only 0 and 1, or -1 and 1, need none)."
            )
        return names.index(pair[1]) if pair[1] in names else len(classes)
    if (
        pos_label not in classes
        and len(classes) == 1
        and isinstance(pos_label, str) is isinstance(classes[0], str)
    ):
        return 1
    return index_of(classes, pos_label) if classes else 0


def _name(value: object) -> str:
    """Return the text of a class; true is 1 and false is 0, as in an audit."""
    text = tidy(str(value)) or ""
    return {"true": "1", "false": "0"}.get(text, text)


def index_of(classes: list[object], pos_label: object) -> int:
    """Return the index of a label; refuse a label that no row has, and suggest the nearest one."""
    if pos_label not in classes:
        known = [str(c) for c in classes]
        raise CallError(f"pos_label: no row has the label {pos_label!r}: {nearest(str(pos_label), known)}")
    return classes.index(pos_label)


def _shown(values: list[object]) -> str:
    return ", ".join(repr(v) for v in values[:5]) + (
        f" and {len(values) - 5} more" if len(values) > 5 else ""
    )


def classes_of_columns(known: list[object], width: int, labels: Sequence[object] | None) -> list[object]:
    """Return the class of each column of scores."""
    if labels is None:
        numbers: list[object] = list(range(width))
        names = numbers if set(known) <= set(numbers) else known
    else:
        names = list(labels)
    if len(names) != width or len(set(names)) != width or not set(known) <= set(names):
        raise CallError(
            f"y_score has {width} columns, but labels are {_shown(known if labels is None else names)}; "
            f"number the classes 0 to {width - 1} in the order of the columns, or give one column per label."
        )
    return names
