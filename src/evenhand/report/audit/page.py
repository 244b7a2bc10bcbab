"""The page of an audit: text, tables and charts, prepared so that the template only lays them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.report import averages, charts, collective, wording
from evenhand.report.audit import shrunken
from evenhand.report.audit import wording as method_wording
from evenhand.report.cells import (
    change_cell,
    count_cell,
    metric_cell,
    p_cell,
    settling_cells,
    value_cell,
    verdict_cell,
)
from evenhand.report.document import (
    Document,
    Row,
    arms,
    exploratory,
    groups_left_out,
    key_metrics,
    number,
    primary,
    unique,
    verdict_of,
    worst_first,
)
from evenhand.report.flips import flips_line
from evenhand.report.headline import headline
from evenhand.report.rendering import Cell, Table, build_table, figure, render
from evenhand.report.undecided import undecided_line

_MOST_SENTENCES = 8
_MOST_FLIPS = 6
_MOST_NAMES = 6


def build_page(document: Document) -> str:
    """Build the page of an audit.

    Args:
        document: the dictionary of `AuditResult.to_dict()`, schema `evenhand.audit/1`.

    Returns:
        A complete HTML document without external references.
    """
    return render("audit.html.j2", {"a": audit_view(document), "document": document})


def audit_view(document: Document) -> dict[str, Any]:
    """Prepare the template variables of an audit."""
    others, forest = exploratory(document), charts.forest(document)
    ranked = worst_first(primary(document))
    return shared_view(document) | {
        "tiles": wording.tiles(document, wording.VERDICT_MEANINGS),
        "findings": findings(ranked, "Where harm was found, worst first", wording.comparison_sentence),
        "forest": forest,
        "forest_left_out": wording.left_out(len(forest), charts.forest_panels(document), "panels"),
        "comparisons": _comparisons("Primary comparisons, worst first", ranked, verdicts=True)
        if ranked
        else None,
        "exploratory": _comparisons("Exploratory comparisons", others, verdicts=False) if others else None,
        "disparities": _disparities(document) if document["disparities"] else None,
        "rates": charts.rates(document),
        "rate_tables": _rate_tables(document),
        "unusable": unusable([*document["rates"], *document["comparisons"]]),
        "how": method_wording.how_computed(document),
    }


def shared_view(document: Document) -> dict[str, Any]:
    """Prepare the template variables that pages of audits and of attacks share."""
    names = arms(document)
    against = f" compared with {names.pop(0)}" if document["comparisons"] else ""
    return {
        "title": f"{', '.join(names)}{against}",
        "document": document,
        "sentence": document["verdict"]["sentence"],
        "unit_note": f"{wording.unit_note(document)} {wording.margin_note(document)}".strip(),
        "headline": headline(document),
        "flips": flips_line(document, most=_MOST_FLIPS),
        "undecided": undecided_line(document),
        "averages": _averages(document) if document.get("averages") else None,
        "shrunken": shrunken.view(document),
        "collective": Findings(collective.HEADING, collective.claims(document), ""),
        "inputs": inputs_table(document),
        "settings": settings_list(document),
        "forest_caption": method_wording.forest_caption(),
        "problems": [str(p) for p in document.get("problems", ())],
        "left_out": _left_out(document),
    }


@dataclass(frozen=True)
class Findings:
    """The sentences to read first, as (verdict, label, sentence), under a heading."""

    heading: str
    rows: Sequence[tuple[str, str, str]]
    note: str


def findings(ranked: Sequence[Row], heading: str, sentence: Callable[[Row], str]) -> Findings:
    """Select the sentences to read first: those on harm, else those nearest to it.

    Args:
        ranked: primary comparisons, worst first.
        heading: of sentences on harm.
        sentence: describes a comparison.
    """
    telling = wording.telling(ranked)
    harm = [r for r in telling if verdict_of(r) == "harm"]
    shown = (harm or telling)[:_MOST_SENTENCES]
    rows = [(str(verdict_of(r)), wording.verdict_label(r), sentence(r)) for r in shown]
    note = wording.left_out(len(shown), len(harm or telling), "comparisons")
    return Findings(heading if harm else "Closest to harm", rows, note)


def inputs_table(document: Document) -> Table:
    """List the input files with their rows, runs and digests."""
    rows = [
        [
            Cell(str(i["name"])),
            Cell(str(i["path"] or "in memory")),
            figure(i["rows"], wording.count(i["rows"])),
            figure(i["runs"], wording.count(i["runs"])),
            Cell(str(i["sha256"] or "–")[:12], css="code", title=str(i["sha256"] or "")),
        ]
        for i in document["inputs"]
    ]
    return build_table("Input files", ("arm", "file", "rows", "runs", "sha256"), rows)


def settings_list(document: Document) -> list[tuple[str, str]]:
    """List the settings that are not empty, as (name, text)."""
    entries = [(str(k).replace("_", " "), _listed(v)) for k, v in document.get("settings", {}).items()]
    return [(k, v) for k, v in entries if v]


def _listed(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(" x ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in value)
    return "" if value is None else str(value)


def _comparisons(caption: str, rows: Sequence[Row], *, verdicts: bool) -> Table:
    names = ["group", "metric", "candidate", "difference (interval)", "margin", "adjusted p", "rows"]
    names += ["→wrong / →right (run to run)"]
    if verdicts:
        names = [names[0], wording.verdict_heading(rows), *names[1:], "smallest detectable", "to settle"]
    return build_table(caption, names, [_comparison(r, verdicts=verdicts) for r in rows])


def _comparison(row: Row, *, verdicts: bool) -> list[Cell]:
    sentence = wording.comparison_sentence(row)
    margin, lost = number(row, "margin"), number(row, "n_right_to_wrong")
    cells = [
        Cell(wording.subject(row), title=sentence),
        metric_cell(row),
        Cell(str(row["candidate"])),
        change_cell(row),
        figure(margin, wording.amount(margin, str(row["metric"]))),
        p_cell(row),
        count_cell(row),
        figure(lost, wording.flip_counts(row), title=wording.flips(row)),
    ]
    if not verdicts:
        return cells
    note = wording.harmless_note(row) if verdict_of(row) == "harmless" else ""
    reason = note or (wording.status_reason(row) if verdict_of(row) is None else sentence)
    return [cells[0], verdict_cell(row, reason), *cells[1:], *settling_cells(row)]


def _averages(document: Document) -> dict[str, Any]:
    """Prepare the section on averages: its counts and its table."""
    table = _comparisons("Averages of arms, worst first", averages.ranked(document), verdicts=True)
    return {"heading": averages.HEADING, "lines": averages.lines(document), "table": table}


def _disparities(document: Document) -> Table:
    rows = document["disparities"]
    names = [a for a in arms(document) if a in unique(rows, "input")]
    at = {(r["attribute"], r["class"], r["metric"], r["input"]): r for r in rows}
    body = []
    for attribute, cls, metric in dict.fromkeys(key[:3] for key in at):
        of_arms = [at.get((attribute, cls, metric, n)) for n in names]
        gone = dict.fromkeys(group for r in of_arms if r for group, _ in groups_left_out(r))
        name = wording.metric_name(str(metric))
        label = Cell(name if cls is None else f"{name}, class {cls}")
        body.append([Cell(str(attribute)), label, *map(value_cell, of_arms), Cell(", ".join(gone) or "none")])
    return build_table(
        "Disparities between groups, by arm", ("attribute", "disparity", *names, "left out"), body
    )


def _rate_tables(document: Document) -> list[tuple[str, Table, Table | None]]:
    """Make one table of the main metrics, and one of the others, per attribute."""
    main = key_metrics(document)
    tables = []
    for attribute in unique(document["rates"], "attribute"):
        rows = [r for r in document["rates"] if r["attribute"] == attribute]
        name = "all rows" if attribute is None else str(attribute)
        shown, rest = ([r for r in rows if (r["metric"] in main) == first] for first in (True, False))
        table = rates_table(f"Rates: {name}", shown, unique(shown, "input"), "positives")
        others = rates_table(f"Other metrics: {name}", rest, unique(rest, "input"), "positives")
        tables.append((name, table, others if rest else None))
    return tables


def rates_table(caption: str, rows: Sequence[Row], names: Sequence[object], positives: str) -> Table:
    """Make a table of rates: a row per metric, group and class, a column per arm.

    Args:
        caption: of the table.
        rows: the rates; those of an attack are of one attack.
        names: the arms, in the order of their columns.
        positives: heading of the numbers of positive rows.
    """
    at = {(*_rate_key(r), r["input"]): r for r in rows}
    body = []
    for key in dict.fromkeys(map(_rate_key, rows)):
        of_arms = [at.get((*key, n)) for n in names]
        first = next(r for r in of_arms if r)
        lead = [Cell(wording.subject(first)), metric_cell(first), count_cell(first)]
        body.append([*lead, count_cell(first, "n_positive"), *map(value_cell, of_arms)])
    return build_table(caption, ["group", "metric", "rows", positives, *map(str, names)], body)


def _rate_key(row: Row) -> tuple[Any, ...]:
    return row["metric"], row["attribute"], row["group"], row["class"]


def unusable(rows: Iterable[Row]) -> list[str]:
    """List the values that are undefined or from too few rows, one line per reason and set of metrics."""
    metrics_by_subject: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.get("status", "ok") != "ok":
            key = (wording.subject(row), wording.status_reason(row))
            metrics_by_subject.setdefault(key, {})[wording.metric_name(str(row["metric"]))] = None
    alike: dict[tuple[str, str], list[str]] = {}
    for (who, why), metrics in metrics_by_subject.items():
        alike.setdefault((why, ", ".join(metrics)), []).append(who)
    return [f"{_few_names(names)}: {why}. Affects {metrics}." for (why, metrics), names in alike.items()]


def _few_names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return "; ".join(names) if more <= 1 else f"{'; '.join(names[:_MOST_NAMES])} and {more} more"


def _left_out(document: Document) -> list[str]:
    """List the groups that are left out of disparities, each with the metrics and the reason."""
    metrics_by_group: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in document.get("disparities", ()):
        for group, reason in groups_left_out(row):
            key = (str(row["attribute"]), group, f" ({reason})" if reason else "")
            metrics_by_group.setdefault(key, {})[wording.metric_name(str(row["metric"]))] = None
    return [
        f"{wording.group_name(attribute, group)} is left out of {', '.join(metrics)}{reason}."
        for (attribute, group, reason), metrics in metrics_by_group.items()
    ]
