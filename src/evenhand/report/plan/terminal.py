"""Terminal summary of a plan."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from evenhand.report import wording as common
from evenhand.report.audit.terminal import (
    figure_text,
    plain_table,
    plain_text,
    print_paragraph,
    print_paths,
)
from evenhand.report.document import Document, Row
from evenhand.report.plan import wording

_MOST_ROWS = 8


def summarise_plan(document: Document, console: Console, written: Mapping[str, str] | None = None) -> None:
    """Print a plan.

    Args:
        document: schema `evenhand.plan/1`.
        console: where to print; 80 columns are enough.
        written: paths of the files that were written, by kind.
    """
    print_paragraph(console, wording.title(document), style="bold")
    print_paragraph(console, wording.goal(document))
    if text := wording.assumptions(document):
        print_paragraph(console, text)
    for model in document["models"]:
        if model["model"] is not None and len(document["models"]) > 1:
            console.print()
            print_paragraph(console, str(model["model"]), style="bold")
        _model(model, console)
    print_paths(console, written or {})


def _model(model: Row, console: Console) -> None:
    """Print the plan of one model."""
    print_paragraph(console, wording.summary(model))
    if model["rows"]:
        for question in ("harm", "harmless"):
            console.print()
            console.print(plain_text(wording.QUESTIONS[question], style="bold"))
            console.print(_needed(model, question))
        left = len(model["rows"]) - _MOST_ROWS
        if left > 0:
            console.print(plain_text(f"{left} more rows: --json and --html contain all.", style="dim"))
        console.print()
        console.print(_next(model))
    for remark in model["remarks"]:
        print_paragraph(console, f"Note: {remark}", style="dim")


def _needed(model: Row, question: str) -> object:
    """Build the table of one question, the least likely decisions first."""
    table = plain_table(
        ("group", False),
        ("metric", False),
        ("arm", False),
        ("now", True),
        ("runs", True),
        ("rows", True),
        ("both", True),
    )
    power = f"power_{question}"
    ranked = sorted(model["rows"], key=lambda row: -1.0 if row[power] is None else row[power])
    for row in ranked[:_MOST_ROWS]:
        table.add_row(
            plain_text(wording.group_of(row)),
            plain_text(common.measure(row)),
            plain_text(row["candidate"]),
            figure_text(wording.percent(row[power])),
            figure_text(wording.needed(row, "runs", question)),
            figure_text(wording.needed(row, "rows", question)),
            figure_text(wording.together(row, question)),
        )
    return table


def _next(model: Row) -> object:
    table = plain_table(("what the next effort buys", False), ("costs", True), ("decided on average", True))
    for choice in model["next"]:
        table.add_row(
            plain_text(wording.option(choice)),
            figure_text(wording.cost(choice) if choice["buy"] != "nothing" else "–"),
            figure_text(wording.percent(choice["power"])),
        )
    return table
