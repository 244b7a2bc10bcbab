"""Convert array-likes (lists, numpy, pandas, polars) to checked rows and groups."""

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

#: Weights are divided by the largest one if that is above this, or below its inverse.
LARGEST_WEIGHT = 1e100


def answers(
    y_true: object,
    y_pred: object,
    *,
    sample_weight: object = None,
    pos_label: object = None,
    one_vs_rest: bool = True,
) -> Sample:
    """Build rows with true and predicted labels.

    Args:
        y_true: [n] true labels.
        y_pred: [n] predicted labels.
        sample_weight: [n] weights, or None for 1 each.
        pos_label: the positive label; None means 1 when labels are 0 and 1, or -1 and 1.
        one_vs_rest: whether the metric needs a positive label.

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
    """Build rows with true labels and scores.

    Args:
        y_true: [n] true labels.
        y_score: [n] scores of the positive label, or [n, classes]: one column per class.
        sample_weight: [n] weights, or None for 1 each.
        pos_label: the positive label; None means 1 for [n] scores, and the second of two columns.
        labels: the classes of the columns; None means 0, 1, ... if all labels are such numbers,
            otherwise the labels in sorted order.
        probabilities: whether scores must lie in [0, 1] and sum to 1 over columns.
        one_vs_rest: whether more than two columns are reduced to the positive class against all others.

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
    """Return the rows as those of a task with more than two classes, by adding an empty third class."""
    if sample.proba.shape[1] > 2:
        return sample
    return dataclasses.replace(sample, probability=np.pad(sample.proba, ((0, 0), (0, 1))))


def take(sample: Sample, rows: IntArray) -> Sample:
    """Select rows by index."""
    return Sample(
        sample.true[rows],
        sample.answer[rows],
        sample.weight[rows],
        sample.positive,
        None if sample.probability is None else sample.probability[rows],
    )


def groups(sensitive_features: object, n: int) -> list[IntArray]:
    """Return the row indices of each group that occurs; several columns are crossed.

    Args:
        sensitive_features: [n] values; or columns: a mapping, a data frame, a list of columns, [n, k] values.
        n: number of rows of the labels.

    Raises:
        CallError: there are no columns, their lengths differ, or values are missing.
    """
    columns = _columns(sensitive_features)
    if not columns:
        raise CallError(
            "sensitive_features: no column was given; give one value per row, or several columns."
        )
    _same_length({"y_true": n} | {name: len(c) for name, c in columns.items()})
    code = np.zeros(n, dtype=np.int64)
    for name, values in columns.items():
        column_code, distinct = code_values(values, name)
        _, code = np.unique(code * max(len(distinct), 1) + column_code, return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if n else []


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not allowed, and suggest the nearest allowed one."""
    if value not in allowed:
        raise CallError(f"{name}: {value!r} is not allowed; {nearest(str(value), allowed)}")


def _columns(features: object) -> dict[str, Column]:
    """Return columns by their names in complaints."""
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
    """Convert values to a numpy array; mixed lists keep their Python values."""
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
    """Convert values to one value per row, and refuse missing values."""
    array = _array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        what = "a single value" if array.ndim == 0 else f"an array of shape {array.shape}"
        raise CallError(f"{name}: {what} was given; give one value per row.")
    array = _tidy_texts(array)
    missing = int(sum(_is_missing(v) for v in array.tolist())) if array.dtype.kind == "O" else _nan(array)
    if missing:
        raise CallError(f"{name}: {missing} of {len(array)} values are missing; leave their rows out first.")
    return array


def _tidy_texts(array: Column) -> Column:
    """Normalise texts as an audit reads them: strip blanks, and replace missing texts by None."""
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
        raise CallError("y_score: scores must be numbers.") from None
    if score.ndim not in {1, 2}:
        raise CallError(f"y_score: an array of shape {score.shape} was given; give [n] or [n, classes].")
    if score.ndim == 2 and score.shape[1] == 1:
        score = score[:, 0]
    bad = int(np.count_nonzero(~np.isfinite(score)))
    if bad:
        raise CallError(f"y_score: {bad} of {score.size} scores are missing or infinite.")
    return score


def _probabilities(score: FloatArray) -> FloatArray:
    """Check probabilities, and clip values that rounding has moved out of [0, 1]."""
    outside = score[(score < -ROUNDING) | (score > 1 + ROUNDING)]
    if outside.size:
        raise CallError(
            f"y_score: {outside.size} scores are outside [0, 1], the first is {outside[0]:.9g}; "
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
        raise CallError("sample_weight: weights must be numbers.") from None
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise CallError(
            f"sample_weight: {int(bad.sum())} of {n} weights are negative or infinite (first: "
            f"{weight[first]:g} in row {first})."
        )
    largest = float(weight.max(initial=0.0))
    # Only ratios of weights matter; sums and squares of extreme weights would overflow or underflow.
    return weight / largest if largest > LARGEST_WEIGHT or 0 < largest < 1 / LARGEST_WEIGHT else weight
