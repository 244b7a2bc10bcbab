"""From an interval to a verdict, and what an undecided one would take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Word = Literal["harm", "harmless", "help", "undecided"]

#: Normal quantile of the power, 80 %, at which a difference counts as detectable.
POWER = 0.8416


@dataclass(frozen=True)
class Verdict:
    """What an interval of a difference says.

    Attributes:
        word: the verdict, or None for a metric without a better direction.
        equivalent: the whole interval lies within the margin.
        beyond_margin: the whole interval lies beyond the margin, on either side.
    """

    word: Word | None
    equivalent: bool | None
    beyond_margin: bool | None


def judge(low: float, high: float, direction: int, margin: float | None) -> Verdict:
    """Judge the interval of candidate less reference.

    Args:
        low: lower limit.
        high: upper limit.
        direction: +1 when higher is better, -1 when lower is better, 0 for neither.
        margin: the largest harmless difference; None leaves out `harmless`.

    Returns:
        On the harm-oriented interval, in this order: harm when low > 0 and high >= margin; help when
        high < 0 and low <= -margin; harmless when high < margin; else undecided.
    """
    equivalent = None if margin is None else bool(-margin < low and high < margin)
    beyond = None if margin is None else bool(low >= margin or high <= -margin)
    if direction == 0:
        return Verdict(None, equivalent, beyond)
    if direction > 0:
        low, high = -high, -low
    bound = margin or 0.0
    if low > 0 and high >= bound:
        return Verdict("harm", equivalent, beyond)
    if high < 0 and low <= -bound:
        return Verdict("help", equivalent, beyond)
    if margin is not None and high < margin:
        return Verdict("harmless", equivalent, beyond)
    return Verdict("undecided", equivalent, beyond)


def minimum_detectable(half_width: float, critical: float) -> float:
    """The smallest true difference that such an interval would exclude 0 for, with probability 80 %."""
    return half_width * (critical + POWER) / critical


def settling_half_width(difference: float, direction: int, margin: float | None) -> float:
    """The widest half width at which this difference would no longer be undecided; 0 when none would do."""
    harm = -direction * difference
    wide_enough = [abs(harm)] if harm != 0 else []
    if margin is not None and harm < margin:
        wide_enough.append(margin - harm)
    return max(wide_enough, default=0.0)


def more_needed(now: float, fixed: float, target: float, size: float) -> int | None:
    """Rows (or runs) that bring a half width down to `target` if the difference stays what it is.

    Args:
        now: the part of the half width that shrinks with the root of `size`.
        fixed: the part that does not.
        target: wanted half width.
        size: rows or runs now.

    Returns:
        The number, or None when it alone cannot settle the matter.
    """
    room = target**2 - fixed**2
    if room <= 0 or not math.isfinite(now):
        return None
    needed = size * now**2 / room
    return math.ceil(needed) if needed < 1e12 else None
