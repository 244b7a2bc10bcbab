"""Scorings: from likelihoods of options to the scores by which one of them is chosen.

A file here is a scoring; its name is the scoring's name. It defines `INFO` (a `ScoringInfo`) and
`compute(table, blocks) -> scores`, [places, contexts, K], higher is chosen, -inf where there is no option and
NaN in contexts that it cannot score.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoringInfo:
    """Facts about a scoring.

    Attributes:
        title: its name in a report.
        needs: what it needs beside likelihoods: nothing, the likelihood after a content-free text (`free`),
        or
            meanings that change places (`forms`).
        reference: source.
        note: what it does to a belief, if anything.
    """

    title: str
    needs: str
    reference: str
    note: str = ""
