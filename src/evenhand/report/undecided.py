"""Sentences on the reason why a comparison is undecided: its rows, its runs, or both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from evenhand.report.document import Document, Row, verdict_of

#: The sentence of each value of `limited_by`.
REASONS = {
    "rows": "There are too few rows: no number of further runs would narrow the interval enough.",
    "runs": "The runs differ too much: no number of further rows would narrow the interval enough.",
    "either": "Rows and runs both widen the interval: more of either would narrow it enough.",
    "both": "There are too few rows, and the runs differ too much: more of one alone would not do.",
    "difference": "The difference is so close to 0 or the margin that no realistic number would settle it.",
}
_OF_THESE_RUNS = "There are too few rows; the variation between runs is not part of the interval."
#: Limits in which the variation between runs has a part.
_OF_RUNS = ("runs", "either", "both")
_NEEDS = {
    "rows": "more rows",
    "runs": "more runs",
    "either": "more of either",
    "both": "more of both",
    "difference": "more than any realistic number",
}


def reason_sentence(row: Row) -> str:
    """State why a comparison is undecided; empty where it is not known."""
    because = row.get("limited_by")
    if because == "rows" and row.get("unit") == "rows":
        return _OF_THESE_RUNS
    return REASONS.get(str(because), "")


def undecided_line(document: Document) -> str:
    """State what undecided comparisons need, and which runs that learnt nothing widen them; may be empty."""
    rows = [row for row in document["comparisons"] if row.get("family") == "primary"]
    needs = count_reasons(rows)
    arms = {row["reference"] for row in rows} | {
        row["candidate"] for row in rows if verdict_of(row) == "undecided"
    }
    runs = document.get("runs_not_learnt") or []
    failed = [row for row in runs if row["arm"] in arms and row["kind"] != "ranking"]
    if not any(verdict_of(r) == "undecided" and r.get("limited_by") in _OF_RUNS for r in rows):
        return needs
    if not needs or not failed:
        return needs
    listed = ", ".join(f"{row['run']} of {row['arm']}" for row in failed)
    subject = (
        f"The run {listed} learnt nothing and widens"
        if len(failed) == 1
        else f"The runs {listed} learnt nothing and widen"
    )
    return f"{needs} {subject} the variation between runs: look at the remarks before adding any."


def count_reasons(rows: Iterable[Row]) -> str:
    """State in one sentence how many undecided comparisons need rows, runs or both; empty without any."""
    undecided = [r for r in rows if verdict_of(r) == "undecided" and r.get("limited_by") in _NEEDS]
    if not undecided:
        return ""
    counts = Counter(str(r["limited_by"]) for r in undecided)
    parts = [
        f"{counts[key]} need{'s' if counts[key] == 1 else ''} {what}"
        for key, what in _NEEDS.items()
        if counts[key]
    ]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    total = len(undecided)
    lead = "The undecided comparison" if total == 1 else f"Of {total} undecided comparisons"
    if total == 1:
        return f"{lead} {listed.partition(' ')[2]} to be settled."
    return f"{lead}, {listed} to be settled."
