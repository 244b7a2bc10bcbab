"""Tables for a paper: the summary of every model and arm, and calibration by group."""

from __future__ import annotations

from typing import Any

from evenhand.report.document import Document, Row, arms, number
from evenhand.report.figures.data import BRIER, ERROR, Rows, audits, change_fields, estimate_fields

#: Columns of the summary, with the disparity of each.
_GAPS = {
    "gap": "accuracy_difference",
    "demographic_parity_difference": "demographic_parity_difference",
    "equalized_odds_difference": "equalized_odds_difference",
}


def summary(result: Document) -> Rows:
    """T1: per model, attribute and arm the accuracy, the worst and best group, disparities, differences.

    `change_...` are differences to the reference with their simultaneous intervals; a disparity of more than
    two classes is left empty, since there is one per class.
    """
    rows: Rows = []
    for model, audit in audits(result):
        attributes = dict.fromkeys(r["attribute"] for r in audit["rates"] if r["attribute"] is not None)
        compared = {
            (r["candidate"], r["attribute"], r["group"], r["metric"]): r
            for r in audit["comparisons"]
            if r["class"] is None
        }
        reference = arms(audit)[0]
        for attribute in attributes or [None]:
            for arm in arms(audit):
                row: dict[str, Any] = {"model": model, "attribute": attribute, "arm": arm}
                row["verdicts_about"] = audit["verdict"].get("about")
                row |= {
                    "reference": None if arm == reference else reference,
                    **_of_groups(audit, arm, attribute),
                }
                overall = compared.get((arm, None, None, "accuracy"), {})
                row |= change_fields("accuracy", overall)
                for name, metric in _GAPS.items():
                    row |= estimate_fields(name, _disparity(audit, arm, attribute, metric))
                    row |= change_fields(name, compared.get((arm, attribute, None, metric), {}))
                rows.append(row)
    return rows


def _of_groups(audit: Document, arm: str, attribute: object) -> dict[str, Any]:
    """Return the accuracy over all rows, and the groups with the lowest and the highest accuracy."""
    of_arm = [r for r in audit["rates"] if r["input"] == arm and r["metric"] == "accuracy"]
    overall: Row = next((r for r in of_arm if r["attribute"] is None), {})
    able = [
        (value, r)
        for r in of_arm
        if attribute is not None and r["attribute"] == attribute and r.get("status", "ok") == "ok"
        if (value := number(r, "value")) is not None
    ]
    fields = estimate_fields("accuracy", overall)
    for name, pick in (("worst", min), ("best", max)):
        value, row = pick(able, key=lambda pair: pair[0]) if able else (None, {})
        fields |= {
            f"{name}_group": row.get("group"),
            f"{name}_group_rows": row.get("n"),
            f"{name}_accuracy": value,
        }
    return fields


def _disparity(audit: Document, arm: str, attribute: object, metric: str) -> Row:
    matching = (
        r
        for r in audit["disparities"]
        if (r["input"], r["attribute"], r["metric"], r["class"]) == (arm, attribute, metric, None)
    )
    return next(matching, {})


def calibration(result: Document) -> Rows:
    """T2: per model, group and arm the calibration error and the Brier score, and their differences."""
    rows: Rows = []
    for model, audit in audits(result):
        rates = {(r["metric"], r["attribute"], r["group"], r["input"]): r for r in audit["rates"]}
        compared = {
            (r["metric"], r["attribute"], r["group"], r["candidate"]): r for r in audit["comparisons"]
        }
        for metric, *key in rates:
            if metric != ERROR:
                continue
            subject = tuple(key)
            error, brier = rates[ERROR, *subject], rates.get((BRIER, *subject), {})
            change, better = compared.get((ERROR, *subject), {}), compared.get((BRIER, *subject), {})
            rows.append(
                {
                    "model": model,
                    "attribute": error["attribute"],
                    "group": error["group"],
                    "n": error["n"],
                    "arm": error["input"],
                    "verdicts_about": audit["verdict"].get("about"),
                    "calibration_error": number(error, "value"),
                    "change_calibration_error": number(change, "difference"),
                    "p_value": number(change, "p_value"),
                    "p_adjusted": number(change, "p_adjusted"),
                    **estimate_fields("brier_score", brier),
                    **change_fields("brier_score", better),
                    "status": error.get("status", "ok"),
                    "reason": error.get("reason") or change.get("reason") or "",
                }
            )
    return rows
