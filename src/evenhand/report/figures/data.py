"""Rows of each figure, from a document `evenhand.study/1`, in the units of the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evenhand import registry
from evenhand.errors import UnknownNameError
from evenhand.report.document import Document, Row, arms, key_metrics, number, primary, worst_first
from evenhand.report.figures.wording import group_label, line_label

ERROR, BRIER = "expected_calibration_error", "brier_score"
DISPARITIES = ("demographic_parity_difference", "equalized_odds_difference")

#: Arms that fit in a figure by group; the CSV file contains all.
MOST_ARMS = 6

#: Fields of a comparison in the CSV file of a figure.
_COMPARISON_FIELDS = (
    *("reference", "candidate", "attribute", "group", "class", "metric", "n", "difference", "low", "high"),
    *("level", "p_value", "p_adjusted", "margin", "verdict", "status", "reason"),
    *("n_right_to_wrong", "n_wrong_to_right", "n_right_to_wrong_between_runs", "runs", "unit"),
)

Rows = list[dict[str, Any]]


def audits(result: Document) -> Iterator[tuple[str, Document]]:
    """Yield the audited models with their audits."""
    for model in result["models"]:
        if model.get("audit"):
            yield str(model["model"]), model["audit"]


def judgements(result: Document) -> Iterator[tuple[str, Document]]:
    """Yield every judgement of each model: the audit, and that of its generated answers."""
    for model in result["models"]:
        for kind in ("audit", "generative"):
            if model.get(kind):
                yield str(model["model"]), model[kind]


def task_of(result: Document) -> str:
    """Return the input type of a study: `text` (also if unknown) or `image`."""
    dataset = result["dataset"]
    if dataset.get("task"):
        return str(dataset["task"])
    try:
        return str(registry.load("evenhand.datasets", str(dataset["name"])).INFO.task)
    except UnknownNameError:
        return "text"


def shown_arms(result: Document) -> list[str]:
    """Name the arms that fit in figures by group: all, or the reference and those nearest to harm."""
    judged = list(judgements(result))
    names = list(dict.fromkeys(name for _, audit in judged for name in arms(audit)))
    if len(names) <= MOST_ARMS:
        return names
    ranked = worst_first(r for _, audit in judged for r in primary(audit))
    candidates = list(dict.fromkeys(str(r["candidate"]) for r in ranked))[: MOST_ARMS - 1]
    return [n for n in names if n == names[0] or n in candidates]


def utility(result: Document) -> Rows:
    """Rates of every arm by group, of the main metrics."""
    return [row for model, audit in audits(result) for row in rates_of(model, audit, key_metrics(audit))]


def calibration(result: Document) -> Rows:
    """Calibration errors and Brier scores of every arm by group."""
    rows = [row for model, audit in audits(result) for row in rates_of(model, audit, (ERROR, BRIER))]
    return rows if any(r["metric"] == ERROR for r in rows) else []


def rates_of(model: str, audit: Document, metrics: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rates by attribute, all rows first, without those of single classes."""
    attributes = dict.fromkeys(r["attribute"] for r in audit["rates"] if r["attribute"] is not None)
    for attribute in attributes or [None]:
        for metric in metrics:
            of_metric = [
                r for r in _without_class(audit["rates"], metric) if r["attribute"] in (None, attribute)
            ]
            for row in sorted(of_metric, key=lambda r: r["attribute"] is not None):
                yield {
                    "model": model,
                    "attribute": attribute,
                    "group": row["group"],
                    "label": group_label(row),
                    "class": row["class"],
                    "n": row["n"],
                    "arm": row["input"],
                    "metric": metric,
                    "value": number(row, "value") if row.get("status", "ok") == "ok" else None,
                    "low": number(row, "low"),
                    "high": number(row, "high"),
                    "status": row.get("status", "ok"),
                }


def _without_class(rows: Iterable[Row], metric: str) -> list[Row]:
    """Select the rows of a metric over all classes."""
    return [r for r in rows if r["metric"] == metric and r["class"] is None]


def reliability(result: Document) -> Rows:
    """Bins of the scores of every arm by group."""
    rows: Rows = []
    for model in result["models"]:
        rates = (model.get("audit") or {"rates": ()})["rates"]
        sizes = {(r["attribute"], r["group"]): r["n"] for r in rates}
        several = len({attribute for attribute, _ in sizes}) > 2
        for row in model.get("reliability") or ():
            key = row["attribute"], row["group"]
            labelled = {**row, "class": None, "n": sizes.get(key)}
            rows.append({"model": str(model["model"]), "label": line_label(labelled, several=several), **row})
    return rows


def along(result: Document, parameter: str) -> Rows:
    """Accuracy and disparities of the arms along an option, and of the arms at its ends.

    `value` is None for the reference (a horizontal line) and 0 for `head_only`, which is rank 0.
    """
    rows: Rows = []
    series = {str(m["model"]): m.get("series") or () for m in result["models"]}
    for model, audit in audits(result):
        names = arms(audit)
        of_option = [s for s in series[model] if s["parameter"] == parameter]
        if not of_option:
            continue
        points: list[tuple[str, float | None, str]] = [
            (s["method"], v, a) for s in of_option for v, a in zip(s["values"], s["arms"], strict=True)
        ]
        if parameter == "rank" and "head_only" in names and not any(0 in s["values"] for s in of_option):
            points = [*((s["method"], 0.0, "head_only") for s in of_option), *points]
        points.append((names[0], None, names[0]))
        for method, value, arm in points:
            for row in _overall(audit, arm):
                rows.append({"model": model, "series": method, "parameter": parameter, "value": value, **row})
    return rows


def _overall(audit: Document, arm: str) -> Iterator[dict[str, Any]]:
    """Yield the accuracy over all rows and the disparities of an arm, by attribute."""
    of_arm = [r for r in audit["disparities"] if r["input"] == arm]
    # With more than two classes these disparities have one value per class, which a line chart of arms
    # cannot show; the difference in accuracy has a single one.
    gaps = [r for m in DISPARITIES for r in _without_class(of_arm, m)] or _without_class(
        of_arm, "accuracy_difference"
    )
    rates = (r for r in audit["rates"] if r["input"] == arm and r["attribute"] is None)
    accuracy = _without_class(rates, "accuracy")
    attributes = dict.fromkeys(r["attribute"] for r in audit["rates"] if r["attribute"] is not None)
    for attribute in attributes or [None]:
        for row in [*accuracy, *(r for r in gaps if r["attribute"] == attribute)]:
            yield {
                "attribute": attribute,
                "arm": arm,
                "metric": row["metric"],
                "class": row["class"],
                "y": number(row, "value"),
                "low": number(row, "low"),
                "high": number(row, "high"),
            }


def differences(result: Document) -> Rows:
    """Every primary paired difference, with its interval, margin and verdict."""
    return _differences(judgements(result))


def _differences(documents: Iterable[tuple[str, Document]]) -> Rows:
    rows: Rows = []
    for model, audit in documents:
        compared = primary(audit)
        several = len({r["attribute"] for r in compared}) > 1
        for row in compared:
            label = line_label(row, several=several)
            rows.append({"model": model, "label": label, **{k: row.get(k) for k in _COMPARISON_FIELDS}})
    return rows


def by_size(result: Document) -> Rows:
    """Differences of single groups, with the slope along group sizes where it was estimated."""
    rows: Rows = []
    slopes = {
        (str(m["model"]), s["candidate"], s["attribute"], s["class"], s["metric"]): s
        for m in result["models"]
        for s in m.get("sizes") or ()
    }
    for row in _differences(audits(result)):
        if row["group"] is None or row["class"] is not None or row["difference"] is None or not row["n"]:
            continue
        key = (row["model"], row["candidate"], row["attribute"], row["class"], row["metric"])
        slope = slopes.get(key, {})
        extra = {f"size_{k}": slope.get(k) for k in ("slope", "low", "high", "p_value", "p_adjusted")}
        rows.append(row | extra)
    return rows


def estimate_fields(name: str, row: Row) -> dict[str, Any]:
    """Return a value with its limits, as columns after a name; None where the row lacks them."""
    return {
        name: number(row, "value"),
        f"{name}_low": number(row, "low"),
        f"{name}_high": number(row, "high"),
    }


def change_fields(name: str, row: Row) -> dict[str, Any]:
    """Return a difference to the reference with limits and verdict, as columns after `change_` and a name."""
    return {
        f"change_{name}": number(row, "difference"),
        f"change_{name}_low": number(row, "low"),
        f"change_{name}_high": number(row, "high"),
        f"change_{name}_verdict": row.get("verdict"),
    }


def series_names(rows: Sequence[Row]) -> list[str]:
    """Name the series of rows along an option, without the reference."""
    return list(dict.fromkeys(str(r["series"]) for r in rows if r["value"] is not None))


def split(rows: Rows, *keys: str) -> list[Rows]:
    """Divide rows into blocks with equal values of `keys`, in order of appearance."""
    blocks: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        blocks.setdefault(tuple(row[k] for k in keys), []).append(row)
    return list(blocks.values())
