"""Contextual calibration: shares of the options, divided by their mean shares after content-free texts.

With a single content-free text its choices equal those of PMI; with several, PMI divides by the shares of
each example, and this scoring by their mean over the contexts of a template and variant.
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.prompts.forms import Blocks, log_shares
from evenhand.judge.scorings import ScoringInfo
from evenhand.judge.scorings._pooled import pooled_mean
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray

INFO = ScoringInfo(
    title="contextual calibration", needs="free", reference="Zhao et al. 2021 (arXiv 2102.09690)"
)


def compute(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """Log of p(option | text) / mean p(option | content-free text), both as shares of the options."""
    assert table.log_prob_free is not None
    free = np.exp(log_shares(table.log_prob_free, table.there))
    prior = pooled_mean(free, table)
    logs = log_shares(table.log_prob, table.there)
    return np.where(table.there, logs - np.log(np.where(table.there, prior, 1.0)), -np.inf)
