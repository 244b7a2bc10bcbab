"""Permuted prompts: if meanings are permuted among tokens, does the choice follow the token or the meaning?

Each form of a prompt is compared with the plainest form of the same question. An answer that keeps its
meaning and changes its token follows the meaning; one that keeps its token and changes its meaning follows
the token, which is a token bias.
"""

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
from evenhand.judge.prompts.choices import Chosen
from evenhand.tables.schema import IntArray

_SOURCE = "Ding et al. 2024 (arXiv 2405.17512)"

OUTCOMES = ("meaning", "token", "both", "neither", "tied")

INFO = GenerativeInfo(
    title="token against meaning",
    needs="likelihoods",
    measures={
        "meaning_followed": share_info("share of answers that follow the meaning", 0, _SOURCE),
        "token_followed": share_info("share of answers that follow the token", -1, _SOURCE),
    },
    primary=("token_followed",),
    reference=_SOURCE,
)


def compute(chosen: Chosen) -> list[MetricByGroup]:
    """Compute the shares of inverted prompts whose answer follows the meaning, and the token."""
    eligible = permuted_prompts(chosen)[0] & chosen.blocks.inverted
    if not eligible.any():
        return []
    return [
        dataclasses.replace(m, eligible=eligible).evaluate((None, *chosen.table.attributes))
        for m in outcome_rates(chosen)
        if m.measure.name in INFO.measures
    ]


def permuted_prompts(chosen: Chosen) -> tuple[np.ndarray, IntArray]:
    """Pair each permuted form of a prompt with the plainest form.

    Returns:
        [contexts] mask of permuted forms that are scored, as is their plainest form; and [contexts] the
        context of the plainest form.
    """
    blocks = chosen.blocks
    base = blocks.first[blocks.block]
    return blocks.permuted & chosen.scored & chosen.scored[base], base


def outcomes(chosen: Chosen) -> IntArray:
    """[runs, contexts] index into `OUTCOMES`: what each answer keeps of the answer to the plainest form.

    An answer whose token has the same meaning in both forms keeps both and is uninformative.
    """
    _, base = permuted_prompts(chosen)
    token, meaning = chosen.token, chosen.meaning
    same_token, same_meaning = token == token[:, base], meaning == meaning[:, base]
    ties = (token == len(chosen.table.tokens)) | (token[:, base] == len(chosen.table.tokens))
    cases = [ties, same_token & same_meaning, same_meaning, same_token]
    codes = [OUTCOMES.index(o) for o in ("tied", "both", "meaning", "token")]
    return np.select(cases, codes, OUTCOMES.index("neither"))


def outcome_rates(chosen: Chosen) -> list[RateByGroup]:
    """Build the share of every outcome; those in `INFO.measures` are rates of the result."""
    table = chosen.table
    arms = arms_of(table.arm_runs, outcomes(chosen))
    rates = []
    for code, outcome in enumerate(OUTCOMES):
        name = f"{outcome}_followed"
        label = np.full(len(table.example), code)
        rows = rows_of(OUTCOMES, label, arms, table.attributes, table.cluster)
        info = INFO.measures.get(name, share_info(f"share of answers: {outcome}", 0, _SOURCE))
        rates.append(RateByGroup(share_of(name, info), rows))
    return rates
