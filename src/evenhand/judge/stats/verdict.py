"""Verdicts from intervals, and the rows or runs that an undecided comparison needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Word = Literal["harm", "harmless", "help", "undecided"]

#: Normal quantile of the power, 80 %, at which a difference counts as detectable.
POWER = 0.8416


@dataclass(frozen=True)
class Verdict:
    """The verdict on an interval of a difference.

    Attributes:
        word: the verdict, or None for a metric without a better direction.
        equivalent: the whole interval is within the margin.
        beyond_margin: the whole interval is beyond the margin, on either side.
    """

    word: Word | None
    equivalent: bool | None
    beyond_margin: bool | None


def judge(
    low: float, high: float, direction: int, margin: float | None, harm_limit: float = math.nan
) -> Verdict:
    """Judge the interval of candidate minus reference.

    Args:
        low: lower limit.
        high: upper limit.
        direction: +1 when higher is better, -1 when lower is better, 0 for neither.
        margin: the largest harmless difference; None excludes the verdict `harmless`.
        harm_limit: the one-sided limit on the side of harm; NaN to use that of the interval.

    Returns:
        With differences and limits turned so that larger is worse, in this order: harm when low > 0 and
        harm_limit >= margin; help when high < 0 and low <= -margin; harmless when harm_limit < margin; else
        undecided.
    """
    equivalent = None if margin is None else bool(-margin < low and high < margin)
    beyond = None if margin is None else bool(low >= margin or high <= -margin)
    if direction == 0:
        return Verdict(None, equivalent, beyond)
    # Orient the interval so that positive is harm.
    if direction > 0:
        low, high, harm_limit = -high, -low, -harm_limit
    bound = margin or 0.0
    largest = high if math.isnan(harm_limit) else harm_limit
    # Harm needs both: a proven loss, and a loss as large as the margin that is not excluded. A small proven
    # loss that is below the margin for certain is harmless.
    if low > 0 and largest >= bound:
        return Verdict("harm", equivalent, beyond)
    if high < 0 and low <= -bound:
        return Verdict("help", equivalent, beyond)
    if margin is not None and largest < margin:
        return Verdict("harmless", equivalent, beyond)
    return Verdict("undecided", equivalent, beyond)


def minimum_detectable(half_width: float, critical: float) -> float:
    """Return the smallest true difference whose interval excludes 0 with probability 80 %.

    (critical + z_0.8) standard deviations, where half_width is `critical` standard deviations.
    """
    return half_width * (critical + POWER) / critical
