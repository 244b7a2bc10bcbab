"""PriDe: shares of the options, divided by the prior of their tokens, estimated from permuted meanings."""

from __future__ import annotations

import numpy as np

from evenhand.judge.prompts.forms import Blocks, fit_effects, log_shares
from evenhand.judge.scorings import ScoringInfo
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray

INFO = ScoringInfo(
    title="permutation debiasing (PriDe)",
    needs="forms",
    reference="Zheng et al. 2024 (arXiv 2309.03882); the prior from all examples",
)


def compute(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """Log share - log prior of the token, in contexts whose template and tokens have a prior."""
    logs = log_shares(table.log_prob, table.there)
    prior = token_priors(table, blocks)[:, blocks.option_set]
    return np.where(table.there, logs - np.log(np.where(table.there, prior, 1.0)), -np.inf)


def token_priors(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """[runs, sets, K] mean over blocks of the shares that the token effects alone imply.

    NaN where no block of the set distinguishes tokens from meanings, or where no two examples share the set.
    """
    effect = fit_effects(table, blocks).token
    there = table.there[blocks.first]
    shares = np.exp(log_shares(effect, there))
    known = np.isfinite(effect[:, :, 0]).all(axis=0)
    of = blocks.option_set[blocks.first]
    prior = np.full((len(table.arm_runs), *blocks.sets.shape), np.nan)
    for s in np.unique(of[known]):
        if blocks.closed[s]:
            prior[:, s] = shares[:, known & (of == s)].mean(axis=1)
    return prior
