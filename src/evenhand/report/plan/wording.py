"""Sentences and cells of a plan: pure functions of its document."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.report import wording
from evenhand.report.document import Document, Row, number

#: Headings of the two questions.
QUESTIONS = {"harm": "Runs and rows that show harm", "harmless": "Runs and rows that exclude it"}

HOW = (
    "The variance of a difference has three parts: what rows differ by in every run, which more rows "
    "reduce; flips of "
    "single answers between runs, which more rows and more runs reduce; and shifts of whole runs, which "
    "only more runs "
    "reduce. The power follows from these, at the level of the family of comparisons that the pilot had."
)


def title(document: Document) -> str:
    """Name what the plan is for."""
    source = document["source"]
    if source["kind"] == "assumed":
        return f"A plan for {source['name']}, from assumed variances"
    return f"A plan from the result {source['name']}"


def goal(document: Document) -> str:
    """State what the plan aims at, and how the numbers are to be read."""
    settings = document["settings"]
    size = settings["difference"]
    loss = "a true loss as large as the margin" if size is None else f"a true loss of {size:g}"
    return (
        f"The goal: {loss} is called harm, and no difference is called harmless, each with "
        f"{percent(settings['power'])} probability. Of two numbers, the first holds if the variances are as "
        f"estimated, the second up to their upper limits ({percent(settings['caution'])}): a pilot of few "
        "runs, "
        "or with few answers that differ, estimates them badly. Never: no number of runs (or rows) alone "
        "suffices. Both: runs × rows if both grow by the same factor, up to the upper limits."
    )


def assumptions(document: Document) -> str:
    """State the variances that were assumed; empty for a pilot with data."""
    assumed = document["source"].get("assumptions")
    if assumed is None:
        return ""
    return (
        f"Assumed, not measured: two arms answer {wording.percent(assumed['disagreement'])} of the rows "
        "differently in "
        "every run; "
        f"{wording.percent(assumed['flips'])} of the answers of an arm flip between runs; whole runs "
        "shift by "
        f"{100 * assumed['shift']:.1f} points (standard deviation). A pilot of three runs measures all three."
    )


def group_of(row: Row) -> str:
    """Name the group of a row."""
    return wording.group_name(row["attribute"], row["group"])


def needed(row: Row, what: str, question: str) -> str:
    """Format the runs or rows that a question needs: `7 – 11`, or how it cannot be reached."""
    estimate, cautious = number(row, f"{what}_{question}"), number(row, f"{what}_{question}_cautious")
    if row["margin"] is None and question == "harmless":
        return "–"
    if estimate is None:
        return "not known" if what == "runs" and not row["by_runs"] else "never"
    if cautious is None:
        return f"{wording.count(estimate)} – never"
    return (
        wording.count(estimate)
        if estimate == cautious
        else f"{wording.count(estimate)} – {wording.count(cautious)}"
    )


def together(row: Row, question: str) -> str:
    """Format the runs and rows that suffice together, at the upper limits of the variances: `7 × 1,400`."""
    counts = [number(row, f"{what}_together_{question}_cautious") for what in ("runs", "rows")]
    if None not in counts:
        return " × ".join(wording.count(count) for count in counts if count is not None)
    if row["margin"] is None and question == "harmless":
        return "–"
    return "never" if row["by_runs"] else "not known"


def percent(value: float | None) -> str:
    """Format a probability."""
    return "–" if value is None else wording.percent(round(value, 2))


def summary(model: Row) -> str:
    """State how much is decided now, and the largest number of runs that is needed."""
    rows: Sequence[Row] = model["rows"]
    if not rows:
        return "Nothing can be planned."
    now = model["next"][0]["power"]
    asked = [
        number(r, f"runs_{q}_cautious")
        for r in rows
        for q in ("harm", "harmless")
        if r[f"power_{q}"] is not None
    ]
    reached = sorted(x for x in asked if x is not None)
    sentence = (
        f"With the pilot's runs and rows, a question is decided in {percent(now)} of the cases on average."
    )
    if not reached:
        return f"{sentence} No number of runs decides any of them at the present rows."
    half = reached[(len(reached) - 1) // 2]
    return (
        f"{sentence} With {wording.count(half)} runs of each arm, half of those that runs can decide are "
        "reached; with "
        f"{wording.count(reached[-1])}, all {len(reached)} of them. {len(asked) - len(reached)} of "
        f"{len(asked)} are not decided by runs alone."
    )


def option(choice: Row) -> str:
    """Describe what an effort buys."""
    amount = choice["amount"]
    if choice["buy"] == "nothing":
        return "as it is"
    if choice["buy"] == "rows":
        return f"{amount} times as many test rows"
    runs = "one more run" if amount == 1 else f"{amount} more runs"
    return f"{runs} of every arm"


def cost(choice: Row) -> str:
    """Format the time of an effort."""
    seconds = number(choice, "seconds")
    if choice["buy"] == "rows":
        return "labels"
    if seconds is None:
        return "not known"
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
