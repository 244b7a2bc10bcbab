"""Sentences that all reports and the terminal share: pure functions of a document or of one of its rows.

Rates and their differences are in points (percentage points); ratios, log loss and the Brier score are
unscaled. The terms are those of the glossary: harm, harmless, help, undecided; difference, disparity, margin.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from evenhand.report.document import Document, Row, direction, facts, number, verdict_of
from evenhand.report.undecided import reason_sentence

#: A symbol for each verdict, so that colour is not the only cue.
SYMBOLS = {"harm": "▼", "undecided": "◆", "help": "▲", "harmless": "●"}

VERDICT_MEANINGS = {
    "harm": "The candidate is worse than the reference, and a loss as large as the margin is not excluded.",
    "undecided": "The data can neither show harm nor exclude a loss as large as the margin.",
    "help": "The candidate is better than the reference, and a gain as large as the margin is not excluded.",
    "harmless": "A loss as large as the margin is excluded.",
}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: Symbols of metrics.
SIGNS = {"delta_g": "ΔG", "delta_s": "ΔS"}


def replace_control_characters(text: object) -> str:
    """Replace control characters: names in files may contain them, and a terminal would execute them."""
    return _CONTROL.sub("�", str(text)).replace("\n", " ").replace("\t", " ")


def metric_name(metric: str) -> str:
    """Return the title of a metric: `true_positive_rate` is the true positive rate."""
    known = facts(metric)
    return str(known.title) if known else metric.replace("_", " ")


def in_points(metric: str) -> bool:
    """Return whether a metric is shown in points: rates on [0, 1] are, ratios and losses are not."""
    known = facts(metric)
    if known is None or not (known.margin or metric.endswith("_difference")):
        return False
    return tuple(known.range) in ((0, 1), (-1, 1))


def unit_of(metric: str) -> str:
    """Return the unit of differences of a metric: ` points`, or an empty string."""
    return " points" if in_points(metric) else ""


def amount(value: float | None, metric: str, *, signed: bool = False, fine: bool = False) -> str:
    """Format a value or a difference of a metric: .041 of accuracy is `4.1`, of log loss `0.041`.

    `fine` adds a digit, for slopes, which are small.
    """
    if value is None:
        return "–"
    text = f"{100 * value:.{1 + fine}f}" if in_points(metric) else f"{value:.{3 + fine}f}"
    if float(text) == 0:  # never "−0.0"
        return text.lstrip("-")
    return (f"+{text}" if signed and value > 0 else text).replace("-", "−")


def span(row: Row, *, signed: bool = False, flipped: bool = False, fine: bool = False) -> str:
    """Format the interval of a row, `1.9 to 6.2`; `flipped` is for that of the negated difference."""
    low, high = number(row, "low"), number(row, "high")
    if low is None or high is None:
        return "–"
    if flipped:  # negation swaps the bounds
        low, high = -high, -low
    metric = str(row["metric"])
    return " to ".join(amount(value, metric, signed=signed, fine=fine) for value in (low, high))


def estimate(row: Row, key: str, *, signed: bool = False, fine: bool = False) -> str:
    """Format a number of a row with its interval, where it has one: `4.1 (1.9 to 6.2)`."""
    text = amount(number(row, key), str(row["metric"]), signed=signed, fine=fine)
    bounds = span(row, signed=signed, fine=fine)
    return text if bounds == "–" else f"{text} ({bounds})"


def short_span(row: Row) -> str:
    """Format the interval of a rate, which is never negative, compactly: `78.6–82.6`."""
    low, high = number(row, "low"), number(row, "high")
    metric = str(row["metric"])
    return "–" if low is None or high is None else f"{amount(low, metric)}–{amount(high, metric)}"


def short_estimate(row: Row) -> str:
    """Format a rate with its interval, where it has one, compactly: `80.6 (78.6–82.6)`."""
    text, bounds = amount(number(row, "value"), str(row["metric"])), short_span(row)
    return text if bounds == "–" else f"{text} ({bounds})"


def percent(level: float | None) -> str:
    """Format a level: .95 is `95 %`."""
    return "–" if level is None else f"{100 * level:.4g} %"


def p_value(value: float | None) -> str:
    """Format a p-value; small ones as `<0.001`, never as 0."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float | None) -> str:
    """Format a number of rows with thousands separators; averages over runs have one decimal."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def format_quantity(value: float | None, what: str) -> str:
    """Format a number with its noun, `1 row`, `2 rows`, `1.5 rows`."""
    return f"{count(value)} {what}{'' if value == 1 else 's'}"


def round_up_figure(value: float) -> str:
    """Round a planning figure up to two significant digits."""
    step = 10 ** max(len(str(int(value))) - 2, 0)
    return f"{math.ceil(value / step) * step:,}"


def group_name(attribute: object, group: object) -> str:
    """Format a group as `race=Black`, a memberships column by its name, overall as `all rows`."""
    if attribute is None:
        return "all rows"
    if group is None:
        return f"between groups of {attribute}"
    attribute, group = str(attribute), str(group)
    if " x " in attribute:
        parts, values = attribute.split(" x "), group.split(" x ")
        if "=" not in group and len(parts) == len(values):
            return " x ".join(f"{a}={g}" for a, g in zip(parts, values, strict=True))
        return group
    return f"{attribute}{group}" if attribute.endswith(("_", "-", ".", ":")) else f"{attribute}={group}"


def subject(row: Row) -> str:
    """Name the group, and the class, of a row: `race=Black`, `all rows`, `between groups of race`."""
    name = group_name(row.get("attribute"), row.get("group"))
    return name if row.get("class") is None else f"{name}, class {row['class']}"


def _whom(row: Row, preposition: str) -> str:
    """Name the group that a sentence is about, after a preposition where it is a single one."""
    attribute, group = row.get("attribute"), row.get("group")
    if attribute is None:
        return "over all rows"
    if group is None:
        return f"across the groups of {attribute}"
    return f"{preposition} {group_name(attribute, group)}".lstrip()


def measure(row: Row) -> str:
    """Name the metric, and the class, of a row: `accuracy`, `f1 of class yes`."""
    metric = metric_name(str(row["metric"]))
    return metric if row.get("class") is None else f"{metric} of class {row['class']}"


def _interval_clause(row: Row, *, signed: bool, flipped: bool) -> str:
    margin = number(row, "margin")
    stated = "no margin" if margin is None else f"margin {amount(margin, str(row['metric']))}"
    joint = row.get("error_rate", "familywise") == "familywise"
    kind = "simultaneous " if joint and row.get("family", "primary") != "exploratory" else ""
    shown = span(row, signed=signed, flipped=flipped)
    return f"({percent(number(row, 'level'))} {kind}interval {shown}; {stated})"


def comparison_sentence(row: Row) -> str:
    """Describe a comparison: verdict, difference, interval, margin, flips, data needed to settle it."""
    lead = "In these runs, compared" if of_few_runs([row]) else "Compared"
    head = f"{lead} with {row['reference']}, {row['candidate']} "
    difference, verdict, metric = number(row, "difference"), verdict_of(row), str(row["metric"])
    if row.get("status", "ok") != "ok" or number(row, "low") is None:
        return f"{head}gets no verdict for {measure(row)} {_whom(row, 'for')}: {status_reason(row)}."
    leads = {
        "harm": f"does harm {_whom(row, 'to')}",
        "help": f"helps {_whom(row, '')}",
        "harmless": f"is harmless {_whom(row, 'to')}",
        "undecided": f"is undecided {_whom(row, 'for')}",
        None: f"has no verdict {_whom(row, 'for')}",
    }
    if verdict in ("harm", "help") and difference is not None:
        way = "lower" if difference < 0 else "higher"
        clause = _interval_clause(row, signed=False, flipped=difference < 0)
        change = f"is {way} by {amount(abs(difference), metric)}{unit_of(metric)} {clause}"
        if verdict == "harm" and row.get("beyond_margin"):
            change += ", and the entire interval is beyond the margin"
    else:
        size = "" if difference is None else f" by {amount(difference, metric, signed=True)}{unit_of(metric)}"
        clause = _interval_clause(row, signed=True, flipped=False)
        change = f"differs{size} {clause}{_remark(row, verdict)}"
    sentence = f"{head}{leads[verdict]}: {measure(row)} {change}."
    more = [flips(row), *([reason_sentence(row), to_settle(row)] if verdict == "undecided" else [])]
    return " ".join([sentence, *(text for text in more if text)])


def _remark(row: Row, verdict: str | None) -> str:
    if verdict == "harmless":
        return f"; {harmless_note(row)}"
    if verdict == "undecided":
        return "; harm is neither shown nor excluded"
    if verdict is not None:
        return ""
    if direction(row) == 0:
        return f"; whether a higher {metric_name(str(row['metric']))} is good depends on the context"
    return "; it is exploratory"


def harmless_note(row: Row) -> str:
    """Describe the kind of harmless: equivalent, negligible but nonzero, or a gain not excluded."""
    low, high, margin = number(row, "low"), number(row, "high"), number(row, "margin")
    if low is not None and high is not None and (low > 0 or high < 0):
        note = "within the margin; a nonzero but negligible difference"
    elif row.get("equivalent"):
        note = "equivalent: the entire interval is within the margin on either side"
    else:
        note = "a loss as large as the margin is excluded, a gain is not"
    limit, end = number(row, "harm_limit"), low if direction(row) > 0 else high
    if limit is None or margin is None or end is None or direction(row) * -end < margin:
        return note
    shown = amount(limit, str(row["metric"]), signed=True)
    return f"{note} (the one-sided limit, {shown}, is decisive; the interval has two sides)"


def flips(row: Row) -> str:
    """State how many answers changed in each direction, and between two runs of one arm; empty if unknown."""
    lost, won = number(row, "n_right_to_wrong"), number(row, "n_wrong_to_right")
    if lost is None or won is None:
        return ""
    right, wrong = answer_words(str(row["metric"]))
    text = f"{format_quantity(lost, 'row')} {right}→{wrong}, {count(won)} {wrong}→{right}"
    between = number(row, "n_right_to_wrong_between_runs")
    if between is None:
        return f"{text}."
    return f"{text}; between two runs of one arm {count(round(between, 1))} {right}→{wrong}."


def flip_counts(row: Row) -> str:
    """Format the flips of a row for a cell: `31 / 12 (9)`, where 9 is between two runs of one arm."""
    lost, won = number(row, "n_right_to_wrong"), number(row, "n_wrong_to_right")
    if lost is None or won is None:
        return "–"
    between = number(row, "n_right_to_wrong_between_runs")
    return f"{count(lost)} / {count(won)}" + ("" if between is None else f" ({count(round(between, 1))})")


def answer_words(metric: str) -> tuple[str, str]:
    """Return the words for answers that a metric counts and for others; shares do not count right answers."""
    counts_share = metric.startswith("share_") or metric.endswith(("_share", "_followed"))
    return ("yes", "no") if counts_share else ("right", "wrong")


def to_settle(row: Row) -> str:
    """State the smallest detectable difference of an undecided row, and the data needed to settle it."""
    metric = str(row["metric"])
    smallest, rows, runs = (
        number(row, k) for k in ("minimum_detectable", "rows_to_settle", "runs_to_settle")
    )
    parts = []
    if smallest is not None:
        size = f"{amount(smallest, metric)}{unit_of(metric)}"
        parts.append(f"The smallest detectable difference with these data is {size}.")
    need = []
    if rows is not None:
        has = number(row, "n")
        there = "" if has is None else f" (now {count(has)})"
        need.append(f"{_about_rows(rows)}{there}")
    if runs is not None:
        need.append(f"{round_up_figure(runs)} runs per arm")
    if need:
        parts.append(f"About {' or '.join(need)} would settle it.")
    return " ".join(parts)


def _about_rows(rows: float) -> str:
    return f"{round_up_figure(rows)} row{'' if rows == 1 else 's'}"


def needed(row: Row) -> str:
    """Format the data needed to settle an undecided row, for a cell."""
    rows, runs = number(row, "rows_to_settle"), number(row, "runs_to_settle")
    if verdict_of(row) != "undecided" or (rows is None and runs is None):
        return ""
    parts = [_about_rows(rows)] if rows is not None else []
    return " or ".join([*parts, *([f"{round_up_figure(runs)} runs"] if runs is not None else [])])


def status_reason(row: Row) -> str:
    """State the reason for a missing or unused value of a row."""
    status = row.get("status", "ok")
    reason = str(row.get("reason") or "").rstrip(".")
    method = str(row.get("interval") or "")
    if not reason and method.startswith("none: "):
        reason = method.removeprefix("none: ")
    label = {"too_small": "too small", "undefined": "undefined"}.get(str(status), "no interval")
    return f"{label} ({reason})" if reason else label


def missing_value(row: Row) -> str:
    """Name the status of a row without a value, for a cell.

    Rows from few examples have a value, except for an attack's rates at a false positive rate that the
    non-members cannot resolve.
    """
    unresolved = "attack" in row and row["status"] == "too_small"
    return "not resolvable" if unresolved else str(row["status"]).replace("_", " ")


def tiles(document: Document, meanings: Mapping[str, str]) -> list[tuple[str, str, int, str, str]]:
    """Return (verdict, symbol, count, meaning, scope) of each verdict."""
    counts = document["verdict"]["counts"]
    about = " in these runs" if of_few_runs(document["comparisons"]) else ""
    return [(v, symbol, counts.get(v, 0), meanings[v], about) for v, symbol in SYMBOLS.items()]


def telling(rows: Iterable[Row]) -> list[Row]:
    """Select the comparisons that are worth reading one by one: harm, undecided and help."""
    return [r for r in rows if verdict_of(r) in ("harm", "undecided", "help")]


def verdict_heading(rows: Iterable[Row]) -> str:
    """Name the column of verdicts."""
    return "in these runs" if of_few_runs(rows) else "verdict"


def verdict_label(row: Row) -> str:
    """Format the verdict for a cell: `▼ harm`, or the reason for its absence."""
    verdict = verdict_of(row)
    if verdict:
        return f"{SYMBOLS[verdict]} {verdict}"
    if row.get("status", "ok") != "ok":
        return str(row["status"]).replace("_", " ")
    return "no verdict"


def of_few_runs(rows: Iterable[Row]) -> bool:
    """Return whether verdicts are about the runs at hand only; rows without one may need more runs."""
    rows = list(rows)
    return any(r.get("unit") == "rows" for r in [r for r in rows if verdict_of(r)] or rows)


def counts_line(document: Document) -> str:
    """State the counts of verdicts in one line, with their scope and the comparisons without one."""
    counts = document["verdict"]["counts"]
    about = "In these runs" if of_few_runs(document["comparisons"]) else "For the method"
    text = f"{about}: " + "   ".join(f"{SYMBOLS[v]} {counts.get(v, 0)} {v}" for v in SYMBOLS)
    without = [r for r in document["comparisons"] if r["family"] == "primary" and not verdict_of(r)]
    return text + (f"   ({len(without)} without a verdict)" if without else "")


def unit_note(document: Document) -> str:
    """State whether the verdicts hold for the method or for the runs at hand; empty without comparisons."""
    rows = document["comparisons"]
    if not rows:
        return ""
    runs = int(min(r.get("runs") or 1 for r in rows))
    if of_few_runs(rows):
        draws = "one run, which is a single draw" if runs == 1 else f"{runs} runs, each one draw"
        few = " With more runs per arm, verdicts are about the method." if runs < 5 else ""
        return f"These verdicts are about these runs, not the method: an arm has {draws}.{few}"
    others = " All other numbers are about these runs: they take 5 runs per arm." if runs < 5 else ""
    scope = f"rows and {runs} runs per arm both vary."
    return f"These verdicts are about the method on this training set: {scope}{others}"


def margin_note(document: Document) -> str:
    """State the margins of the verdicts; empty without comparisons or margins."""
    settings = document.get("settings", {})
    default, by_metric = number(settings, "margin"), settings.get("margins") or {}
    if not document["comparisons"] or (default is None and not by_metric):
        return ""
    parts = [] if default is None else [f"{amount(default, 'accuracy')} points"]
    parts += [
        f"{amount(float(v), str(k))}{unit_of(str(k))} for {metric_name(str(k))}" for k, v in by_metric.items()
    ]
    return f"The margin is {', '.join(parts)}."


def left_out(shown: int, total: int, what: str, *, rest: str = "the table has all") -> str:
    """State how many items of a chart or a table are shown; empty if all are."""
    return "" if shown >= total else f"{shown} of {total} {what} are shown; {rest}."


def axis_caption(row: Row) -> str:
    """Label the two directions of the axis of a forest plot."""
    unit = "points" if in_points(str(row["metric"])) else "difference"
    left, right = {1: ("worse", "better"), -1: ("better", "worse"), 0: ("lower", "higher")}[direction(row)]
    return f"← {left} · {unit} · {right} →"
