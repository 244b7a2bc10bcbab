"""Selection rate: the share of rows that are predicted positive, whatever their label.

P(prediction positive), whatever the label is (pass `y_pred` twice where there are no labels).

Source: fairlearn.metrics.selection_rate.

>>> selection_rate([0, 1, 1, 0], [1, 1, 1, 0])
0.75
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_ROWS, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="selection rate",
    direction=0,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    reference="fairlearn.metrics.selection_rate",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction positive]) / sum(w)."""
    return ratio(sample, sample.prediction, None, NO_ROWS)
