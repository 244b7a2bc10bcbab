"""Terminal summary of an attack: the main results, and where the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from evenhand.report import wording
from evenhand.report.audit.terminal import (
    REST,
    figure_text,
    plain_table,
    plain_text,
    print_paragraph,
    print_paths,
    print_worst,
    problems,
)
from evenhand.report.document import Document, Row, number, primary, worst_first
from evenhand.report.privacy.charts import arms_of

_MOST_ROWS = 8
_MOST_GROUPS = 12


def summarise_attack(document: Document, console: Console, written: Mapping[str, str] | None = None) -> None:
    """Print the summary of an attack.

    Args:
        document: schema `evenhand.attack/1`.
        console: where to print; 80 columns are enough.
        written: paths of the files that were written, by kind.
    """
    print_paragraph(console, str(document["verdict"]["sentence"]), style="bold")
    console.print()
    leakage(document, console)
    if document["comparisons"]:
        privacy_comparisons(document, console)
    problems(document, console)
    print_paths(console, written or {})


def leakage(document: Document, console: Console, *, rest: str = REST) -> None:
    """Print the primary metrics over all rows and by group, of the strongest attack of each arm."""
    metrics = [str(m) for m in document["settings"]["primary"]]
    rows = [r for r in document["rates"] if r["metric"] in metrics]
    attack = _strongest(rows, metrics[0])
    of_attack = [r for r in rows if r["attack"] == attack]
    groups = list(dict.fromkeys((r["attribute"], r["group"]) for r in of_attack))
    at = {(r["attribute"], r["group"], r["input"], r["metric"]): r for r in of_attack}
    table = plain_table(("group", False), ("arm", False), *((wording.metric_name(m), True) for m in metrics))
    for attribute, group in groups[:_MOST_GROUPS]:
        for arm in arms_of(document):
            shown = [at.get((attribute, group, arm, m)) for m in metrics]
            table.add_row(
                plain_text(wording.group_name(attribute, group)),
                plain_text(arm),
                *(figure_text(_value(r)) for r in shown),
            )
    console.print(table)
    more = wording.left_out(min(len(groups), _MOST_GROUPS), len(groups), "groups", rest=rest)
    caption = f"Attack {attack}, the strongest over all rows; in points, with pointwise intervals. {more}"
    print_paragraph(console, caption.strip(), style="dim")
    console.print()


def _strongest(rows: Sequence[Row], metric: str) -> str:
    """Name the attack with the largest value over all rows, the first one if no attack has a value."""
    overall = [r for r in rows if r["attribute"] is None and r["metric"] == metric]
    known = [r for r in overall if number(r, "value") is not None]
    return str(max(known or overall, key=lambda r: number(r, "value") or 0.0)["attack"])


def _value(row: Row | None) -> str:
    if row is None:
        return ""
    return wording.missing_value(row) if number(row, "value") is None else wording.short_estimate(row)


def privacy_comparisons(
    document: Document, console: Console, *, most: int = _MOST_ROWS, rest: str = REST
) -> None:
    """Print the counts of verdicts on leakage and the worst comparisons.

    Args:
        document: schema `evenhand.attack/1`.
        console: where to print.
        most: rows of the table.
        rest: text on where the other rows are.
    """
    telling = wording.telling(worst_first(primary(document)))
    shown = telling[:most]
    print_paragraph(console, wording.counts_line(document))
    if shown:
        more = wording.left_out(len(shown), len(telling), "harm, undecided and help rows", rest=rest)
        margin = wording.amount(number(shown[0], "margin"), "accuracy")
        lead = "Differences are in points, candidate − reference; more leakage is harm."
        print_worst(document, shown, console, f"{lead} Margin {margin}. {more}".strip())
    console.print()
