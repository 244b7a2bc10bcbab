"""Rows without a score: the causes, as bits, and their description."""

from __future__ import annotations

import numpy as np

from evenhand.judge.attacks import Evidence, Needs
from evenhand.tables.schema import FloatArray, IntArray

#: Bits of a cause.
WITHOUT, WITH, AGREE = 1, 2, 4

_DESCRIPTIONS = {
    WITHOUT: "too few references without the row",
    WITH: "too few references with the row",
    WITHOUT | WITH: "too few references with or without the row",
    AGREE: "references whose signals do not differ",
}


def find_causes(evidence: Evidence, scores: FloatArray, needs: Needs) -> IntArray:
    """[T, n] the causes of missing scores, as bits; 0 where a row has a score.

    Args:
        evidence: the input of the attack.
        scores: [T, n] its scores, NaN where it has none.
        needs: the references that it needs.
    """
    lacking = ~np.isfinite(scores)
    causes = np.zeros(scores.shape, dtype=np.int64)
    if not lacking.any():
        return causes
    references = evidence.member[evidence.references]
    inside = references.sum(axis=0)
    sides = {WITHOUT: (len(references) - inside, False), WITH: (inside, True)}
    for bit, (count, member) in sides.items():
        if bit == WITH and needs.references != "both":
            continue
        for cause, target in zip(causes, evidence.targets, strict=True):
            # A shared target is one of the references, but not for itself: it is not counted.
            available = count - (evidence.member[target] == member) if evidence.shared else count
            least = needs.least if available.max() >= needs.somewhere else needs.somewhere
            cause[available < least] |= bit
    causes[lacking & (causes == 0)] = AGREE
    causes[~lacking] = 0
    return causes


def describe_causes(causes: IntArray) -> str:
    """Describe why rows have no score, each cause once."""
    bits = int(np.bitwise_or.reduce(causes, axis=None)) if causes.size else 0
    parts = [bits & (WITHOUT | WITH), bits & AGREE]
    return ", or ".join(_DESCRIPTIONS[part] for part in parts if part)
