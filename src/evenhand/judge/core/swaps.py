"""Calibration errors of two arms on the same rows: compared by swapping the arms within rows, run by run."""

from __future__ import annotations

import numpy as np

from evenhand.judge.core.estimates import row_dof
from evenhand.judge.core.evidence import Permutation, Swap, wald
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics.expected_calibration_error import BINS, bin_of, confidence_and_outcome
from evenhand.judge.stats.permutation import Binned, hidden_by_noise, swapped_difference
from evenhand.tables.schema import ABSENT, Arm


def compare_calibration(m: PairedArms, rng: np.random.Generator, *, interval: bool) -> Swap | Permutation:
    """Compare the mean calibration errors of two arms over their runs.

    A swap exchanges the arms' answers to a row in all runs at once. With fewer than five runs the share of
    swaps that differ as much is the p-value, which holds for these models only. From five runs on the
    variance of the swaps is the variance over rows, and the variance over runs is added to it.

    Args:
        m: the observations.
        rng: source of the swaps.
        interval: True when a margin was declared for the metric, so that an interval is needed.
    """
    if m.predictions.cluster is not None:
        return Permutation(reason="no p-value: rows of a cluster cannot be swapped one by one")
    if len(m.reference_arm.runs) != len(m.candidate_arm.runs):
        return Permutation(reason="no p-value: the arms have different numbers of runs")
    arms = tuple(_binned(arm, m) for arm in (m.reference_arm, m.candidate_arm))
    swapped = swapped_difference(arms[0], arms[1], BINS, rng)
    variation = m.variation(row_dof(m.group.rows, m.predictions))
    estimate = wald(m.candidate.value - m.reference.value, swapped.variance, variation)
    if interval:
        return Swap(estimate, max(hidden_by_noise(arm, BINS) for arm in arms))
    return Permutation(float(estimate.p_values()) if variation.run_variance > 0 else swapped.p_value)


def _binned(arm: Arm, m: PairedArms) -> Binned:
    """Compute the bin and the weighted gap of every row in every run; a row that a run lacks has gap 0."""
    assert arm.score is not None
    p, rows = m.predictions, m.group.rows
    bins, gaps, weights = [], [], []
    for prediction, score in zip(arm.prediction, arm.score, strict=True):
        here = prediction[rows] != ABSENT
        sample = Sample(p.label[rows], prediction[rows], p.weight[rows], p.positive or 0, score[rows])
        confidence, outcome = confidence_and_outcome(sample)
        confidence = np.where(here, confidence, 0.0)
        weight = p.weight[rows] * here
        bins.append(bin_of(confidence, BINS))
        gaps.append(weight * (confidence - np.where(here, outcome, 0.0)))
        weights.append(float(weight.sum()))
    return Binned(np.stack(bins), np.stack(gaps), np.array(weights))
