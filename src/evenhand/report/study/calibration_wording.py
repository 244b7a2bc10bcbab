"""Sentences on calibration: reliability diagrams, calibration errors, Brier scores."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Document, Row, number, verdict_of

#: The reason why the table compares arms within a group, and not groups.
UNLIKE_SIZES = (
    "Expected calibration errors of groups of different sizes must not be compared: a bin with few rows "
    "deviates from its confidence by chance, and the error counts every deviation, so it grows as a group"
    " shrinks even if a model is perfectly calibrated. The table therefore compares two arms within one "
    "group, on the same rows. The Brier score does not have this bias, so the finding is based on it."
)

TABLE = "Calibration by group and arm; calibration errors in points, Brier scores as they are"


def reliability_caption(audit: Document) -> str:
    """Explain how to read a reliability diagram."""
    positive = audit.get("settings", {}).get("positive")
    promised, true = "the score of the predicted class", "the share of right predictions"
    if positive is not None:
        promised, true = f"the score of {positive!r}", f"the share of rows that are {positive!r}"
    return (
        f"Each point is a bin of scores. The horizontal axis is {promised}; the vertical axis is {true}, "
        "with a pointwise interval. On the dashed line scores equal frequencies; below it the model is "
        "overconfident. Larger points contain more rows. All runs of an arm are pooled."
    )


def axis(audit: Document) -> tuple[str, str]:
    """Name the two axes of a reliability diagram."""
    positive = audit.get("settings", {}).get("positive")
    if positive is None:
        return "score of the predicted class", "share of right predictions"
    return f"score of {positive}", f"share that is {positive}"


def gap_line(row: Row, metric: str) -> str:
    """State the difference of the groups' calibration errors, in the unit of `metric`, and its p-value."""
    value, p = number(row, "value"), number(row, "p_value")
    apart = wording.amount(value, metric)
    lead = f"{row['input']}, groups of {row['attribute']}: calibration errors differ by {apart} points"
    if value is None:
        return f"{row['input']}, groups of {row['attribute']}: {wording.status_reason(row)}."
    if p is None:
        return f"{lead}; {row.get('reason') or 'no p-value'}."
    level = number(row, "level")
    alpha = 0.05 if level is None else 1 - level
    # Levels are stored as 1 - alpha: the tolerance absorbs the rounding of the subtraction.
    finding = (
        "more than group sizes and chance explain"
        if p <= alpha + 1e-9
        else "no more than group sizes and chance explain"
    )
    return f"{lead}, {finding} (permutation p {wording.p_value(p)})."


def brier_finding(row: Row | None) -> str:
    """State the finding on a candidate in one group by the Brier score."""
    if row is None:
        return ""
    if verdict_of(row):
        return wording.verdict_label(row)
    low, high = number(row, "low"), number(row, "high")
    if low is None or high is None:
        return wording.status_reason(row)
    if low > 0 or high < 0:
        return "scores are worse" if low > 0 else "scores are better"
    return "no detectable difference"


def p_reason(row: Row) -> str:
    """State the reason for a missing p-value; empty if it exists."""
    return "" if number(row, "p_value") is not None else str(row.get("reason") or "no p-value")


def no_p_values(reasons: list[str]) -> str:
    """State the reasons for an empty column of p-values."""
    return f"No calibration error has a permutation p-value here: {'; '.join(reasons)}."


def calibration_method(level: str) -> str:
    """Describe the methods of the calibration section."""
    return (
        "Scores are sorted into 15 bins of equal width. The expected calibration error is the mean distance "
        "between confidence and frequency over bins, weighted by rows. Two arms are compared by "
        "swapping their answers to a row in all runs at random (permutation test, Holm-adjusted); with five "
        "or more runs the variances of the swaps and between runs are combined. If the study declares a "
        "margin for it, it gets an interval, widened by the bias that noise can cause, and a verdict. The "
        f"interval of a bin is Wilson's, pointwise {level}, and counts rows, not answers; with five or more "
        "runs the variance between runs is added."
    )
