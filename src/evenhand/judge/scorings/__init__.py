"""Scorings: from likelihoods of options to the scores by which one of them is chosen.

Each file here is a scoring of the same name. It defines `INFO` (a `ScoringInfo`) and
`compute(table, blocks) -> scores`, [runs, contexts, K]: the highest is chosen; -inf for absent options and
NaN in contexts that it cannot score.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoringInfo:
    """Facts about a scoring.

    Attributes:
        title: its name in a report.
        needs: requirement besides likelihoods: none, the likelihood after a content-free text (`free`), or
            permuted meanings (`forms`).
        reference: source.
        note: its effect on a belief, if any.
    """

    title: str
    needs: str
    reference: str
    note: str = ""
