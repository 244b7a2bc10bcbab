"""Sentences, labels and axis titles of figures and tables for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.report import wording
from evenhand.report.document import Row, number

NO_SCORES = "the audit has no calibration errors"
NO_BINS = "the result has no rows of reliability; `evenhand report` of a study with scores makes them"
NO_GROUPS = "the study has no groups"
NO_ARMS = "the study compares no arms"
NO_RANKS = "no two arms differ in their rank"
NO_FRACTIONS = "no two arms differ in their layer_fraction"
NOT_IMAGES = "the study's rows are texts; p1 has its rates"
NOT_TEXTS = "the study's rows are images; p2 has its rates"
NO_REFERENCE_RUN = "no run of the reference is finished"
NO_TRANSLATIONS = "the study judges no translations"
NO_LIKELIHOODS = "the study judges no likelihoods of answers"
NO_TWINS = "no template has an inverted or reordered twin"
NO_ATTACKS = "the study runs no attacks (`privacy:`)"
NO_CURVES = "no attack has scores that distinguish rows"
NO_QUALITY = "the tables have no references, or sacrebleu was not installed"
ONLY_WRITTEN = "the study's models generate answers and do not classify"

RANK_AXIS = "rank (0: head only; then log scale)"
RANK_AXIS_PLAIN = "rank (log scale)"
FRACTION_AXIS = "fraction of adapted layers"
SIZE_AXIS = "rows of the group (log scale)"

SHARE_AXIS = "share, %"
FALSE_POSITIVE_AXIS = "false positive rate, %"
TRUE_POSITIVE_AXIS = "true positive rate, %"


def group_label(row: Row) -> str:
    """Name a group with its rows: `Black (1,210)`, `all (9,000)`."""
    n = wording.count(number(row, "n"))
    name = "all" if row["attribute"] is None else str(row["group"])
    which = name if row.get("class") is None else f"{name}, class {row['class']}"
    return f"{which} ({n})"


def line_label(row: Row, *, several: bool) -> str:
    """Name a line: a group (with its attribute where there are several), all rows, a disparity."""
    if row["attribute"] is None or (row["group"] is not None and not several):
        return group_label(row)
    name = wording.subject(row)
    return name if row["group"] is None else f"{name} ({wording.count(number(row, 'n'))})"


def panel_title(model: str, of_what: object, *, several: bool) -> str:
    """Name the panels of an attribute or a template; the model only where there are several."""
    of = "all rows" if of_what is None else str(of_what).rstrip("_-.:")
    return f"{of} · {model}" if several else of


def wrap_arm_name(arm: str) -> list[str]:
    """Split the name of an arm into lines, one per option."""
    *head, last = arm.split(",")
    return [*(f"{part}," for part in head), last]


def metric_axis(metric: str) -> str:
    """Name the axis of a metric, with its unit."""
    name = wording.metric_name(metric)
    return f"{name}, %" if wording.in_points(metric) else name


def difference_axis(metric: str, reference: str) -> str:
    """Name the axis of a difference, with its unit."""
    unit = "points" if wording.in_points(metric) else "difference"
    return f"{wording.metric_name(metric)} − that of {reference}, {unit}"


def left_out(names: Sequence[str], why: str) -> str:
    """State the reason for figures that are not written."""
    return f"{', '.join(names)}: left out, {why}."


def some_arms(names: Sequence[str], shown: int, total: int) -> str:
    """State that figures show some of the arms only."""
    return (
        f"{', '.join(names)}: {shown} of {total} arms are drawn, the reference and those nearest to harm; "
        "the CSV has all."
    )


def written(names: Sequence[str], out: str) -> str:
    """Name the written figures and their folder."""
    return f"figures: {', '.join(names)} in {out}" if names else f"figures: none in {out}"
