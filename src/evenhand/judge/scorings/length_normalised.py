"""Length-normalised: the mean log-probability of the option's tokens."""

from __future__ import annotations

from evenhand.judge.prompts.forms import Blocks
from evenhand.judge.scorings import ScoringInfo
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray

INFO = ScoringInfo(title="length-normalised", needs="", reference="log p(option | text) / tokens")


def compute(table: Likelihoods, blocks: Blocks) -> FloatArray:
    """Log p / number of tokens."""
    return table.log_prob / table.n_tokens
