"""The plan of a study: from the variances of a pilot, how often further runs and rows decide.

For each primary comparison two questions are asked: how often is a true loss of a stated size called `harm`,
and how often is the absence of a difference called `harmless`? Pilots estimate variances badly:
every number comes twice, at the estimates and at the upper limits of the variances over runs and rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.errors import CallError
from evenhand.judge.documents import head, without_nan
from evenhand.judge.planning.parts import MAX_FACTOR, MAX_RUNS, Parts, common_factor, fewest_rows, fewest_runs
from evenhand.judge.stats.combine import MIN_RUNS, MIN_RUNS_MODERATED
from evenhand.tables.schema import BoolArray, FloatArray

SCHEMA = "evenhand.plan/1"

#: Runs, and factors of rows, at which curves give the power.
RUNS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 30)
FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0)

#: Probability with which the variance over runs is at most the one that the cautious numbers use.
CAUTION = 0.8

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """The aim of a plan.

    Attributes:
        power: probability with which a question is to be decided.
        difference: size of the loss to be called harm; None takes each metric's margin.
    """

    power: float = 0.8
    difference: float | None = None


@dataclass(frozen=True)
class Pilot:
    """Primary comparisons with their variances, and what a run costs.

    Attributes:
        model: name of the base model, or None.
        rows: primary rows of `comparisons` with an interval.
        left_out: primary rows without one.
        arms: number of arms.
        seconds: time of one more run of every arm, or None where it is not known.
    """

    model: str | None
    rows: Sequence[Row]
    left_out: int
    arms: int
    seconds: float | None = None


def pilot_of(audit: Row, *, model: str | None = None, seconds: float | None = None) -> Pilot:
    """Take the primary comparisons of an audit's document."""
    primary = [row for row in audit["comparisons"] if row["family"] == "primary"]
    usable = [row for row in primary if row["status"] == "ok" and row["low"] is not None]
    arms = len({row["candidate"] for row in primary}) + 1
    return Pilot(model, usable, len(primary) - len(usable), arms, seconds)


def check_goal(goal: Goal, pilots: Sequence[Pilot]) -> None:
    """Refuse a goal that cannot be meant.

    Raises:
        CallError: the power is not between 1/2 and 1, or a loss is smaller than a margin.
    """
    if not 0.5 <= goal.power < 1:
        raise CallError(f"--power {goal.power:g}: a power is from 0.5 to below 1, such as 0.8.")
    margins = [(row["margin"], row["metric"]) for p in pilots for row in p.rows if row["margin"] is not None]
    if goal.difference is None:
        return
    if not 0 < goal.difference < math.inf:
        raise CallError(f"--difference {goal.difference:g}: the size of a loss is above 0.")
    margin, metric = max(margins, default=(0.0, ""))
    if goal.difference < margin:
        raise CallError(
            f"--difference {goal.difference:g}: a loss below the margin of {metric}, {margin:g}, is harmless "
            f"by declaration; give {margin:g} or more."
        )


def forecast(pilots: Sequence[Pilot], goal: Goal, source: Row) -> dict[str, Any]:
    """Build the plan, schema `evenhand.plan/1`.

    Args:
        pilots: one for each base model.
        goal: power, and size of a loss.
        source: where the variances come from: `kind` (`study`, `result` or `assumed`) and what else is known.
    """
    document = {
        **head(SCHEMA),
        "source": dict(source),
        "settings": {"power": goal.power, "difference": goal.difference, "caution": CAUTION},
        "models": [_plan(pilot, goal) for pilot in pilots],
    }
    plain: dict[str, Any] = without_nan(document)
    return plain


@dataclass(frozen=True)
class _Questions:
    """The two questions about k rows; NaN where a row has no margin, or no direction.

    Attributes:
        loss: [k] size of the loss to be called harm.
        margin: [k].
        critical: [k] normal quantile of the intervals.
        harm_critical: [k] the same of limits on the side of harm.
    """

    loss: FloatArray
    margin: FloatArray
    critical: FloatArray
    harm_critical: FloatArray

    def harm(self, parts: Parts) -> FloatArray:
        """[k] probability that the loss is called harm."""
        return parts.power(self.loss, self.critical)

    def harmless(self, parts: Parts) -> FloatArray:
        """[k] probability that no difference is called harmless."""
        return parts.power(self.margin, self.harm_critical)


def _plan(pilot: Pilot, goal: Goal) -> dict[str, Any]:
    """Build the plan of one model."""
    rows = [row for row in pilot.rows if row["verdict"] is not None]
    if not rows:
        return {"model": pilot.model, "rows": [], "next": [], "remarks": _remarks(pilot, rows)}
    half = (_column(rows, "high") - _column(rows, "low")) / 2
    parts = Parts.of_rows(rows, pilot.arms).with_widths(half, _column(rows, "critical"))
    cautious = be_cautious(parts, rows)
    margins = _column(rows, "margin")
    questions = _Questions(
        margins if goal.difference is None else np.full(len(rows), goal.difference),
        margins,
        _column(rows, "critical"),
        _column(rows, "harm_critical"),
    )
    return {
        "model": pilot.model,
        "rows": _planned(rows, (parts, cautious), questions, goal.power),
        "next": _next(pilot, parts, questions),
        "remarks": _remarks(pilot, rows),
    }


def _planned(
    rows: Sequence[Row], both: tuple[Parts, Parts], questions: _Questions, least: float
) -> list[dict[str, Any]]:
    """Build the rows of a plan: what each question needs, and the power along runs and along rows."""
    parts = both[0]
    planned = [
        {key: row[key] for key in ("candidate", "attribute", "group", "class", "metric", "n", "runs", "unit")}
        | {"margin": row["margin"], "difference": _number(questions.loss[k]), "verdict": row["verdict"]}
        for k, row in enumerate(rows)
    ]
    for name, power in (("harm", questions.harm), ("harmless", questions.harmless)):
        for columns in _needed(name, power, both, least).items():
            _put(planned, *columns)
        _put(planned, f"power_{name}", power(parts))
    for k, row in enumerate(planned):
        row["by_runs"] = [{"runs": r} for r in RUNS] if _varies(parts)[k] else []
        row["by_rows"] = [{"rows": math.ceil(f * row["n"])} for f in FACTORS]
    for name, power in (("harm", questions.harm), ("harmless", questions.harmless)):
        for i, runs in enumerate(RUNS):
            _fill(planned, "by_runs", i, name, power(parts.at(parts.rows, float(runs))))
        for i, factor in enumerate(FACTORS):
            _fill(planned, "by_rows", i, name, power(parts.at(factor * parts.rows, parts.runs)))
    return planned


def _needed(name: str, power: Any, parts: tuple[Parts, Parts], least: float) -> dict[str, FloatArray]:  # noqa: ANN401
    """Return the fewest runs, rows, and both in equal proportion, for one question.

    Each at the estimate, and cautiously.
    """

    def accepts(some: Parts) -> BoolArray:
        return np.asarray(power(some) >= least)

    columns = {}
    for suffix, some in zip(("", "_cautious"), parts, strict=True):
        columns[f"rows_{name}{suffix}"] = fewest_rows(some, accepts)
        runs = fewest_runs(some, accepts, MIN_RUNS_MODERATED)
        columns[f"runs_{name}{suffix}"] = np.where(_varies(parts[0]), runs, np.nan)
        factor = common_factor(some, accepts, MAX_FACTOR)
        known = _varies(parts[0]) & np.isfinite(factor) & (some.runs * factor <= MAX_RUNS)
        for what, amount in (("runs", some.runs), ("rows", some.rows)):
            grown = np.ceil(amount * np.where(known, factor, np.nan) - 1e-6)
            columns[f"{what}_together_{name}{suffix}"] = grown
    return columns


def _varies(parts: Parts) -> BoolArray:
    """[k] whether the variance over runs is known: then more runs have an effect that can be foreseen."""
    return np.asarray(np.isfinite(parts.base_dof) | (parts.flip_variance > 0))


def be_cautious(parts: Parts, rows: Sequence[Row]) -> Parts:
    """Return the parts with the upper limits of their variances.

    That over rows is estimated from the rows whose answers differ: it has two degrees of freedom for each.
    Without a count of them, or with assumed variances, it stays as it is.

    Args:
        parts: of the rows.
        rows: of `comparisons`.
    """
    changed = _column(rows, "n_right_to_wrong") + _column(rows, "n_wrong_to_right")
    of_rows = upper_factor(2 * np.where(np.isnan(changed), np.inf, np.maximum(changed, 1.0)))
    # A variance over runs can only grow with runs that were not seen: where there are none it stays as it is.
    of_runs = np.maximum(upper_factor(parts.base_dof), 1.0)
    return parts.with_run_variance(of_runs).with_row_variance(of_rows)


def upper_factor(dof: FloatArray) -> FloatArray:
    """[k] upper limit of a variance with so many degrees of freedom, as a factor of its estimate."""
    from scipy.special import gammaincinv  # noqa: PLC0415

    finite = np.where(np.isfinite(dof), dof, 1e9)
    return np.asarray(finite / (2 * gammaincinv(finite / 2, 1 - CAUTION)))


def _next(pilot: Pilot, parts: Parts, questions: _Questions) -> list[dict[str, Any]]:
    """Return what the next effort buys: the mean power over both questions now, with runs, and with rows."""

    def mean(some: Parts) -> float:
        answers = np.concatenate([questions.harm(some), questions.harmless(some)])
        return float(np.nanmean(answers)) if not np.isnan(answers).all() else math.nan

    options: list[dict[str, Any]] = [{"buy": "nothing", "amount": None, "seconds": 0.0, "power": mean(parts)}]
    if _varies(parts).any():
        for more in (1, 5):
            seconds = None if pilot.seconds is None else more * pilot.seconds
            power = mean(parts.at(parts.rows, parts.runs + more))
            options.append({"buy": "runs", "amount": more, "seconds": seconds, "power": power})
        if pilot.seconds:
            more = int(3600 // pilot.seconds)
            if more > 5:
                power = mean(parts.at(parts.rows, np.minimum(parts.runs + more, MAX_RUNS)))
                options.append({"buy": "runs", "amount": more, "seconds": 3600.0, "power": power})
    for factor in (2, 4):
        power = mean(parts.at(factor * parts.rows, parts.runs))
        options.append({"buy": "rows", "amount": factor, "seconds": None, "power": power})
    return options


def _remarks(pilot: Pilot, rows: Sequence[Row]) -> list[str]:
    """State what the plan does not know."""
    remarks = []
    if pilot.left_out:
        remarks.append(f"{pilot.left_out} primary comparisons without an interval are left out.")
    if len(rows) < len(pilot.rows):
        remarks.append("Metrics without a better direction get no verdict, so they are left out.")
    without = sorted({row["metric"] for row in rows if row["margin"] is None})
    if without:
        remarks.append(
            f"{', '.join(without)}: no margin is declared, so nothing can be called harmless; the size of a "
            "loss is that of --difference."
        )
    few = [row for row in rows if row["unit"] == "rows"]
    if few:
        remarks.append(
            f"{len(few)} of {len(rows)} comparisons rest on too few runs for their variance over runs (it "
            "takes "
            f"{MIN_RUNS_MODERATED} for shares of the same rows, {MIN_RUNS} otherwise): their numbers of "
            "rows hold "
            "for these runs, and no number of runs can be foreseen. Train a pilot of that many runs first."
        )
    return remarks


def _column(rows: Sequence[Row], name: str) -> FloatArray:
    return np.array([math.nan if row.get(name) is None else row[name] for row in rows], dtype=np.float64)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _put(rows: Sequence[dict[str, Any]], name: str, values: FloatArray) -> None:
    as_integer = not name.startswith("power")
    for row, value in zip(rows, values.tolist(), strict=True):
        row[name] = None if math.isnan(value) else int(value) if as_integer else value


def _fill(rows: Sequence[dict[str, Any]], key: str, at: int, name: str, values: FloatArray) -> None:
    for row, value in zip(rows, values.tolist(), strict=True):
        if row[key]:
            row[key][at][name] = _number(value)
