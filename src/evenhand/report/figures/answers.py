"""Rows of figures and tables on generated answers, from a document `evenhand.study/1`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evenhand.report.document import Document, Row, number
from evenhand.report.figures.data import Rows, change_fields, estimate_fields, rates_of
from evenhand.report.language import rows as language_rows
from evenhand.report.language import wording as generative_wording
from evenhand.tables.answers.vocabulary import PREDISPOSITION

#: Metrics of the gender of translations, besides shares.
GENDER_METRICS = ("gender_accuracy", "delta_g", "delta_s")

_KEY_FIELDS = ("attribute", "group", "metric", "class")
_EVIDENCE_FIELDS = ("level", "n", "runs", "status", "reason", "interval")


def judged(result: Document, kind: str) -> Iterator[tuple[str, Document]]:
    """Yield the models with judged `generations` or `likelihoods`, and the judgements."""
    for model in result["models"]:
        judgement = model.get("generative")
        if judgement and judgement["kind"] == kind:
            yield str(model["model"]), judgement


def shares(result: Document) -> Rows:
    """P9: shares of translations by gender, and by stereotype, of every arm by predisposition."""
    metrics = (*language_rows.GENDERS, *language_rows.STEREOTYPES)
    return [
        row
        for model, judgement in judged(result, "generations")
        for row in rates_of(model, {"rates": judgement["shares"]}, metrics)
    ]


def gender(result: Document) -> Rows:
    """P9: gender accuracy, ΔG and ΔS of every arm, over all rows and by predisposition."""
    return [
        row
        for model, judgement in judged(result, "generations")
        for row in rates_of(
            model,
            {"rates": [r for r in judgement["rates"] if r["attribute"] in (None, PREDISPOSITION)]},
            GENDER_METRICS,
        )
    ]


def gender_table(result: Document) -> Rows:
    """T4: gender accuracy, ΔG and ΔS of every arm by group, and the differences.

    `change_...` are differences to the reference with their simultaneous intervals.
    """
    rows: Rows = []
    for model, judgement in judged(result, "generations"):
        of_gender = [r for r in judgement["rates"] if r["metric"] in GENDER_METRICS]
        rates = {(r["attribute"], r["group"], r["input"], r["metric"]): r for r in of_gender}
        compared = {
            (r["attribute"], r["group"], r["candidate"], r["metric"]): r for r in judgement["comparisons"]
        }
        for attribute, group, arm in dict.fromkeys(key[:3] for key in rates):
            row: dict[str, Any] = {"model": model, "attribute": attribute, "group": group, "arm": arm}
            row["verdicts_about"] = judgement["verdict"].get("about")
            for metric in GENDER_METRICS:
                rate = rates.get((attribute, group, arm, metric), {})
                change = compared.get((attribute, group, arm, metric), {})
                row |= {f"{metric}_n": rate.get("n"), **estimate_fields(metric, rate)}
                row |= change_fields(metric, change)
            rows.append(row)
    return rows


def options(result: Document) -> Rows:
    """P10: shares of the options of every template and variant, by meaning and by token.

    `line` and `column` give the position of a row in the figure. Tokens are not drawn: they differ between
    variants, and p11 shows how often answers follow them.
    """
    return [
        {
            "model": model,
            **{k: row[k] for k in ("scoring", "template", "variant", "by", "option")},
            "line": row["variant"],
            "column": row["option"] if row["by"] == "meaning" else None,
            **_estimate_fields(row),
        }
        for model, judgement in judged(result, "likelihoods")
        for row in language_rows.options(judgement)
    ]


def twins(result: Document) -> Rows:
    """P11: how often the answers to each twin of a template keep their meaning, their token, or both."""
    return [
        {
            "model": model,
            **{k: row[k] for k in ("scoring", "template", "variant", "twin", "kind", "outcome")},
            "line": generative_wording.twin_label(row),
            "column": generative_wording.outcome_label(row),
            **_estimate_fields(row),
        }
        for model, judgement in judged(result, "likelihoods")
        for row in language_rows.twins(judgement)
    ]


def _estimate_fields(row: Row) -> dict[str, Any]:
    values = {k: number(row, k) for k in ("value", "low", "high")}
    return {"arm": row["input"], **values, **{k: row[k] for k in _EVIDENCE_FIELDS}}


def quality(result: Document) -> Rows:
    """T3: BLEU and chrF of every arm against the gold and its renderings, and the differences.

    `change_...` are differences to the reference with their simultaneous intervals.
    """
    rows: Rows = []
    for model, judgement in judged(result, "generations"):
        scores = {(r["input"], r["class"], r["metric"]): r for r in language_rows.scores(judgement)}
        compared = {
            (r["candidate"], r["class"], r["metric"]): r
            for r in judgement["comparisons"]
            if r["attribute"] is None
        }
        for arm, against in dict.fromkeys(key[:2] for key in scores):
            row: dict[str, Any] = {"model": model, "arm": arm, "against": against}
            row["verdicts_about"] = judgement["verdict"].get("about")
            for metric in dict.fromkeys(key[2] for key in scores):
                score = scores.get((arm, against, metric), {})
                row |= {"n": score.get("n"), **estimate_fields(metric, score)}
                row |= change_fields(metric, compared.get((arm, against, metric), {}))
            rows.append(row)
    return rows


def choices(result: Document) -> Rows:
    """T5: choices of every arm by group, and the differences.

    One row per number: an option's share (its `class`), expected answers, answers that follow the token or
    the meaning. `change_...` are differences to the reference with their simultaneous intervals.
    """
    rows: Rows = []
    for model, judgement in judged(result, "likelihoods"):
        compared = {(r["candidate"], *(r[k] for k in _KEY_FIELDS)): r for r in judgement["comparisons"]}
        for rate in judgement["rates"]:
            change = compared.get((rate["input"], *(rate[k] for k in _KEY_FIELDS)), {})
            row = {"model": model, **{k: rate[k] for k in _KEY_FIELDS}, **_estimate_fields(rate)}
            row |= {f"change_{k}": number(change, k) for k in ("difference", "low", "high")}
            row |= {f"change_{k}": change.get(k) for k in ("verdict", "unit", "reason")}
            rows.append(row)
    return rows
