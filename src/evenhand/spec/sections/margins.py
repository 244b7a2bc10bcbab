"""How large a margin, and the other numbers of a judgement, can be, in words.

A margin is given in the units of its metric. A rate lies between 0 and 1, but reports write its differences
in points, and a margin in points would call every loss harmless.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from evenhand import registry

#: The folders of what is judged. (`evenhand.spec.plugins` has them too, but imports pydantic.)
_SINGLE = ("evenhand.judge.metrics", "evenhand.judge.disparities")
_GENERATIVE = "evenhand.judge.generative"
#: What a general margin is about.
RATE = (0.0, 1.0)
_EXAMPLE = "such as 0.02 (2 points)"
_UNIT = re.compile(
    r"([+-]?[0-9]*[.,]?[0-9]+)\s*(%|percent|per\s*cent|prozent|(?:percentage\s*)?points?|pp|p\.p\.|pts?|pct|pc)\.?",
    re.IGNORECASE,
)
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")


def range_of(metric: str) -> tuple[float, float] | None:
    """The smallest and the largest possible value of a metric, disparity or measure; None of other names."""
    for package in _SINGLE:
        if metric in registry.names(package):
            low, high = registry.load(package, metric).INFO.range
            return float(low), float(high)
    for name in registry.names(_GENERATIVE):
        measures = registry.load(_GENERATIVE, name).INFO.measures
        if metric in measures:
            low, high = measures[metric].range
            return float(low), float(high)
    return None


def margin_fault(value: object, limits: tuple[float, float] | None, subject: str) -> str | None:
    """Say why a margin cannot be meant.

    Args:
        value: the margin as it was given.
        limits: the smallest and the largest possible value of the metric; None when they are not known.
        subject: the metric, or the metrics, with a verb: `accuracy lies`.

    Returns:
        A sentence that goes on where the margin has been named, or None for a margin that can be meant.
    """
    number = number_of(value)
    if number is None:
        return f"a margin is a number above 0{_rewritten(value, limits)}."
    if not (math.isfinite(number) and number > 0):
        return "a margin is a finite number above 0."
    return _too_large(number, limits, subject)


def _too_large(number: float, limits: tuple[float, float] | None, subject: str) -> str | None:
    """Say that no loss, or hardly one, could exceed a margin."""
    if limits is None or not all(map(math.isfinite, limits)):
        return None
    low, high = limits
    # Of a score on [0, 2] or a difference on [-1, 1], a margin of 1 is already more than what sets a model
    # that knows nothing apart from a perfect one.
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
        f"{subject} between {low:g} and {high:g}, so a margin of {number:g} would call {every} loss "
        f"harmless; {advice}."
    )


def alpha_fault(value: object) -> str | None:
    """Say why alpha cannot be meant; None when it can. Above 1/2 it is the level of the intervals instead."""
    number = number_of(value)
    if number is not None and 0 < number <= 0.5:
        return None
    said = f"got {shown_number(value)}; alpha lies between 0 and 1 (0.05 gives 95 % intervals)"
    if number is not None and 0.5 < number < 1:
        return f"{said} and is 1 less the level: for {100 * number:g} % intervals give {1 - number:.12g}."
    if number is not None and 1 <= number < 100:
        return f"{said}; {level_advice(number)}."
    return f"{said}{_rewritten(value, RATE)}."


def level_advice(percent: float) -> str:
    """How alpha is written that was given in percent, or as the level of the intervals in percent."""
    if percent <= 50:
        return f"{percent:g} % is {_share(percent)}"
    return f"for {percent:g} % intervals give {_share(100 - percent)}"


def integer_fault(value: object, least: int, what: str) -> str | None:
    """Say why a number is no integer of at least `least`; None when it is."""
    number = number_of(value)
    if number is not None and isinstance(value, Integral) and number >= least:
        return None
    return f"got {shown_number(value)}; {what}."


def number_of(value: object) -> float | None:
    """The number that a value is; None of truth values, texts and all else."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    return float(value)


def plain(value: Any) -> Any:  # noqa: ANN401  (any kind of number)
    """A number of any library as Python's own, which JSON can hold; numbers of Python stay as they are."""
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def shown_number(value: object) -> str:
    """A value as a call would have it: numbers of numpy and of Python look the same."""
    number = number_of(value)
    if number is None:
        return repr(value)
    return str(int(number)) if isinstance(value, Integral) else repr(number).removesuffix(".0")


def rewritten(text: str, *, level: bool = False) -> str | None:
    """The share that a text with a unit or a decimal comma stands for, as a number is written: 2 % is 0.02.

    Args:
        text: what was given.
        level: whether it is alpha, of which 95 % is written 0.05.

    Returns:
        The number as text; None when the text is no number of this kind.
    """
    stripped = text.strip()
    unit = _UNIT.fullmatch(stripped)
    if unit is not None:
        percent = float(unit[1].replace(",", "."))
        return _share(100 - percent if level and percent > 50 else percent)
    return stripped.replace(",", ".") if _COMMA.fullmatch(stripped) else None


def _rewritten(value: object, limits: tuple[float, float] | None) -> str:
    """How a value that is a text is written as a number."""
    if not isinstance(value, str):
        return ""
    meant = rewritten(value)
    if meant is not None and (limits is None or limits[1] <= 2 or "," in value):
        return f", and {value.strip()!r} is written {meant}"
    try:
        return f", and {value.strip()!r} is a text: write {float(value):g} without quotes"
    except ValueError:
        return ""


def _share(number: float) -> str:
    """A percentage as a share, without the digits that only rounding adds."""
    return f"{number / 100:.12g}"
