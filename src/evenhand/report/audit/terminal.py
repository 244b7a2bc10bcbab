"""Terminal summary of an audit: the main results, and where the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evenhand.report import averages, collective, wording
from evenhand.report.document import (
    Document,
    Row,
    arms,
    groups_left_out,
    key_metrics,
    number,
    primary,
    requested,
    unique,
    verdict_of,
    worst_first,
)
from evenhand.report.flips import flips_line
from evenhand.report.undecided import undecided_line

_MOST_ROWS = 8
_MOST_PROBLEMS = 5
_MOST_GROUPS = 12
_MOST_RATES = 3
_MOST_FLIPS = 3
_MOST_CLAIMS = 4
_MOST_AVERAGES = 5
REST = "--html, --json and --csv contain all"
_Key = tuple[Any, Any, Any, Any]
STYLES = {"harm": "bold red", "undecided": "yellow", "help": "bold blue", "harmless": "green"}


def summarise(document: Document, console: Console, written: Mapping[str, str] | None = None) -> None:
    """Print the answer of an audit.

    Args:
        document: the dictionary of `AuditResult.to_dict()`.
        console: where to print; 80 columns are enough.
        written: paths of the files that were written, by kind (`html`, `json`, `csv`).
    """
    print_paragraph(console, document["verdict"]["sentence"], style="bold")
    if document["comparisons"]:
        comparisons(document, console)
    else:
        _single(document, console)
    problems(document, console)
    print_paths(console, written or {})


def print_paragraph(console: Console, text: str, style: str = "") -> None:
    """Print a paragraph, with control characters replaced."""
    console.print(Text(wording.replace_control_characters(text), style=style))


def print_paths(console: Console, written: Mapping[str, str]) -> None:
    """Print the paths of files, one per line without wrapping: to be clicked, copied or parsed."""
    for kind, path in written.items():
        console.print(Text(wording.replace_control_characters(f"{kind}: {path}")), soft_wrap=True)


def plain_table(*columns: tuple[str, bool]) -> Table:
    """Make a table; a column is its heading and whether it contains numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading, figures in columns:
        justify: Literal["left", "right"] = "right" if figures else "left"
        table.add_column(
            Text(wording.replace_control_characters(heading)), justify=justify, overflow="fold", no_wrap=False
        )
    return table


def figure_text(text: str, style: str = "") -> Text:
    """Return a number with its interval as text that is never wrapped."""
    return Text(wording.replace_control_characters(text).replace(" ", "\N{NO-BREAK SPACE}"), style=style)


def plain_text(value: object, style: str = "") -> Text:
    """Return a text with control characters replaced."""
    return Text(wording.replace_control_characters(value), style=style)


def comparisons(document: Document, console: Console, *, most: int = _MOST_ROWS, rest: str = REST) -> None:
    """Print the counts of verdicts and the worst comparisons.

    Args:
        document: the dictionary of `AuditResult.to_dict()`.
        console: where to print.
        most: rows of the table.
        rest: text on where the other rows are.
    """
    telling = wording.telling(worst_first(primary(document)))
    shown = telling[:most]
    console.print()
    print_paragraph(console, wording.counts_line(document))
    if shown:
        points = any(wording.in_points(str(r["metric"])) for r in shown)
        lead = "Differences of rates are in points, candidate − reference." if points else ""
        margins = unique(shown, "margin")
        one = len(margins) == 1 and margins[0] is not None
        margin = f"Margin {wording.amount(margins[0], str(shown[0]['metric']))}." if one else ""
        more = wording.left_out(len(shown), len(telling), "harm, undecided and help rows", rest=rest)
        print_worst(document, shown, console, " ".join([*(t for t in (lead, margin) if t), more]))
    if reasons := undecided_line(document):
        print_paragraph(console, reasons)
    _print_averages(document, console, rest)
    _print_claims(document, console, rest)
    if document.get("averages") or collective.claims(document):
        console.print()
    if changed := flips_line(document, most=_MOST_FLIPS):
        print_paragraph(console, changed)
    console.print()
    _requested(document, shown, console, rest)


def _print_averages(document: Document, console: Console, rest: str) -> None:
    """Print the verdicts on averages of arms and the worst of their comparisons; nothing without averages."""
    lines = averages.lines(document)
    if not lines:
        return
    console.print()
    print_paragraph(console, f"{averages.HEADING}:", style="bold")
    for line in lines:
        print_paragraph(console, line)
    telling = wording.telling(averages.ranked(document))
    shown = telling[:_MOST_AVERAGES]
    if shown:
        note = wording.left_out(len(shown), len(telling), "harm, undecided and help rows", rest=rest)
        print_worst(document, shown, console, note)


def _print_claims(document: Document, console: Console, rest: str) -> None:
    """Print what is known of several groups at once and of none alone; nothing without such claims."""
    claims = collective.claims(document)
    if not claims:
        return
    console.print()
    print_paragraph(console, f"{collective.HEADING}:", style="bold")
    for verdict, label, sentence in claims[:_MOST_CLAIMS]:
        text = Text(label.partition(" ")[0], style=STYLES[verdict])
        console.print(text.append(wording.replace_control_characters(f" {sentence}"), style="none"))
    if note := wording.left_out(_MOST_CLAIMS, len(claims), "claims", rest=rest):
        print_paragraph(console, note, style="dim")


def print_worst(document: Document, shown: Sequence[Row], console: Console, caption: str) -> None:
    """Print the table of the worst comparisons, with columns for what differs between rows."""
    several = len(unique(primary(document), "candidate")) > 1
    attacked, margins = "attack" in shown[0], len(unique(shown, "margin")) > 1
    level = wording.percent(number(shown[0], "level"))
    table = plain_table(
        (wording.verdict_heading(shown), False),
        *([("candidate", False)] if several else []),
        ("group", False),
        *([("attack", False)] if attacked else []),
        *(("metric", False), ("diff.", True), (f"{level} interval", True)),
        *([("margin", True)] if margins else []),
    )
    for row in shown:
        metric = str(row["metric"])
        table.add_row(
            plain_text(wording.verdict_label(row), STYLES[str(verdict_of(row))]),
            *([plain_text(row["candidate"])] if several else []),
            plain_text(wording.subject(row)),
            *([plain_text(row["attack"])] if attacked else []),
            plain_text(wording.metric_name(metric)),
            figure_text(wording.amount(number(row, "difference"), metric, signed=True)),
            figure_text(wording.span(row, signed=True)),
            *([figure_text(wording.amount(number(row, "margin"), metric))] if margins else []),
        )
    console.print()
    console.print(table)
    if caption:
        print_paragraph(console, caption, style="dim")


def _requested(document: Document, shown: Sequence[Row], console: Console, rest: str) -> None:
    """Print the comparisons of requested metrics that the table above does not contain."""
    above = {r["metric"] for r in shown}
    rows = [r for m in requested(document) if m not in above for r in document["comparisons"]
            if r["metric"] == m]  # fmt: skip
    if not rows:
        return
    several = len(unique(document["comparisons"], "candidate")) > 1
    level = wording.percent(number(rows[0], "level"))
    table = plain_table(
        ("metric", False),
        *([("candidate", False)] if several else []),
        *(("group", False), ("diff.", True), (f"{level} interval", True), ("adj. p", True)),
    )
    listed = [r for m in unique(rows, "metric") for r in [r for r in rows if r["metric"] == m][:_MOST_GROUPS]]
    for row in listed:
        metric, ok = str(row["metric"]), row.get("status", "ok") == "ok"
        difference = wording.amount(number(row, "difference"), metric, signed=True)
        table.add_row(
            plain_text(wording.metric_name(metric)),
            *([plain_text(row["candidate"])] if several else []),
            plain_text(wording.subject(row)),
            figure_text(difference if ok else str(row["status"]).replace("_", " "), "" if ok else "dim"),
            figure_text(wording.span(row, signed=True)),
            figure_text(wording.p_value(number(row, "p_adjusted"))),
        )
    print_paragraph(console, "Requested metrics:", style="bold")
    console.print(table)
    note = wording.left_out(len(listed), len(rows), "rows", rest=rest)
    caption = f"Candidate − reference; rates in points. Only primary metrics get verdicts. {note}"
    print_paragraph(console, caption.strip(), style="dim")
    console.print()


def _single(document: Document, console: Console) -> None:
    """Show the main rates by group, and the disparities, of documents without comparisons."""
    there = set(unique(document["rates"], "metric"))
    metrics = [m for m in requested(document) if m in there] or key_metrics(document)[:_MOST_RATES]
    at = {(r["input"], r["attribute"], r["group"], r["class"], r["metric"]): r for r in document["rates"]}
    keys: list[_Key] = list(dict.fromkeys(key[:4] for key in at if key[4] in metrics))
    shown = _few_groups(keys)
    several = len(arms(document)) > 1
    for start in range(0, len(metrics), _MOST_RATES):
        console.print()
        console.print(_rates(at, shown, metrics[start : start + _MOST_RATES], several=several))
    small = any(r["status"] == "too_small" for r in document["rates"])
    notes = [
        "Rates are in points, with pointwise intervals.",
        "* fewer rows than the minimum group size." if small else "",
        wording.left_out(len(shown), len(keys), "rows", rest=REST),
    ]
    print_paragraph(console, " ".join(t for t in notes if t), style="dim")
    if document["disparities"]:
        console.print()
        _disparities(document["disparities"], console)
    console.print()


def _rates(at: Mapping[Any, Row], shown: Sequence[_Key], metrics: Sequence[str], *, several: bool) -> Table:
    """Make a table of some metrics, a line per group (and arm, where there are several)."""
    table = plain_table(("group", False), ("rows", True), *((wording.metric_name(m), True) for m in metrics))
    for key in shown:
        rows = [at.get((*key, m)) for m in metrics]
        first = next((r for r in rows if r), None)
        if first is None:
            continue
        name = f"{key[0]}: {wording.subject(first)}" if several else wording.subject(first)
        table.add_row(plain_text(name), figure_text(wording.count(number(first, "n"))), *map(_value, rows))
    return table


def _few_groups(keys: Sequence[_Key]) -> list[_Key]:
    """Select the first groups of each attribute, in the document's order."""
    counts: dict[tuple[Any, Any], int] = {}
    selected = []
    for key in keys:
        counts[key[:2]] = counts.get(key[:2], 0) + 1
        if counts[key[:2]] <= _MOST_GROUPS:
            selected.append(key)
    return selected


def _disparities(rows: Sequence[Row], console: Console) -> None:
    several = len(unique(rows, "input")) > 1
    head = [("arm", False)] if several else []
    table = plain_table(
        *head, ("attribute", False), ("disparity", False), ("value (interval)", True), ("left out", False)
    )
    for row in rows:
        gone = ", ".join(group for group, _ in groups_left_out(row)) or "none"
        lead = [plain_text(row["input"])] if several else []
        name = wording.metric_name(str(row["metric"]))
        label = name if row["class"] is None else f"{name}, class {row['class']}"
        table.add_row(*lead, plain_text(row["attribute"]), plain_text(label), _value(row), plain_text(gone))
    console.print(table)


def _value(row: Row | None) -> Text:
    if row is None:
        return Text("–")
    small = row.get("status", "ok") != "ok"
    if number(row, "value") is None:
        return plain_text(wording.missing_value(row), "dim")
    text = wording.short_estimate(row)
    return figure_text(f"{text} *" if small else text, "dim" if small else "")


def problems(document: Document, console: Console) -> None:
    """Print the first remarks on the data, if any."""
    lines = [str(p) for p in document.get("problems", ())]
    if not lines:
        return
    print_paragraph(console, "Remarks on the data:", style="bold")
    for problem in lines[:_MOST_PROBLEMS]:
        print_paragraph(console, f"- {problem}")
    if len(lines) > _MOST_PROBLEMS:
        print_paragraph(console, f"- and {len(lines) - _MOST_PROBLEMS} more, in the html and json outputs.")
    console.print()
