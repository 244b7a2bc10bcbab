"""Sentences on group sizes, on utility against disparity, and on tuning."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.report import wording
from evenhand.report.document import Row, number

SIZES = "Slopes of the difference along the size of the group, smallest p-value first"

SIZES_CAPTION = (
    "Does a method have a larger or a different effect on small groups? Each point is a group. The "
    "horizontal axis is its number of rows (logarithmic), the vertical axis the difference to the "
    "reference with its simultaneous interval. Small groups have wide intervals, so their differences "
    "scatter more even if size does not matter."
)

UTILITY_CAPTION = (
    "Each point is an arm. The horizontal axis is the disparity between groups, the vertical "
    "axis the accuracy over all rows. Bars are the intervals of both. An arm that is higher and further "
    "to the left is better in both; compare arms by the differences above, not by the overlap of bars."
)

TUNING = "All trials, by arm; the chosen one has the highest validation accuracy"
TUNING_CAPTION = (
    "Options under `tune` were chosen on the validation rows, by mean accuracy over the runs. Test rows of "
    "trials that were not chosen are never read."
)


def is_significant(row: Row) -> bool:
    """Return whether the adjusted p-value of a slope along group size is significant at its level."""
    p = number(row, "p_adjusted")
    level = number(row, "level")
    return p is not None and p <= 1 - (0.95 if level is None else level) + 1e-9


def size_finding(row: Row) -> str:
    """State the finding on the dependence of a difference on group size."""
    slope, metric = number(row, "slope"), str(row["metric"])
    if row.get("status", "ok") != "ok" or slope is None:
        return f"not estimated: {row.get('reason') or 'no estimate'}"
    shown, unit = wording.span(row, signed=True, fine=True), wording.unit_of(metric)
    if not is_significant(row):
        return f"no detectable dependence on group size ({shown}{unit} per doubling)"
    way = "rises" if slope > 0 else "falls"
    size = wording.amount(abs(slope), metric, fine=True)
    return f"{way} by {size}{unit} per doubling of a group's rows ({shown})"


def size_note(row: Row) -> str:
    """State the finding of a slope below its chart; the table contains the interval."""
    if row.get("status", "ok") != "ok" or is_significant(row):
        return size_finding(row)
    p = wording.p_value(number(row, "p_adjusted"))
    return f"no detectable dependence on group size (adjusted p {p})"


def size_sentence(row: Row) -> str:
    """State one slope along group size as a full sentence."""
    arms = f"{row['candidate']} − {row['reference']}"
    what = f"the difference of {wording.measure(row)}"
    return f"{arms}, groups of {row['attribute']}: {what} {size_finding(row)}."


def size_summary(rows: Sequence[Row], *, most: int = 4) -> list[str]:
    """State the dependence of differences on group size for each attribute, smallest p-value first."""
    lines = []
    for attribute in dict.fromkeys(r["attribute"] for r in rows):
        of_attribute = [r for r in rows if r["attribute"] == attribute]
        able = [r for r in of_attribute if number(r, "p_adjusted") is not None]
        significant = sorted(
            (r for r in able if is_significant(r)), key=lambda r: number(r, "p_adjusted") or 0.0
        )
        lines += [size_sentence(r) for r in significant[:most]]
        if not able:
            reasons = "; ".join(dict.fromkeys(str(r.get("reason") or "no estimate") for r in of_attribute))
            lines.append(f"Groups of {attribute}: the dependence on group size was not estimated: {reasons}.")
        elif not significant:
            slopes = f"in any of {len(able)} slopes" if len(able) > 1 else "in the one slope"
            lines.append(
                f"Groups of {attribute}: no detectable dependence of the difference on group size {slopes}."
            )
        elif len(able) > len(significant):
            rest = len(able) - len(significant)
            lines.append(f"Groups of {attribute}: no detectable dependence in {rest} of {len(able)} slopes.")
    return lines


def size_method(level: str) -> str:
    """Describe the test of dependence on group size."""
    return (
        "Small groups have noisy differences, so a large |difference| in a small group is weak evidence. "
        "Each difference is divided by its own standard deviation (sampling and heterogeneity of groups), "
        "and its rank is compared with the rank of the group's size over all orders of the groups (the rank "
        "test of Begg and Mazumdar). The p-value is adjusted over all metrics and candidates; the interval "
        f"of a slope contains the slopes that the test does not reject, pointwise {level}. It requires five "
        "groups: with four, even a perfect order has p = 0.08."
    )


def utility_axes(metric: str) -> tuple[str, str]:
    """Name the two axes of the chart of utility against disparity."""
    return f"{wording.metric_name(metric)} (0: equal)", "accuracy over all rows"


def trial_value(value: object) -> str:
    """Format the value of an option in a trial."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def tuning_line(rows: Sequence[Row]) -> str:
    """State the number of trials of each arm."""
    trials = {arm: sum(r["arm"] == arm for r in rows) for arm in dict.fromkeys(r["arm"] for r in rows)}
    numbers = set(trials.values())
    if len(numbers) == 1:
        return f"Every arm had {numbers.pop()} trials."
    counts = ", ".join(f"{arm} {n}" for arm, n in trials.items())
    return f"The arms had different numbers of trials ({counts}), which favours those that had more."
