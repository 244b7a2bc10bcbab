"""Option shares: how often each meaning, each token and the expected option is chosen."""

from __future__ import annotations

import dataclasses
from typing import Literal

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
from evenhand.judge.prompts.choices import TIED, Chosen
from evenhand.tables.answers.likelihoods import NONE
from evenhand.tables.schema import Predictions

_SOURCE = "Ding et al. 2024 (arXiv 2405.17512)"

INFO = GenerativeInfo(
    title="choice of answer options",
    needs="likelihoods",
    measures={
        "option_share": share_info("share of answers", 0, _SOURCE),
        "option_accuracy": share_info("share of expected answers", 1, _SOURCE),
    },
    primary=("option_accuracy",),
    reference=_SOURCE,
)

By = Literal["meaning", "token"]


def compute(chosen: Chosen) -> list[MetricByGroup]:
    """Compute the share of every meaning, and of the expected one where the table has labels."""
    table = chosen.table
    attributes = (None, *table.attributes)
    metrics = [m.evaluate(attributes) for m in shares(chosen, "meaning")]
    known = (table.label != NONE) & chosen.scored
    if known.any():
        rows = rows_of(
            (*table.meanings, TIED), table.label, arms_of(table.arm_runs, chosen.meaning), table.attributes,
            table.cluster,
        )  # fmt: skip
        measure = share_of("option_accuracy", INFO.measures["option_accuracy"])
        metrics.append(RateByGroup(measure, rows, known).evaluate(attributes))
    return metrics


def shares(chosen: Chosen, by: By) -> list[RateByGroup]:
    """Build the share of every option, by its meaning or its token, among the contexts that offer it.

    Shares of a context's options sum to 1 together with `tied`, which is present where answers are tied.
    Tokens that differ between examples have no shares.
    """
    table = chosen.table
    offered, answers, names = table.meaning, chosen.meaning, table.meanings
    closed = np.ones(len(table.example), dtype=bool)
    if by == "token":
        offered, answers, names = table.token, chosen.token, table.tokens
        closed = chosen.blocks.closed[chosen.blocks.option_set]
    rows = rows_of(
        (*names, TIED), table.label, arms_of(table.arm_runs, answers), table.attributes, table.cluster
    )
    measure = share_of("option_share", INFO.measures["option_share"])
    counted = closed & chosen.scored
    rates = []
    for code in np.unique(offered[counted]):
        if code != NONE:
            there = counted & (offered == code).any(axis=1)
            rates.append(RateByGroup(measure, _counting(rows, int(code)), there, names[code]))
    if (answers[:, counted] == len(names)).any():
        rates.append(RateByGroup(measure, _counting(rows, len(names)), counted, TIED))
    return rates


def _counting(rows: Predictions, code: int) -> Predictions:
    """Return the same rows, labelled with the option to count."""
    return dataclasses.replace(rows, label=np.full_like(rows.label, code))
