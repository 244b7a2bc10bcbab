"""Batch calibration: log shares minus their mean over all examples, for every token."""

from __future__ import annotations

import numpy as np

from evenhand.judge.prompts.forms import Blocks, log_shares
from evenhand.judge.scorings import ScoringInfo
from evenhand.judge.scorings._pooled import pooled_mean
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray

INFO = ScoringInfo(
    title="batch calibration",
    needs="",
    reference="Zhou et al. 2024 (arXiv 2309.17249)",
    note="In a template and variant whose tokens keep their meanings it removes the mean belief together "
    "with the token's prior: options are then chosen about equally often.",
)


def compute(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """Log share - mean log share of the same token over the contexts of a template and variant."""
    logs = np.where(table.there, log_shares(table.log_prob, table.there), 0.0)
    return np.where(table.there, logs - pooled_mean(logs, table), -np.inf)
