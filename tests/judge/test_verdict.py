"""The order of verdicts, margins, and what an undecided row would take."""

from __future__ import annotations

import pytest

from evenhand.judge.stats.verdict import judge, minimum_detectable


@pytest.mark.parametrize(
    ("harm_low", "harm_high", "word", "equivalent", "beyond"),
    [
        (0.005, 0.05, "harm", False, False),
        (0.03, 0.05, "harm", False, True),
        (0.005, 0.015, "harmless", True, False),  # not zero, but negligible
        (-0.05, -0.005, "help", False, False),
        (-0.05, -0.03, "help", False, True),
        (-0.015, -0.005, "harmless", True, False),
        (-0.05, 0.01, "harmless", False, False),
        (-0.01, 0.01, "harmless", True, False),
        (-0.01, 0.05, "undecided", False, False),
        (-0.05, 0.05, "undecided", False, False),
        (0.0, 0.02, "undecided", False, False),  # the margin itself is not below the margin
    ],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_order_of_verdicts(harm_low, harm_high, word, equivalent, beyond, direction):
    low, high = (harm_low, harm_high) if direction < 0 else (-harm_high, -harm_low)
    verdict = judge(low, high, direction, 0.02)
    assert (verdict.word, verdict.equivalent, verdict.beyond_margin) == (word, equivalent, beyond)


def test_no_direction_no_verdict_and_no_margin_no_harmless():
    assert judge(0.1, 0.2, 0, 0.02).word is None
    assert judge(-0.001, 0.001, 1, None).word == "undecided"
    assert judge(0.1, 0.2, 1, None).word == "help"
    assert judge(0.1, 0.2, -1, None).word == "harm"


def test_the_smallest_detectable_difference():
    assert minimum_detectable(0.05, 2.5) == pytest.approx(0.05 * (2.5 + 0.8416) / 2.5)
