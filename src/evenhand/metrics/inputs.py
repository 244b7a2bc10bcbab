"""Array-likes of a caller: lists, numpy, pandas, polars in; checked rows and groups out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import CallError, nearest
from evenhand.judge.metrics import Sample
from evenhand.metrics.classes import classes_of, classes_of_columns, code_values, index_of, positive_index
from evenhand.tables.predictions.scores import ROUNDING, TOLERANCE
from evenhand.tables.schema import FloatArray, IntArray
from evenhand.tables.values import tidy

Column = npt.NDArray[Any]

#: Weights above this are divided by the largest.
LARGEST_WEIGHT = 1e100


def answers(
    y_true: object,
    y_pred: object,
    *,
    sample_weight: object = None,
    pos_label: object = None,
    one_vs_rest: bool = True,
) -> Sample:
    """Rows with true and predicted labels.

    Args:
        y_true: [n] true labels.
        y_pred: [n] predicted labels.
        sample_weight: [n] weights, or None for 1 each.
        pos_label: the positive label; None means 1 when labels are 0 and 1, or -1 and 1.
        one_vs_rest: whether a positive label is needed at all.

    Raises:
        CallError: the columns cannot be used.
    """
    true, predicted = _column(y_true, "y_true"), _column(y_pred, "y_pred")
    _same_length({"y_true": len(true), "y_pred": len(predicted)})
    classes, codes = classes_of({"y_true": true, "y_pred": predicted})
    positive = positive_index(classes, pos_label) if one_vs_rest else 0
    return Sample(codes[0], codes[1], _weight(sample_weight, len(true)), positive)


def scores(
    y_true: object,
    y_score: object,
    *,
    sample_weight: object = None,
    pos_label: object = None,
    labels: Sequence[object] | None = None,
    probabilities: bool = True,
    one_vs_rest: bool = False,
) -> Sample:
    """Rows with true labels and scores.

    Args:
        y_true: [n] true labels.
        y_score: [n] scores of the positive label, or [n, classes]: one column per class.
        sample_weight: [n] weights, or None for 1 each.
        pos_label: the positive label; None means 1 for [n] scores, and the second of two columns.
        labels: the classes of the columns; None means 0, 1, ... where all labels are such numbers,
            else the labels in sorted order.
        probabilities: whether scores must lie in [0, 1] and sum to 1 over columns.
        one_vs_rest: whether more than two columns are reduced to the positive class against the others.

    Raises:
        CallError: the columns cannot be used.
    """
    true, score = _column(y_true, "y_true"), _score(y_score)
    _same_length({"y_true": len(true), "y_score": len(score)})
    if probabilities:
        score = _probabilities(score)
    weight = _weight(sample_weight, len(true))
    known, (code,) = classes_of({"y_true": true})
    if score.ndim == 2:
        names = classes_of_columns(known, score.shape[1], labels)
        code = np.array([names.index(k) for k in known], dtype=np.int64)[code]
        if score.shape[1] == 2 or not one_vs_rest:
            positive = 1 if pos_label is None else index_of(names, pos_label)
            return Sample(code, np.argmax(score, axis=1), weight, positive, score)
        at = positive_index(names, pos_label)
        score = score[:, at]
    else:
        at = positive_index(known, pos_label)
    two = np.stack([1 - score, score], axis=1)
    return Sample((code == at).astype(np.int64), (score >= 0.5).astype(np.int64), weight, 1, two)


def with_top_label(sample: Sample) -> Sample:
    """The same rows, as those of a task with more than two classes: an empty third class joins two."""
    if sample.proba.shape[1] > 2:
        return sample
    return dataclasses.replace(sample, probability=np.pad(sample.proba, ((0, 0), (0, 1))))


def take(sample: Sample, rows: IntArray) -> Sample:
    """Some of the rows."""
    return Sample(
        sample.true[rows],
        sample.answer[rows],
        sample.weight[rows],
        sample.positive,
        None if sample.probability is None else sample.probability[rows],
    )


def groups(sensitive_features: object, n: int) -> list[IntArray]:
    """Rows of each group that occurs; several columns are crossed.

    Args:
        sensitive_features: [n] values; or columns: a mapping, a data frame, a list of columns, [n, k] values.
        n: rows of the labels.

    Raises:
        CallError: no or unequal columns, or missing values.
    """
    columns = _columns(sensitive_features)
    if not columns:
        raise CallError(
            "sensitive_features: no column was given; give one value per row, or several columns."
        )
    _same_length({"y_true": n} | {name: len(c) for name, c in columns.items()})
    code = np.zeros(n, dtype=np.int64)
    for name, values in columns.items():
        own, found = code_values(values, name)
        _, code = np.unique(code * max(len(found), 1) + own, return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if n else []


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not allowed, with the nearest that is."""
    if value not in allowed:
        raise CallError(f"{name}: {value!r} is not allowed: {nearest(str(value), allowed)}")


def _columns(features: object) -> dict[str, Column]:
    """Columns by the name that complaints use."""
    named: dict[str, object] = {}
    if isinstance(features, Mapping):
        named = {f"sensitive_features[{k!r}]": v for k, v in features.items()}
    elif hasattr(features, "columns") and hasattr(features, "__getitem__"):
        keys = getattr(features, "column_names", features.columns)
        named = {f"sensitive_features[{k!r}]": features[k] for k in keys}
    elif isinstance(features, (list, tuple)) and features and all(_is_column(f) for f in features):
        named = {f"sensitive_features[{i}]": f for i, f in enumerate(features)}
    else:
        array = _array(features, "sensitive_features")
        if array.ndim == 2 and array.shape[1] > 1:
            named = {f"sensitive_features[:, {i}]": array[:, i] for i in range(array.shape[1])}
        else:
            named = {"sensitive_features": array}
    return {name: _column(values, name) for name, values in named.items()}


def _is_column(value: object) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__len__") and np.ndim(value) != 0  # type: ignore[arg-type]


def _array(values: object, name: str) -> Column:
    """Whatever was given, as a numpy array; mixed lists keep their values."""
    if values is None:
        raise CallError(f"{name}: nothing was given; give one value per row.")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise CallError(f"{name}: values are masked; leave their rows out first.")
    try:
        array: Column = np.asarray(values)
        if array.dtype.kind in "US" and isinstance(values, (list, tuple)):
            array = np.asarray(values, dtype=object)
    except (ValueError, TypeError) as error:
        raise CallError(f"{name}: cannot be read as one value per row: {error}.") from None
    return array


def _column(values: object, name: str) -> Column:
    """One value per row, none missing."""
    array = _array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        what = "a single value" if array.ndim == 0 else f"an array of shape {array.shape}"
        raise CallError(f"{name}: {what} was given; give one value per row.")
    array = _tidied(array)
    missing = int(sum(_is_missing(v) for v in array.tolist())) if array.dtype.kind == "O" else _nan(array)
    if missing:
        raise CallError(f"{name}: {missing} of {len(array)} values are missing; leave their rows out first.")
    return array


def _tidied(array: Column) -> Column:
    """The same column, its texts as an audit reads them: without blanks around them, missing ones None."""
    if array.dtype.kind not in "OUST":
        return array
    values = array.tolist()
    texts = {v: tidy(v) for v in set(filter(_is_text, values))}
    if all(text == v for v, text in texts.items()):
        return array
    return np.array([texts[v] if _is_text(v) else v for v in values], dtype=object)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _nan(array: Column) -> int:
    return int(np.count_nonzero(array != array)) if array.dtype.kind in "fcmM" else 0  # noqa: PLR0124


def _is_missing(value: object) -> bool:
    try:
        return value is None or bool(value != value)  # noqa: PLR0124  (NaN and NaT differ from themselves)
    except (TypeError, ValueError):  # a missing value of pandas is neither true nor false
        return True


def _same_length(lengths: dict[str, int]) -> None:
    first, n = next(iter(lengths.items()))
    other = [f"{name} has {k}" for name, k in lengths.items() if k != n]
    if other:
        raise CallError(f"{first} has {n} rows, but {', '.join(other)}; give one value per row in each.")


def _score(values: object) -> FloatArray:
    array = _array(values, "y_score")
    try:
        score: FloatArray = array.astype(np.float64)
    except (ValueError, TypeError):
        raise CallError("y_score: scores are numbers, but others were given.") from None
    if score.ndim not in {1, 2}:
        raise CallError(f"y_score: an array of shape {score.shape} was given; give [n] or [n, classes].")
    if score.ndim == 2 and score.shape[1] == 1:
        score = score[:, 0]
    bad = int(np.count_nonzero(~np.isfinite(score)))
    if bad:
        raise CallError(f"y_score: {bad} of {score.size} scores are missing or infinite.")
    return score


def _probabilities(score: FloatArray) -> FloatArray:
    """The same scores, those clipped that rounding has moved out of [0, 1]."""
    outside = score[(score < -ROUNDING) | (score > 1 + ROUNDING)]
    if outside.size:
        raise CallError(
            f"y_score: {outside.size} scores lie outside [0, 1], the first is {outside[0]:.9g}; "
            "turn logits into probabilities first."
        )
    if score.ndim == 2:
        off = np.flatnonzero(np.abs(score.sum(axis=1) - 1) > TOLERANCE)
        if off.size:
            raise CallError(
                f"y_score: {off.size} rows do not sum to 1, the first is row {off[0]} "
                f"with {score[off[0]].sum():g}."
            )
    clipped: FloatArray = np.clip(score, 0.0, 1.0)
    return clipped


def _weight(values: object, n: int) -> FloatArray:
    if values is None:
        return np.ones(n)
    column = _column(values, "sample_weight")
    _same_length({"y_true": n, "sample_weight": len(column)})
    try:
        weight: FloatArray = column.astype(np.float64)
    except (ValueError, TypeError):
        raise CallError("sample_weight: weights are numbers, but others were given.") from None
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise CallError(
            f"sample_weight: {int(bad.sum())} of {n} weights are negative or infinite (first: "
            f"{weight[first]:g} in row {first})."
        )
    largest = float(weight.max(initial=0.0))
    # Only ratios of weights matter; sums and squares of very large or small ones would leave the range.
    return weight / largest if largest > LARGEST_WEIGHT or 0 < largest < 1 / LARGEST_WEIGHT else weight
