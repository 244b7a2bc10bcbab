"""Inverted twins: when the meanings change places, does the choice go with the token or the meaning?

Each form of a question is compared with its plainest one. An answer that keeps its meaning and changes its
token follows the meaning; one that keeps its token and changes its meaning follows the token: a token bias.
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
    """Shares of twins with other meanings whose answer follows the meaning, and the token."""
    eligible = permuted_prompts(chosen)[0] & chosen.blocks.inverted
    if not eligible.any():
        return []
    return [
        dataclasses.replace(m, eligible=eligible).evaluate((None, *chosen.table.attributes))
        for m in outcome_rates(chosen)
        if m.measure.name in INFO.measures
    ]


def permuted_prompts(chosen: Chosen) -> tuple[np.ndarray, IntArray]:
    """[contexts] whether a context is a scored twin of a scored plainest form, and [contexts] the latter."""
    blocks = chosen.blocks
    base = blocks.first[blocks.block]
    return blocks.permuted & chosen.scored & chosen.scored[base], base


def outcomes(chosen: Chosen) -> IntArray:
    """[places, contexts] what each answer keeps of the answer to the plainest form, an index of `OUTCOMES`.

    An option whose token keeps its meaning in both forms keeps both and tells nothing.
    """
    _, base = permuted_prompts(chosen)
    token, meaning = chosen.token, chosen.meaning
    same_token, same_meaning = token == token[:, base], meaning == meaning[:, base]
    ties = (token == len(chosen.table.tokens)) | (token[:, base] == len(chosen.table.tokens))
    cases = [ties, same_token & same_meaning, same_meaning, same_token]
    codes = [OUTCOMES.index(o) for o in ("tied", "both", "meaning", "token")]
    return np.select(cases, codes, OUTCOMES.index("neither"))


def outcome_rates(chosen: Chosen) -> list[RateByGroup]:
    """The share of every outcome; `INFO.measures` has those that are rates of the result."""
    table = chosen.table
    arms = arms_of(table.places, outcomes(chosen))
    rates = []
    for code, outcome in enumerate(OUTCOMES):
        name = f"{outcome}_followed"
        label = np.full(len(table.example), code)
        rows = rows_of(OUTCOMES, label, arms, table.attributes, table.cluster)
        info = INFO.measures.get(name, share_info(f"share of answers: {outcome}", 0, _SOURCE))
        rates.append(RateByGroup(share_of(name, info), rows))
    return rates
