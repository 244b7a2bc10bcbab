"""PMI: the log ratio of an option's likelihood after the text and after a content-free text."""

from __future__ import annotations

import numpy as np

from evenhand.judge.prompts.forms import Blocks
from evenhand.judge.scorings import ScoringInfo
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray

INFO = ScoringInfo(
    title="PMI", needs="free", reference="Holtzman et al. 2021 (arXiv 2104.08315), domain-conditional"
)


def compute(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """Log p(option | text) - log p(option | content-free text)."""
    assert table.log_prob_free is not None
    return np.where(table.there, table.log_prob - np.where(table.there, table.log_prob_free, 0.0), -np.inf)
