"""Checks of margins and of the other numbers of an audit, with messages.

A margin is given in the units of its metric. A rate is between 0 and 1, but reports give its differences in
percentage points, and a margin in points would make every loss harmless.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from evenhand import registry

#: The packages of metrics. (`evenhand.spec.plugins` has them too, but imports pydantic.)
_METRIC_PACKAGES = ("evenhand.judge.metrics", "evenhand.judge.disparities")
_GENERATIVE_PACKAGE = "evenhand.judge.generative"
#: Range of rates, to which a single margin refers.
RATE_RANGE = (0.0, 1.0)
_EXAMPLE = "such as 0.02 (2 points)"
_UNIT = re.compile(
    r"([+-]?[0-9]*[.,]?[0-9]+)\s*(%|percent|per\s*cent|prozent|(?:percentage\s*)?points?|pp|p\.p\.|pts?|pct|pc)\.?",
    re.IGNORECASE,
)
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")


def range_of(metric: str) -> tuple[float, float] | None:
    """Return the smallest and the largest value of a metric, disparity or measure; None for other names."""
    for package in _METRIC_PACKAGES:
        if metric in registry.names(package):
            low, high = registry.load(package, metric).INFO.range
            return float(low), float(high)
    for name in registry.names(_GENERATIVE_PACKAGE):
        measures = registry.load(_GENERATIVE_PACKAGE, name).INFO.measures
        if metric in measures:
            low, high = measures[metric].range
            return float(low), float(high)
    return None


def margin_fault(value: object, limits: tuple[float, float] | None, subject: str) -> str | None:
    """Check a margin.

    Args:
        value: the margin.
        limits: the smallest and the largest possible value of the metric; None when they are unknown.
        subject: the metric, or the metrics, with a verb: `accuracy is`.

    Returns:
        The problem, to be put after the name of the margin; None for a valid margin.
    """
    number = number_of(value)
    if number is None:
        return f"a margin is a number above 0{_rewriting_hint(value, limits)}."
    if not (math.isfinite(number) and number > 0):
        return "a margin is a finite number above 0."
    return _too_large(number, limits, subject)


def _too_large(number: float, limits: tuple[float, float] | None, subject: str) -> str | None:
    """Describe a margin that no loss, or hardly any, could exceed; None for a smaller one."""
    if limits is None or not all(map(math.isfinite, limits)):
        return None
    low, high = limits
    # For a score in [0, 2] or a difference in [-1, 1], a margin of 1 already exceeds the distance between an
    # uninformative model and a perfect one.
    limit = 1.0 if high - low <= 2 else high - low
    if number < limit:
        return None
    every = "every" if high - low <= limit else "nearly every"
    advice = f"give a number above 0 and below {limit:g}"
    if limit == 1:
        advice = f"{advice}, {_EXAMPLE}"
        if number < 100:
            points = f"{number:g} point" + ("" if number == 1 else "s")
            advice = f"{points} {'is' if number == 1 else 'are'} {number / 100:g}"
    return (
        f"{subject} between {low:g} and {high:g}, so a margin of {number:g} would make {every} loss "
        f"harmless; {advice}."
    )


def alpha_fault(value: object) -> str | None:
    """Check alpha: the problem, or None. A value above 1/2 is probably the level of the intervals."""
    number = number_of(value)
    if number is not None and 0 < number <= 0.5:
        return None
    problem = f"got {format_number(value)}; alpha is between 0 and 1 (0.05 gives 95 % intervals)"
    if number is not None and 0.5 < number < 1:
        return f"{problem} and is 1 minus the level: for {100 * number:g} % intervals give {1 - number:.12g}."
    if number is not None and 1 <= number < 100:
        return f"{problem}; {level_advice(number)}."
    return f"{problem}{_rewriting_hint(value, RATE_RANGE)}."


def level_advice(percent: float) -> str:
    """Convert alpha in percent, or the level of the intervals in percent, to alpha, in words."""
    if percent <= 50:
        return f"{percent:g} % is {_format_share(percent)}"
    return f"for {percent:g} % intervals give {_format_share(100 - percent)}"


def integer_fault(value: object, least: int, what: str) -> str | None:
    """Check that a number is an integer of at least `least`: the problem, or None."""
    number = number_of(value)
    if number is not None and isinstance(value, Integral) and number >= least:
        return None
    return f"got {format_number(value)}; {what}."


def number_of(value: object) -> float | None:
    """Convert a real number of any library to float; None for booleans, texts and other values."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    return float(value)


def to_python_number(value: Any) -> Any:  # noqa: ANN401  (any kind of number)
    """Convert a number of any library to a Python number, which JSON can hold."""
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def format_number(value: object) -> str:
    """Format a value as in a call; numbers of numpy and of Python look the same."""
    number = number_of(value)
    if number is None:
        return repr(value)
    return str(int(number)) if isinstance(value, Integral) else repr(number).removesuffix(".0")


def parse_share(text: str, *, level: bool = False) -> str | None:
    """Convert a text with a unit or a decimal comma to a number: `2 %` is 0.02.

    Args:
        text: the text.
        level: True for alpha, where `95 %` is 0.05.

    Returns:
        The number as text; None for other texts.
    """
    stripped = text.strip()
    unit = _UNIT.fullmatch(stripped)
    if unit is not None:
        percent = float(unit[1].replace(",", "."))
        return _format_share(100 - percent if level and percent > 50 else percent)
    return stripped.replace(",", ".") if _COMMA.fullmatch(stripped) else None


def _rewriting_hint(value: object, limits: tuple[float, float] | None) -> str:
    """Suggest the number for a value that is a text; empty without a suggestion."""
    if not isinstance(value, str):
        return ""
    share = parse_share(value)
    if share is not None and (limits is None or limits[1] <= 2 or "," in value):
        return f", and {value.strip()!r} is written {share}"
    try:
        return f", and {value.strip()!r} is a text; write {float(value):g} without quotes"
    except ValueError:
        return ""


def _format_share(number: float) -> str:
    """Format a percentage as a share, without digits that stem from rounding."""
    return f"{number / 100:.12g}"
