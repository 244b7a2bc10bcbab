"""Headline table of a page: the results of every arm over all rows, and the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.cells import difference_cell, value_cell
from evenhand.report.document import Document, Row, arms, key_metrics, unique
from evenhand.report.rendering import Cell, Table

#: Largest number of columns; the sections below contain all numbers.
MOST_COLUMNS = 8

#: Largest number of candidates with rows of differences; the comparisons below contain those of all.
MOST_DIFFERENCES = 4

#: Disparities shown after the primary metrics, by attribute.
GAPS = ("worst_group_accuracy", "demographic_parity_difference", "equalized_odds_difference")

#: Primary metrics of calibration, and the disparity shown if no others are declared.
CALIBRATION = ("expected_calibration_error", "brier_score", "log_loss")
CALIBRATION_GAPS = ("expected_calibration_error_difference",)

#: Metrics always shown for generations and likelihoods.
OF_KIND = {
    "generations": ("gender_accuracy", "delta_g", "delta_s", "share_pro"),
    "likelihoods": ("option_share", "option_accuracy", "token_followed", "meaning_followed"),
}

#: Identity of a column: attack, metric, attribute and class.
_Key = tuple[Any, Any, Any, Any]


def headline(document: Document) -> Table | None:
    """Make the table of headline numbers by arm.

    Args:
        document: of an audit, of generations or likelihoods, or of an attack.

    Returns:
        A row per arm, the reference first, then one per candidate with its differences to the reference; None
        where no headline number is defined.
    """
    at = {(_key(r), str(r["input"])): r for r in _rows(document)}
    keys = list(dict.fromkeys(key for key, _ in at))[:MOST_COLUMNS]
    names = [name for name in arms(document) if any((key, name) in at for key in keys)]
    if not keys or not names:
        return None
    head = [Cell("arm"), *(Cell(_title(key), css="figure") for key in keys)]
    body = [[Cell(name), *(value_cell(at.get((key, name))) for key in keys)] for name in names]
    differences = _differences(document, keys)
    return Table(_caption(document, differences), head, [*body, *differences])


def _differences(document: Document, keys: Sequence[_Key]) -> list[list[Cell]]:
    """Return a row per candidate with its differences to the reference."""
    overall = {(_key(r), str(r["candidate"])): r for r in document["comparisons"] if r["group"] is None}
    named = [str(n) for n in unique(document["comparisons"], "candidate")]
    names = [n for n in named if any((key, n) in overall for key in keys)]
    if len(names) > MOST_DIFFERENCES:
        return []
    reference = arms(document)[0]
    return [
        [Cell(f"{name} − {reference}"), *(difference_cell(overall.get((key, name))) for key in keys)]
        for name in names
    ]


def _key(row: Row) -> _Key:
    return row.get("attack"), row["metric"], row["attribute"], row.get("class")


def _rows(document: Document) -> Iterator[Row]:
    """Yield the rows of the headline numbers, in the order of their columns."""
    overall = [r for r in document["rates"] if r["attribute"] is None]
    for attack in unique(overall, "attack"):
        for metric in _metrics(document):
            of_metric = [r for r in overall if r.get("attack") == attack and r["metric"] == metric]
            # Rates of single classes are omitted, since many classes would fill the table; options are few.
            few = metric == "option_share"
            yield from (r for r in of_metric if few or r.get("class") is None)
    gaps = document.get("disparities") or ()
    for attribute in unique(gaps, "attribute"):
        for metric in _gaps(document):
            of_metric = [r for r in gaps if r["attribute"] == attribute and r["metric"] == metric]
            yield from (r for r in of_metric if r["class"] is None)


def _gaps(document: Document) -> Sequence[str]:
    declared = document.get("settings", {}).get("primary") or ()
    return CALIBRATION_GAPS if declared and set(declared) <= set(CALIBRATION) else GAPS


def _metrics(document: Document) -> list[str]:
    of_kind = OF_KIND.get(str(document.get("kind")))
    declared = [str(m) for m in document.get("settings", {}).get("primary") or ()]
    if of_kind is None:
        return key_metrics(document)
    return list(dict.fromkeys([*of_kind, *declared]))


def _title(key: _Key) -> str:
    attack, metric, attribute, of_class = key
    name = wording.metric_name(str(metric))
    if metric == "option_share":
        name = f"share of '{of_class}'"
    elif of_class is not None:
        name = f"{name}, class {of_class}"
    if metric in wording.SIGNS:
        name = f"{wording.SIGNS[metric]}: {name}"
    if attack is not None:
        name = f"{name.removesuffix(' of the attack')}, {attack}"
    return name if attribute is None else f"{name}, by {attribute}"


def _caption(document: Document, differences: Sequence[object]) -> str:
    what = "Attack results of every arm" if "design" in document else "Results of every arm"
    caption = f"{what} over all rows; rates in points, with pointwise intervals"
    if not differences:
        return caption
    return f"{caption}. The last rows are differences to {arms(document)[0]} with simultaneous intervals"
