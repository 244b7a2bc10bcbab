"""Gender in translations: the gender of a translation, compared with the gold and with stereotypes."""

from __future__ import annotations

import dataclasses

import numpy as np

from evenhand.judge.generative import (
    GenerativeInfo,
    MetricByGroup,
    RateByGroup,
    arms_of,
    rows_of,
    share_info,
    share_of,
)
from evenhand.judge.metrics import Estimate, Measure, MetricInfo, Sample, ratio, undefined
from evenhand.tables.answers.generations import Generations
from evenhand.tables.answers.pronouns import NAMED, gender_of
from evenhand.tables.answers.vocabulary import GOLD_GENDER, PREDISPOSITION, STEREOTYPE
from evenhand.tables.schema import ABSENT, Attribute, IntArray

_WINOMT = "Stanovsky, Smith and Zettlemoyer 2019 (WinoMT)"
_SHARES = "Ding et al. 2024 (arXiv 2405.17512)"


def _gap_info(title: str) -> MetricInfo:
    return MetricInfo(
        title=title, direction=0, range=(-1, 1), needs="prediction", classes="whole", inference="wald",
        reference=_WINOMT,
    )  # fmt: skip


#: Shares by the gender of an output, and by the stereotype of the occupation.
SHARE_NAMES = (*(f"share_{g}" for g in NAMED), "share_pro", "share_anti")

INFO = GenerativeInfo(
    title="gender in translation",
    needs="generations",
    measures={
        "gender_accuracy": share_info("gender accuracy", 1, _WINOMT),
        **{f"share_{g}": share_info(f"share of {g} outputs", 0, _SHARES) for g in NAMED},
        "share_pro": share_info("share of stereotypical outputs", -1, _SHARES),
        "share_anti": share_info("share of anti-stereotypical outputs", 0, _SHARES),
        "delta_g": _gap_info("F1 male minus F1 female"),
        "delta_s": _gap_info("accuracy pro minus anti"),
    },
    primary=("gender_accuracy", "share_pro"),
    reference=f"{_WINOMT}; {_SHARES}",
)

MALE, FEMALE, UNKNOWN = (NAMED.index(g) for g in ("male", "female", "unknown"))


def compute(table: Generations) -> list[MetricByGroup]:
    """Compute the shares, the accuracy and the differences for which the table has the columns.

    The gold gender is the column `gold_gender`, or else the gender of the first reference. A stereotypical
    (pro) output has the gender to which the occupation is predisposed, an anti-stereotypical output the
    other. The gender of an output is the column `predicted_gender`, or else that of the pronouns of an
    English text.
    """
    genders = table.genders or [[gender_of(t) for t in texts] for texts in table.completions]
    output = np.array([[NAMED.index(gender) for gender in run_genders] for run_genders in genders])
    if table.there is not None:
        output = np.where(table.there, output, ABSENT)
    arms = arms_of(table.arm_runs, output)
    gold = gold_of(table)
    rows = rows_of(
        NAMED, gold if gold is not None else output[0], arms, table.attributes, table.cluster,
        resplit=table.there is not None,
    )  # fmt: skip
    rates = []
    if gold is not None:
        known = gold != UNKNOWN
        rates += [
            RateByGroup(share_of("gender_accuracy", INFO.measures["gender_accuracy"]), rows, known),
            RateByGroup(Measure("delta_g", INFO.measures["delta_g"], delta_g), rows, known),
        ]
    for code, gender in enumerate(NAMED):
        name = f"share_{gender}"
        counted = dataclasses.replace(rows, label=np.full_like(rows.label, code))
        rates.append(RateByGroup(share_of(name, INFO.measures[name]), counted))
    leaning = _codes(table.attribute(PREDISPOSITION), ("male", "female"))
    if leaning is not None:
        for name, target in (("share_pro", leaning), ("share_anti", np.where(leaning >= 0, 1 - leaning, -1))):
            counted = dataclasses.replace(rows, label=target)
            rates.append(RateByGroup(share_of(name, INFO.measures[name]), counted, leaning >= 0))
    stereotype = _codes(table.attribute(STEREOTYPE), ("pro", "anti"))
    if stereotype is not None and gold is not None:
        right = [
            np.where(a.prediction == ABSENT, ABSENT, np.where(a.prediction == gold, stereotype, WRONG))
            for a in arms
        ]
        answered = tuple(dataclasses.replace(a, prediction=r) for a, r in zip(arms, right, strict=True))
        counted = dataclasses.replace(rows, classes=("pro", "anti", "wrong"), label=stereotype, arms=answered)
        eligible = (stereotype >= 0) & (gold != UNKNOWN)
        rates.append(RateByGroup(Measure("delta_s", INFO.measures["delta_s"], delta_s), counted, eligible))
    return [measured.evaluate((None, *table.attributes)) for measured in rates]


#: Codes of `delta_s`: rows whose gold gender agrees with the stereotype, rows whose gold gender does not, and
#: wrong answers.
PRO, ANTI, WRONG = 0, 1, 2


def gold_of(table: Generations) -> IntArray | None:
    """[n] code of the gold gender; None without a column or references that give it."""
    column = table.attribute(GOLD_GENDER)
    if column is not None:
        codes = _codes(column, NAMED)
        assert codes is not None
        return np.where(codes < 0, UNKNOWN, codes)
    if not any(table.references):
        return None
    genders = [gender_of(r[0]) if r else "unknown" for r in table.references]
    return np.array([NAMED.index(g) for g in genders])


def remarks(table: Generations) -> list[str]:
    """Remark on rows without a gold gender where it is taken from the first reference."""
    if table.attribute(GOLD_GENDER) is not None or not any(table.references):
        return []
    gold = gold_of(table)
    assert gold is not None
    unknown = int((gold == UNKNOWN).sum())
    if not unknown:
        return []
    return [
        f"Column '{GOLD_GENDER}' not found, and the first reference of {unknown:,} of {len(gold):,} rows "
        "names no gender, or several: these rows are left out of the gender accuracy."
    ]


def _codes(attribute: Attribute | None, names: tuple[str, ...]) -> IntArray | None:
    """[n] each row's group as an index into names, -1 for any other; None without the attribute."""
    if attribute is None or attribute.codes is None:
        return None
    index = [names.index(g) if g in names else -1 for g in attribute.groups]
    return np.array(index, dtype=np.int64)[attribute.codes]


def delta_g(sample: Sample) -> Estimate:
    """F1 of male minus F1 of female, F1 = 2 TP / (outputs + golds) of that gender. Source: WinoMT."""
    male, female = (_f1(sample, gender) for gender in (MALE, FEMALE))
    return _difference(sample, male, female)


def _f1(sample: Sample, gender: int) -> Estimate:
    predicted, actual = sample.answer == gender, sample.true == gender
    total = predicted.astype(np.float64) + actual
    return ratio(sample, 2.0 * (predicted & actual), total, f"no row is {NAMED[gender]}, in gold or output")


def delta_s(sample: Sample) -> Estimate:
    """Accuracy on pro-stereotypical rows minus that on anti-stereotypical rows. Source: WinoMT."""
    right = sample.answer == sample.true
    pro = ratio(sample, right & (sample.true == PRO), sample.true == PRO, "no pro-stereotypical rows")
    anti = ratio(sample, right & (sample.true == ANTI), sample.true == ANTI, "no anti-stereotypical rows")
    return _difference(sample, pro, anti)


def _difference(sample: Sample, first: Estimate, second: Estimate) -> Estimate:
    reason = first.reason or second.reason
    if reason:
        return undefined(sample, reason)
    return Estimate(first.value - second.value, first.influence - second.influence)
