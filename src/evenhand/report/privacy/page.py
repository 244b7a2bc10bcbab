"""The results of an attack, as a page or as a section of a study page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.audit.page import findings, rates_table, shared_view, unusable
from evenhand.report.cells import change_cell, count_cell, metric_cell, p_cell, settling_cells, verdict_cell
from evenhand.report.document import (
    Document,
    Row,
    exploratory,
    number,
    primary,
    unique,
    verdict_of,
    worst_first,
)
from evenhand.report.privacy import charts as privacy_charts
from evenhand.report.privacy import wording as privacy_wording
from evenhand.report.rendering import Cell, Table, build_table, fast_charts, figure, render


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
    ranked, others = worst_first(primary(document)), exploratory(document)
    names = privacy_charts.arms_of(document)
    return shared_view(document) | {
        "tiles": wording.tiles(document, privacy_wording.VERDICT_MEANINGS),
        "findings": findings(ranked, "Where leakage increases, worst first", privacy_wording.sentence),
        "arms": privacy_charts.look(names),
        "design": [privacy_wording.design_line(r) for r in document["design"]],
        "forest": privacy_charts.forest_blocks(document),
        "comparisons": _comparisons("Primary comparisons, worst first", ranked) if ranked else None,
        "exploratory": _comparisons("Exploratory comparisons", others) if others else None,
        "roc": privacy_charts.roc_blocks(document),
        "roc_caption": privacy_wording.ROC_CAPTION,
        "rates": privacy_charts.rate_blocks(document),
        "rates_caption": privacy_wording.RATES_CAPTION,
        "rate_tables": [
            (attack, rates_table(f"Metrics of {attack}, in points", of_attack, names, "members"))
            for attack in map(str, unique(document["rates"], "attack"))
            if (of_attack := [r for r in document["rates"] if r["attack"] == attack])
        ],
        "vulnerability": _vulnerability(document["vulnerability"]) if document["vulnerability"] else None,
        "vulnerability_caption": privacy_wording.VULNERABILITY_CAPTION,
        "stability": _stability(document["stability"]),
        "stability_caption": privacy_wording.STABILITY_CAPTION,
        "unusable": unusable(document["rates"]),
        "how": privacy_wording.how_computed(document),
    }


def _comparisons(caption: str, rows: Sequence[Row]) -> Table:
    names = ["group", wording.verdict_heading(rows), "attack", "metric", "candidate"]
    names += ["difference (interval)", "adjusted p", "members identified, before / now"]
    body = []
    for row in rows:
        sentence = privacy_wording.sentence(row)
        body.append(
            [
                Cell(wording.subject(row), title=sentence),
                verdict_cell(row, sentence if verdict_of(row) else wording.status_reason(row)),
                Cell(str(row["attack"])),
                Cell(wording.metric_name(str(row["metric"]))),
                Cell(str(row["candidate"])),
                change_cell(row),
                p_cell(row),
                figure(number(row, "n_found_now"), privacy_wording.identified_counts(row)),
                *settling_cells(row),
            ]
        )
    return build_table(caption, [*names, "smallest detectable", "to settle"], body)


def _vulnerability(rows: Sequence[Row]) -> Table:
    names = ["attribute", "arm", "attack", "metric", "difference (interval)"]
    names += ["without leakage (95th percentile)", "p", "finding", "left out"]
    body = []
    for row in rows:
        control, top = (
            wording.amount(number(row, k), str(row["metric"])) for k in ("control", "control_high")
        )
        chance = "–" if number(row, "control") is None else f"{control} ({top})"
        body.append(
            [
                *(Cell(str(row[k])) for k in ("attribute", "input", "attack")),
                metric_cell(row),
                figure(number(row, "value"), wording.estimate(row, "value")),
                figure(number(row, "control"), chance, title=f"{row['permutations']} permutations"),
                p_cell(row, "p_value"),
                Cell(privacy_wording.gap_finding(row)),
                Cell(", ".join(str(g["group"]) for g in row["groups_left_out"]) or "none"),
            ]
        )
    return build_table("Differences between groups, in points", names, body)


def _stability(rows: Sequence[Row]) -> Table | None:
    known = [r for r in rows if number(r, "n")]
    if not known:
        return None
    names = ["group", "arm", "attack", "rows", "always identified", "sometimes", "never", "correlation"]
    body = []
    for row in known:
        shares = [number(row, k) for k in ("always", "sometimes", "never")]
        correlation, reason = number(row, "intraclass_correlation"), wording.status_reason(row)
        body.append(
            [
                Cell(wording.subject(row), title="" if row["status"] == "ok" else reason),
                Cell(str(row["input"])),
                Cell(str(row["attack"])),
                count_cell(row),
                *(figure(s, "–" if s is None else f"{100 * s:.1f} %") for s in shares),
                figure(correlation, "–" if correlation is None else f"{correlation:.2f}"),
            ]
        )
    fpr = 100 * float(known[0]["fpr"])
    return build_table(f"Rows identified repeatedly, at a false positive rate of {fpr:g} %", names, body)
