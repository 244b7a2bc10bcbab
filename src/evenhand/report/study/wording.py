"""Sentences of a study report beyond those of its audits: trends, base models, costs, failed runs.

Functions of a document `evenhand.study/1` or of one of its rows. Slopes and differences of rates are in
points (percentage points), others are unscaled.
"""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.errors import plural
from evenhand.report import wording
from evenhand.report.document import Document, Row, direction, facts, number, unique

_MOST_SENTENCES = 4

UTILITY = "Results on the test rows"
NOTHING_FINISHED = "No run has finished, so nothing can be judged."
COST = "Parameters, time and memory by arm; the time of all runs includes loading, predicting and saving"
NO_TRENDS = "No slopes: a slope requires at least three values of an option."
NO_TRENDS_WRITTEN = "Slopes are not computed for generated answers: the differences at every value are below."


def excludes_zero(row: Row) -> bool:
    """Return whether the interval of a row excludes 0."""
    low, high = number(row, "low"), number(row, "high")
    return low is not None and high is not None and (low > 0 or high < 0)


def _few(row: Row) -> str:
    """Return "in these runs, " for rows that hold for the runs at hand only."""
    return "in these runs, " if wording.of_few_runs([row]) else ""


def _turn(row: Row, change: float) -> str:
    way = direction(row) * change
    return "" if way == 0 else (", for the better" if way > 0 else ", for the worse")


def trend_finding(row: Row) -> str:
    """State the finding of one slope: an increase, a decrease, or no detectable trend."""
    metric, parameter, slope = str(row["metric"]), row["parameter"], number(row, "slope")
    if row.get("status", "ok") != "ok" or slope is None or number(row, "low") is None:
        return f"no slope: {wording.status_reason(row)}"
    unit = wording.unit_of(metric)
    if not excludes_zero(row):
        shown = wording.span(row, signed=True, fine=True)
        return f"{_few(row)}no detectable trend with {parameter} ({shown}{unit} per doubling)"
    way = "grows" if slope > 0 else "falls"
    size = wording.amount(abs(slope), metric, fine=True)
    span = wording.span(row, flipped=slope < 0, fine=True)
    return f"{_few(row)}{way} by {size}{unit} per doubling of {parameter} ({span}){_turn(row, slope)}"


def trend_sentence(row: Row) -> str:
    """State one slope as a full sentence."""
    where, metric = wording.subject(row), wording.metric_name(str(row["metric"]))
    return f"{row['method']}, {where}: {metric} {trend_finding(row)}."


def trend_summary(trends: Sequence[Row], *, most: int = _MOST_SENTENCES) -> list[str]:
    """Summarise the slopes of each method and option, smallest p-value first."""
    lines = []
    for method, parameter in dict.fromkeys((r["method"], r["parameter"]) for r in trends):
        rows = [r for r in trends if (r["method"], r["parameter"]) == (method, parameter)]
        able = [r for r in rows if number(r, "low") is not None]
        clear = sorted((r for r in able if excludes_zero(r)), key=_by_p)
        if not able:
            lines.append(
                f"{method}: no slope with {parameter} could be estimated; the table gives the reasons."
            )
        elif not clear:
            slopes = f"in any of {len(able)} slopes" if len(able) > 1 else "in its one slope"
            lines.append(
                f"{method}: {_few(able[0])}no detectable trend with {parameter} {slopes} by group and metric."
            )
        else:
            lines += [trend_sentence(r) for r in clear[:most]]
            rest = len(able) - len(clear)
            more = [_others(len(clear) - most, "slope", "from 0")] if len(clear) > most else []
            more += [f"{rest} of {len(able)} slopes {_verb(rest)} no detectable trend"] if rest else []
            lines += [f"{method}: {'; '.join(more)}."] if more else []
    return lines


def _others(n: int, what: str, how: str) -> str:
    return f"1 more {what} differs {how}" if n == 1 else f"{n} more {what}s differ {how}"


def _verb(n: int) -> str:
    return "shows" if n == 1 else "show"


def _by_p(row: Row) -> float:
    p = number(row, "p_adjusted")
    return 1.0 if p is None else p


def trend_caption(reference: str) -> str:
    """Explain how to read the curves along an option."""
    return (
        f"Each point is the difference to {reference} at one value of the option, with the interval of the "
        "comparisons; the axis of the option is logarithmic. The shaded band is the margin. An interval at "
        "the edge continues beyond it."
    )


def trend_method(level: str) -> str:
    """Describe the estimation of slopes."""
    return (
        "A slope is the change of a metric per doubling of an option, by least squares over the arms that "
        "differ in it. Effects that all arms share cancel, so it is also the slope of the difference to the "
        f"reference. All slopes of a model form one family with simultaneous {level} intervals. A slope "
        "describes a straight line over the values in the study, not beyond them. Slopes get no verdict."
    )


def interaction_finding(row: Row) -> str:
    """State the finding on the dependence of a method effect on the base model."""
    metric, change = str(row["metric"]), number(row, "difference")
    if row.get("status", "ok") != "ok" or change is None or number(row, "low") is None:
        return f"no estimate: {wording.status_reason(row)}"
    unit = wording.unit_of(metric)
    if not excludes_zero(row):
        return (
            f"{_few(row)}no detectable dependence on the base model ({wording.span(row, signed=True)}{unit})"
        )
    way = "higher" if change > 0 else "lower"
    size = wording.amount(abs(change), metric)
    span = wording.span(row, flipped=change < 0)
    return (
        f"{_few(row)}{way} by {size}{unit} on {row['model_high']} than on {row['model_low']} ({span})"
        f"{_turn(row, change)}"
    )


def interaction_sentence(row: Row) -> str:
    """State one dependence on the base model as a full sentence."""
    where, metric = wording.subject(row), wording.metric_name(str(row["metric"]))
    return f"{metric} of {where}, {row['arm']} − {row['reference']}: {interaction_finding(row)}."


def interaction_summary(rows: Sequence[Row], *, most: int = _MOST_SENTENCES) -> list[str]:
    """Summarise the dependence on the base model, smallest p-value first; empty for a single model."""
    if not rows:
        return []
    able = [r for r in rows if number(r, "low") is not None]
    clear = sorted((r for r in able if excludes_zero(r)), key=_by_p)
    if not clear:
        names = dict.fromkeys(str(r[k]) for k in ("model_low", "model_high") for r in rows)
        few = "in these runs, " if wording.of_few_runs(able) else ""
        which = f"none of the {len(able)} comparisons shows a"
        which = "the one comparison shows no" if len(able) == 1 else which
        *first, last = names
        bases = f"{', '.join(first)} and {last}" if first else last
        return [_capital(f"{few}{which} method effect that differs between base models {bases}.")]
    lines = [_capital(interaction_sentence(r)) for r in clear[:most]]
    if len(clear) > most:
        lines.append(f"Base models: {_others(len(clear) - most, 'comparison', 'between base models')}.")
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def interaction_method(level: str) -> str:
    """Describe the comparison of base models."""
    return (
        "The difference between a candidate and the reference on one base model minus the same difference on "
        f"another, over the same rows. They form one family with simultaneous {level} intervals and get "
        "no verdict."
    )


def parts_line(dataset: Row) -> str:
    """State the number of rows of a data set and of its parts."""
    parts = dataset.get("parts") or {}
    each = ", ".join(f"{wording.count(n)} {name}" for name, n in parts.items())
    rows = number(dataset, "rows")
    title = str(dataset.get("title") or dataset.get("name") or "")
    total = "" if rows is None else f": {wording.format_quantity(rows, 'row')}"
    return f"{title}{total} ({each})." if each else f"{title}{total}."


def runs_line(result: Document) -> str:
    """State the numbers of finished runs, of arms and of unfinished runs."""
    costs = [c for model in result["models"] for c in model.get("cost", ())]
    runs, open_ = sum(int(c["runs"]) for c in costs), len(result.get("failed", ()))
    models = " and ".join(str(model["model"]) for model in result["models"])
    text = f"{plural(runs, 'run')} of {plural(len(unique(costs, 'arm')), 'arm')} on {models}"
    return text + (f"; {plural(open_, 'run')} did not finish." if open_ else ".")


def failed_line(result: Document) -> str:
    """State the number of unfinished runs; empty if all finished."""
    open_ = len(result.get("failed", ()))
    if not open_:
        return ""
    return (
        f"{plural(open_, 'run')} did not finish; all results use only those that did. "
        "Run the same command to try again."
    )


def failure(row: Row) -> str:
    """Name an unfinished run with its error."""
    return f"{row['model']}, {row['arm']}, run {row['run']}: {row['error']}"


def duration(seconds: float | None) -> str:
    """Format a time: `4.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def memory(size: float | None) -> str:
    """Format a number of bytes: `512 MB`, `1.4 GB`."""
    if size is None:
        return "–"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def share(part: float | None, total: float | None) -> str:
    """Format a share of parameters: `0.12 %`."""
    if part is None or not total:
        return "–"
    return f"{100 * part / total:.3g} %"


def times(value: float | None, reference: float | None) -> str:
    """Format a cost as a multiple of the reference's: `×0.31`."""
    if value is None or not reference:
        return "–"
    return f"×{value / reference:.2g}" if value / reference < 100 else f"×{value / reference:,.0f}"


def option_axis(parameter: str) -> str:
    """Name the axis of an option."""
    return f"{parameter} (log scale)"


def metric_title(metric: str) -> str:
    """Title the charts of a metric, with the better direction."""
    better = {1: "higher is better", -1: "lower is better", 0: "good or bad by context"}
    known = facts(metric)
    name = _capital(wording.metric_name(metric))
    return f"{name}, {better[int(known.direction)]}" if known else name
