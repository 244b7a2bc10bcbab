"""The results of an attack, as a page or as a section of a study page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.audit.page import inputs_table, settings_list, unusable
from evenhand.report.cells import value_cell
from evenhand.report.document import Document, Row, number, unique, verdict_of, worst_first
from evenhand.report.headline import headline
from evenhand.report.privacy import charts as privacy_charts
from evenhand.report.privacy import wording as privacy_wording
from evenhand.report.rendering import Cell, Table, fast_charts, figure, render

_MOST_SENTENCES = 8


def build_privacy_page(document: Document) -> str:
    """Build the page of an attack.

    Args:
        document: the dictionary of `AttackResult.to_dict()`, schema `evenhand.attack/1`.

    Returns:
        A complete HTML document without external references.
    """
    with fast_charts():
        view = privacy_view(document)
    return render("privacy.html.j2", {"p": view, "document": document})


def privacy_view(document: Document) -> dict[str, Any]:
    """Prepare the template variables of an attack.

    Args:
        document: schema `evenhand.attack/1`.
    """
    rows = document["comparisons"]
    ranked = worst_first([r for r in rows if r["family"] == "primary"])
    others = [r for r in rows if r["family"] != "primary"]
    names = privacy_charts.arms_of(document)
    return {
        "document": document,
        "title": privacy_wording.title_of(document),
        "sentence": document["verdict"]["sentence"],
        "unit_note": f"{wording.unit_note(document)} {wording.margin_note(document)}".strip(),
        "tiles": wording.tiles(document, privacy_wording.VERDICT_MEANINGS),
        "headline": headline(document),
        "flips": "",
        "findings": _findings(ranked),
        "arms": privacy_charts.look(names),
        "design": [privacy_wording.design_line(r) for r in document["design"]],
        "inputs": inputs_table(document),
        "settings": settings_list(document),
        "forest": privacy_charts.forest_blocks(document),
        "forest_caption": wording.forest_caption(),
        "comparisons": _comparisons("Primary comparisons, worst first", ranked) if ranked else None,
        "exploratory": _comparisons("Exploratory comparisons", others) if others else None,
        "roc": privacy_charts.roc_blocks(document),
        "roc_caption": privacy_wording.ROC_CAPTION,
        "rates": privacy_charts.rate_blocks(document),
        "rates_caption": privacy_wording.RATES_CAPTION,
        "rate_tables": [
            (str(a), _rates(document, str(a), names)) for a in unique(document["rates"], "attack")
        ],
        "vulnerability": _vulnerability(document["vulnerability"]) if document["vulnerability"] else None,
        "vulnerability_caption": privacy_wording.VULNERABILITY_CAPTION,
        "stability": _stability(document["stability"]),
        "stability_caption": privacy_wording.STABILITY_CAPTION,
        "problems": [str(line) for line in document.get("problems", ())],
        "unusable": unusable(document["rates"]),
        "left_out": [],
        "how": privacy_wording.how_computed(document),
    }


def _findings(ranked: Sequence[Row]) -> Mapping[str, Any]:
    """Select the sentences to read first, as (verdict, label, sentence), under a heading."""
    telling = [r for r in ranked if verdict_of(r) in ("harm", "undecided", "help")]
    harm = [r for r in telling if verdict_of(r) == "harm"]
    shown = (harm or telling)[:_MOST_SENTENCES]
    return {
        "heading": "Where leakage increases, worst first" if harm else "Closest to harm",
        "rows": [(str(verdict_of(r)), wording.verdict_label(r), privacy_wording.sentence(r)) for r in shown],
        "note": wording.left_out(len(shown), len(harm or telling), "comparisons"),
    }


def _comparisons(caption: str, rows: Sequence[Row]) -> Table:
    names = [
        "group",
        wording.verdict_heading(rows),
        "attack",
        "metric",
        "candidate",
        "difference (interval)",
        "adjusted p",
    ]
    names += ["members identified, before / now", "smallest detectable", "to settle"]
    head = [Cell(n, css="figure" if i > 4 else "") for i, n in enumerate(names)]
    body = []
    for row in rows:
        metric, sentence = str(row["metric"]), privacy_wording.sentence(row)
        difference, p, smallest = (number(row, k) for k in ("difference", "p_adjusted", "minimum_detectable"))
        bounds = wording.span(row, signed=True)
        shown = wording.amount(difference, metric, signed=True) + ("" if bounds == "–" else f" ({bounds})")
        undecided = smallest if verdict_of(row) == "undecided" else None
        reason = sentence if verdict_of(row) else wording.status_reason(row)
        body.append(
            [
                Cell(wording.subject(row), title=sentence),
                Cell(wording.verdict_label(row), css=privacy_wording.verdict_css(row), title=reason),
                Cell(str(row["attack"])),
                Cell(wording.metric_name(metric)),
                Cell(str(row["candidate"])),
                figure(difference, shown, title=str(row.get("interval") or "")),
                figure(p, wording.p_value(p)),
                figure(number(row, "n_found_now"), privacy_wording.identified_counts(row)),
                figure(undecided, "" if undecided is None else wording.amount(undecided, metric)),
                figure(number(row, "rows_to_settle"), wording.needed(row)),
            ]
        )
    return Table(caption, head, body)


def _rates(document: Document, attack: str, names: Sequence[str]) -> Table:
    """Make a table of rates: one row per group and metric, a column per arm."""
    rows = [r for r in document["rates"] if r["attack"] == attack]
    at = {(r["metric"], r["attribute"], r["group"], r["input"]): r for r in rows}
    head = [Cell("group"), Cell("metric"), Cell("rows", css="figure"), Cell("members", css="figure")]
    body = []
    for attribute, group, metric in dict.fromkeys((r["attribute"], r["group"], r["metric"]) for r in rows):
        of_arms = [at.get((metric, attribute, group, name)) for name in names]
        first = next(r for r in of_arms if r)
        n, members = number(first, "n"), number(first, "n_positive")
        body.append(
            [
                Cell(wording.subject(first)),
                Cell(wording.metric_name(str(metric)), css="nowrap"),
                figure(n, wording.count(n)),
                figure(members, wording.count(members)),
                *map(value_cell, of_arms),
            ]
        )
    return Table(f"Metrics of {attack}, in points", [*head, *(Cell(n, css="figure") for n in names)], body)


def _vulnerability(rows: Sequence[Row]) -> Table:
    names = [
        "attribute",
        "arm",
        "attack",
        "metric",
        "difference (interval)",
        "without leakage (95th percentile)",
    ]
    names += ["p", "finding", "left out"]
    head = [Cell(n, css="figure" if i in (4, 5, 6) else "") for i, n in enumerate(names)]
    body = []
    for row in rows:
        metric = str(row["metric"])
        value, control, top, p = (number(row, k) for k in ("value", "control", "control_high", "p_value"))
        bounds = wording.span(row)
        shown = wording.amount(value, metric) + ("" if bounds == "–" else f" ({bounds})")
        chance = (
            "–" if control is None else f"{wording.amount(control, metric)} ({wording.amount(top, metric)})"
        )
        gone = ", ".join(str(g["group"]) for g in row["groups_left_out"]) or "none"
        body.append(
            [
                Cell(str(row["attribute"])),
                Cell(str(row["input"])),
                Cell(str(row["attack"])),
                Cell(wording.metric_name(metric), css="nowrap"),
                figure(value, shown),
                figure(control, chance, title=f"{row['permutations']} permutations"),
                figure(p, wording.p_value(p)),
                Cell(privacy_wording.gap_finding(row)),
                Cell(gone),
            ]
        )
    return Table("Differences between groups, in points", head, body)


def _stability(rows: Sequence[Row]) -> Table | None:
    known = [r for r in rows if number(r, "n")]
    if not known:
        return None
    names = ["group", "arm", "attack", "rows", "always identified", "sometimes", "never", "correlation"]
    head = [Cell(n, css="figure" if i > 2 else "") for i, n in enumerate(names)]
    body = []
    for row in known:
        shares = [number(row, k) for k in ("always", "sometimes", "never")]
        correlation, reason = number(row, "intraclass_correlation"), wording.status_reason(row)
        body.append(
            [
                Cell(wording.subject(row), title="" if row["status"] == "ok" else reason),
                Cell(str(row["input"])),
                Cell(str(row["attack"])),
                figure(number(row, "n"), wording.count(number(row, "n"))),
                *(figure(s, "–" if s is None else f"{100 * s:.1f} %") for s in shares),
                figure(correlation, "–" if correlation is None else f"{correlation:.2f}"),
            ]
        )
    fpr = 100 * float(known[0]["fpr"])
    return Table(f"Rows identified repeatedly, at a false positive rate of {fpr:g} %", head, body)
