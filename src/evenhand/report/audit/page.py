"""The page of an audit: text, tables and charts, prepared so that the template only lays them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.report import charts, wording
from evenhand.report.audit import wording as method_wording
from evenhand.report.cells import value_cell
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
from evenhand.report.rendering import Cell, Table, figure, render

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
    ranked = worst_first(primary(document))
    forest = charts.forest(document)
    others = exploratory(document)
    return {
        "title": _title(document),
        "document": document,
        "sentence": document["verdict"]["sentence"],
        "unit_note": f"{wording.unit_note(document)} {wording.margin_note(document)}".strip(),
        "tiles": wording.tiles(document, wording.VERDICT_MEANINGS),
        "headline": headline(document),
        "flips": flips_line(document, most=_MOST_FLIPS),
        "findings": _findings(ranked),
        "inputs": inputs_table(document),
        "settings": settings_list(document),
        "forest": forest,
        "forest_caption": wording.forest_caption(),
        "forest_left_out": wording.left_out(len(forest), charts.forest_panels(document), "panels"),
        "comparisons": _comparisons("Primary comparisons, worst first", ranked, verdicts=True)
        if ranked
        else None,
        "exploratory": _comparisons("Exploratory comparisons", others, verdicts=False) if others else None,
        "disparities": _disparities(document) if document["disparities"] else None,
        "rates": charts.rates(document),
        "rate_tables": _rate_tables(document),
        "problems": [str(p) for p in document.get("problems", ())],
        "unusable": unusable([*document["rates"], *document["comparisons"]]),
        "left_out": _left_out(document),
        "how": method_wording.how_computed(document),
    }


def _title(document: Document) -> str:
    names = arms(document)
    return f"{', '.join(names[1:])} compared with {names[0]}" if document["comparisons"] else ", ".join(names)


@dataclass(frozen=True)
class Findings:
    """The sentences to read first, as (verdict, label, sentence), under a heading."""

    heading: str
    rows: Sequence[tuple[str, str, str]]
    note: str


def _findings(ranked: Sequence[Row]) -> Findings:
    telling = [r for r in ranked if verdict_of(r) in ("harm", "undecided", "help")]
    harm = [r for r in telling if verdict_of(r) == "harm"]
    shown = (harm or telling)[:_MOST_SENTENCES]
    rows = [(str(verdict_of(r)), wording.verdict_label(r), wording.comparison_sentence(r)) for r in shown]
    heading = "Where harm was found, worst first" if harm else "Closest to harm"
    return Findings(heading, rows, wording.left_out(len(shown), len(harm or telling), "comparisons"))


def inputs_table(document: Document) -> Table:
    """List the input files with their rows, runs and digests."""
    head = [Cell("arm"), Cell("file"), Cell("rows", css="figure"), Cell("runs", css="figure"), Cell("sha256")]
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
    return Table("Input files", head, rows)


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
    names += ["smallest detectable", "to settle"] if verdicts else []
    head = [Cell(n, css="figure" if i > 2 else "") for i, n in enumerate(names)]
    if verdicts:
        head.insert(1, Cell(wording.verdict_heading(rows)))
    return Table(caption, head, [_comparison(r, verdicts=verdicts) for r in rows])


def _comparison(row: Row, *, verdicts: bool) -> list[Cell]:
    metric = str(row["metric"])
    sentence = wording.comparison_sentence(row)
    label = wording.verdict_label(row)
    difference, margin, p = (number(row, k) for k in ("difference", "margin", "p_adjusted"))
    lost, n, smallest = (number(row, k) for k in ("n_right_to_wrong", "n", "minimum_detectable"))
    cells = [
        Cell(wording.subject(row), title=sentence),
        Cell(wording.metric_name(metric), css="nowrap"),
        Cell(str(row["candidate"])),
        figure(difference, _difference(row), title=str(row.get("interval") or "")),
        figure(margin, wording.amount(margin, metric)),
        figure(p, wording.p_value(p)),
        figure(n, wording.count(n)),
        figure(lost, wording.flip_counts(row), title=wording.flips(row)),
    ]
    if verdicts:
        css = f"verdict {verdict_of(row) or 'none'}"
        note = wording.harmless_note(row) if verdict_of(row) == "harmless" else ""
        reason = note or (wording.status_reason(row) if verdict_of(row) is None else sentence)
        cells.insert(1, Cell(label, css=css, title=reason))
        undecided = smallest if verdict_of(row) == "undecided" else None
        cells.append(figure(undecided, "" if undecided is None else wording.amount(undecided, metric)))
        cells.append(figure(number(row, "rows_to_settle"), wording.needed(row)))
    return cells


def _difference(row: Row) -> str:
    estimate = wording.amount(number(row, "difference"), str(row["metric"]), signed=True)
    bounds = wording.span(row, signed=True)
    return estimate if bounds == "–" else f"{estimate} ({bounds})"


def _disparities(document: Document) -> Table:
    rows = document["disparities"]
    names = [a for a in arms(document) if a in unique(rows, "input")]
    at = {(r["attribute"], r["class"], r["metric"], r["input"]): r for r in rows}
    head = [Cell("attribute"), Cell("disparity"), *(Cell(n, css="figure") for n in names), Cell("left out")]
    body = []
    for attribute, cls, metric in dict.fromkeys(key[:3] for key in at):
        of_arms = [at.get((attribute, cls, metric, n)) for n in names]
        gone = dict.fromkeys(group for r in of_arms if r for group, _ in groups_left_out(r))
        name = wording.metric_name(str(metric))
        label = Cell(name if cls is None else f"{name}, class {cls}")
        body.append([Cell(str(attribute)), label, *map(value_cell, of_arms), Cell(", ".join(gone) or "none")])
    return Table("Disparities between groups, by arm", head, body)


def _rate_tables(document: Document) -> list[tuple[str, Table, Table | None]]:
    """Make one table of the main metrics, and one of the others, per attribute."""
    main = key_metrics(document)
    tables = []
    for attribute in unique(document["rates"], "attribute"):
        rows = [r for r in document["rates"] if r["attribute"] == attribute]
        name = "all rows" if attribute is None else str(attribute)
        rest = [r for r in rows if r["metric"] not in main]
        shown = _rates(f"Rates: {name}", [r for r in rows if r["metric"] in main])
        tables.append((name, shown, _rates(f"Other metrics: {name}", rest) if rest else None))
    return tables


def _rates(caption: str, rows: Sequence[Row]) -> Table:
    names = [str(n) for n in unique(rows, "input")]
    at = {(r["metric"], r["group"], r["class"], r["input"]): r for r in rows}
    head = [Cell("group"), Cell("metric"), Cell("rows", css="figure"), Cell("positives", css="figure")]
    body = []
    for metric, group, cls in dict.fromkeys(key[:3] for key in at):
        of_arms = [at.get((metric, group, cls, n)) for n in unique(rows, "input")]
        first = next(r for r in of_arms if r)
        n, positives = number(first, "n"), number(first, "n_positive")
        lead = [Cell(wording.subject(first)), Cell(wording.metric_name(str(metric)), css="nowrap")]
        sizes = [figure(n, wording.count(n)), figure(positives, wording.count(positives))]
        body.append([*lead, *sizes, *map(value_cell, of_arms)])
    return Table(caption, [*head, *(Cell(n, css="figure") for n in names)], body)


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
    for row in document["disparities"]:
        for group, reason in groups_left_out(row):
            key = (str(row["attribute"]), group, f" ({reason})" if reason else "")
            metrics_by_group.setdefault(key, {})[wording.metric_name(str(row["metric"]))] = None
    return [
        f"{wording.group_name(attribute, group)} is left out of {', '.join(metrics)}{reason}."
        for (attribute, group, reason), metrics in metrics_by_group.items()
    ]
