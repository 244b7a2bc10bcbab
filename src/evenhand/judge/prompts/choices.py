"""Choice of an option: the one with the highest score; tied options are not chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand import registry
from evenhand.judge.prompts.forms import Blocks, find_blocks
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import BoolArray, IntArray

SCORINGS = "evenhand.judge.scorings"
#: Reasons why a scoring that needs more than likelihoods cannot be applied, by its need.
MISSING_REQUIREMENTS = {
    "free": "needs the column log_prob_free (the options after a text without content)",
    "forms": "needs prompt forms that permute the meanings among the tokens",
}

#: Scores that differ by less are tied: float32 sums of log-probabilities are not more precise.
TIE_TOLERANCE = 1e-6

TIED = "tied"


@dataclass(frozen=True)
class Chosen:
    """The options that one scoring chooses.

    Attributes:
        table: the likelihoods.
        blocks: the contexts that are forms of one question.
        scoring: the scoring's name.
        token: [runs, contexts] code of the token chosen; the number of tokens when tied.
        meaning: [runs, contexts] code of its meaning; the number of meanings when tied.
        scored: [contexts] mask of the contexts that the scoring scores.
    """

    table: Likelihoods
    blocks: Blocks
    scoring: str
    token: IntArray
    meaning: IntArray
    scored: BoolArray


def scoring_names() -> tuple[str, ...]:
    """Names of all scorings, raw first."""
    return tuple(sorted(registry.names(SCORINGS), key=lambda name: (name != "raw", name)))


def choose_all(table: Likelihoods) -> tuple[dict[str, Chosen], dict[str, str]]:
    """Apply every scoring that the table allows.

    Returns:
        The choices by scoring, and the reasons why other scorings are missing.
    """
    blocks = find_blocks(table)
    choices, missing = {}, {}
    for name in scoring_names():
        scoring = registry.load(SCORINGS, name)
        if scoring.INFO.needs == "free" and table.log_prob_free is None:
            missing[name] = MISSING_REQUIREMENTS["free"]
            continue
        chosen = _choose(table, blocks, name, np.asarray(scoring.compute(table, blocks)))
        if chosen.scored.any():
            choices[name] = chosen
        else:
            missing[name] = MISSING_REQUIREMENTS[scoring.INFO.needs]
    return choices, missing


def _choose(table: Likelihoods, blocks: Blocks, name: str, scores: np.ndarray) -> Chosen:
    scored = ~np.isnan(scores).any(axis=(0, 2))
    ranked = np.sort(np.where(np.isnan(scores), 0.0, scores), axis=-1)
    tied = ranked[..., -1] - ranked[..., -2] <= TIE_TOLERANCE
    best = np.argmax(np.where(np.isnan(scores), -np.inf, scores), axis=-1)
    contexts = np.arange(len(table.example))
    return Chosen(
        table=table,
        blocks=blocks,
        scoring=name,
        token=np.where(tied, len(table.tokens), table.token[contexts, best]),
        meaning=np.where(tied, len(table.meanings), table.meaning[contexts, best]),
        scored=scored,
    )
