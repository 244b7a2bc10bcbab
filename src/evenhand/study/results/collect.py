"""Collect from the folders of runs: predictions to judge, costs of training, training curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from evenhand.spec.study import Study
from evenhand.store.runs import LOG, PREDICTIONS, Runs, State
from evenhand.study.plan import TABLES, Planned, plan
from evenhand.study.results.tuning import TrialRuns, choose

#: Maximum number of points of a curve; more steps are averaged.
MAX_CURVE_POINTS = 60
#: Facts about costs in the record of a finished run.
_COSTS = {"parameters", "trainable_parameters", "seconds", "peak_memory_bytes"}
_PLURAL = {"seed": "seeds", "half": "halves"}


@dataclass(frozen=True)
class Collected:
    """The runs of one model.

    Attributes:
        model: its label.
        arms: arm -> seed -> the run and its status, in the study's order; for a tuned arm, the runs of the
            chosen trial, or none if no trial could be chosen.
        halves: arm -> number of a half of the rows -> the run on it and its status.
        every: all runs, including those of every trial and on every half.
        tuning: the trials of tuned arms, as rows of the document.
        problems: remarks on the choice of trials.
    """

    model: str
    arms: Mapping[str, Mapping[int, tuple[Planned, State]]]
    halves: Mapping[str, Mapping[int, tuple[Planned, State]]] = field(default_factory=dict)
    every: Sequence[tuple[Planned, State]] = ()
    tuning: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[str] = ()


def collect(study: Study, runs: Runs) -> list[Collected]:
    """Read the status of every run of a study's plan, by model."""
    states: dict[str, State] = {}
    by_model: dict[str, list[tuple[Planned, State]]] = {model.label: [] for model in study.models}
    for planned in plan(study):
        if planned.run_id not in states:
            states[planned.run_id] = runs.look(planned.run_id)
        by_model[planned.job.model.label].append((planned, states[planned.run_id]))
    return [_of_model(study, model, every) for model, every in by_model.items()]


def _of_model(study: Study, model: str, every: Sequence[tuple[Planned, State]]) -> Collected:
    """Group the runs of a model by arm, and choose the trial of each tuned arm."""
    arms: dict[str, Mapping[int, tuple[Planned, State]]] = {}
    halves: dict[str, Mapping[int, tuple[Planned, State]]] = {}
    tuning: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for arm in study.arms:
        of_arm = [pair for pair in every if pair[0].arm == arm.name]
        judged = [pair for pair in of_arm if pair[0].half is None]
        halves[arm.name] = {pair[0].half: pair for pair in of_arm if pair[0].half is not None}
        if not arm.trials:
            arms[arm.name] = {planned.job.seed: (planned, state) for planned, state in judged}
            continue
        trials = [TrialRuns(t, {p.job.seed: (p, s) for p, s in judged if p.trial == t}) for t in arm.trials]
        chosen, remarks = choose(trials)
        arms[arm.name] = chosen.runs if chosen else {}
        tuning += [trial.row(arm.name, chosen=trial is chosen) for trial in trials]
        problems += [f"{model}, {arm.name}: {what}" for what in remarks]
    return Collected(model, arms, halves, every, tuning, problems)


def comparable(collected: Collected, reference: str) -> tuple[dict[str, list[int]], list[str]]:
    """Select runs that can be compared: the same seeds in every arm.

    Args:
        collected: the runs of a model.
        reference: the arm to compare with; it is dropped last.

    Returns:
        Seeds by arm, and remarks on what was left out.
    """
    seeds, problems = in_common(collected.arms, reference, "seed")
    return seeds, [*collected.problems, *[f"{collected.model}: {what}" for what in problems]]


def in_common(
    arms: Mapping[str, Mapping[int, tuple[Planned, State]]], reference: str, what: Literal["seed", "half"]
) -> tuple[dict[str, list[int]], list[str]]:
    """Select the seeds or halves that are finished in all arms.

    Arms without a finished run are dropped. While the remaining arms have no number in common, the arm with
    the fewest finished runs is dropped.

    Args:
        arms: arm -> number -> the run and its status.
        reference: the arm to compare with; it is dropped last.
        what: the meaning of the numbers.

    Returns:
        Numbers by arm, and remarks on what was left out.
    """
    every = {arm: _finished(runs) for arm, runs in arms.items()}
    planned = {arm: len(runs) for arm, runs in arms.items()}
    problems = [f"no run of {arm} is finished, so it is left out." for arm, done in every.items() if not done]
    left = {arm: done for arm, done in every.items() if done}
    while len(left) > 1 and not _common(left):
        fewest = min((arm for arm in left if arm != reference), key=lambda arm: len(left[arm]))
        problems.append(f"no {what} of {fewest} is finished in all other arms, so it is left out.")
        del left[fewest]
    common = _common(left)
    if any(len(common) < planned[arm] for arm in left):
        short = {arm: len(done) for arm, done in left.items() if len(done) < planned[arm]}
        shortfalls = ", ".join(f"{arm} has {n} of {planned[arm]}" for arm, n in short.items())
        problems.append(
            f"not every run is finished ({shortfalls}), so only the {_PLURAL[what]} that all arms have are "
            f"judged: {', '.join(map(str, common))}."
        )
    return dict.fromkeys(left, common), problems


def tables(
    collected: Collected, seeds: Mapping[str, Sequence[int]], runs: Runs, task: str
) -> dict[str, list[Path]]:
    """List the tables to judge, by arm."""
    name = TABLES.get(task, PREDICTIONS)
    return {
        arm: [runs.folder(collected.arms[arm][seed][0].run_id) / name for seed in chosen]
        for arm, chosen in seeds.items()
    }


def costs(collected: Collected) -> list[dict[str, Any]]:
    """Summarise the cost of training: one row per arm, over its finished runs that recorded it."""
    rows = []
    for arm, by_seed in collected.arms.items():
        facts = [s.record["facts"] for _, s in by_seed.values() if s.status == "finished" and s.record]
        facts = [f for f in facts if set(f) >= _COSTS and {"train", "total"} <= set(f["seconds"])]
        if not facts:
            continue
        rows.append(
            {
                "arm": arm,
                "runs": len(facts),
                "parameters": facts[0]["parameters"],
                "trainable_parameters": facts[0]["trainable_parameters"],
                "seconds": fmean(f["seconds"]["train"] for f in facts),
                "seconds_total": sum(f["seconds"]["total"] for f in facts),
                "peak_memory_bytes": max(f["peak_memory_bytes"] for f in facts),
            }
        )
    return rows


def curves(collected: Collected, runs: Runs) -> tuple[list[dict[str, Any]], list[str]]:
    """Read training curves: one row per finished run that trained, and remarks on unreadable logs."""
    rows, left_out = [], []
    for arm, by_seed in collected.arms.items():
        for seed, (planned, state) in by_seed.items():
            log = runs.folder(planned.run_id) / LOG
            if state.status != "finished":
                continue
            try:
                steps, checked = _log(log)
            except FileNotFoundError:
                steps, checked = [], []
                if state.record and state.record["facts"].get("steps"):
                    left_out.append(f"{log} is missing, so the curve of {planned.title} is left out.")
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                left_out.append(f"{log} is damaged, so the curve of {planned.title} is left out.")
                continue
            if steps or checked:
                rows.append({"arm": arm, "run": str(seed), "points": _thinned(steps), "validation": checked})
    return rows, left_out


def _log(path: Path) -> tuple[list[tuple[float, float]], list[dict[str, Any]]]:
    """Read (epoch, loss) of every step, and the validation measures after epochs.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: a line is incomplete or is not a line of a log.
    """
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        raise ValueError("the last line is incomplete")
    lines = [json.loads(line) for line in text.split("\n") if line]
    steps = [(_number(x["epoch"]), _number(x["loss"])) for x in lines if "validation" not in x]
    checked = [
        {
            "epoch": _number(x["epoch"]),
            **{k: v if v is None else _number(v) for k, v in x["validation"].items()},
        }
        for x in lines
        if "validation" in x
    ]
    return steps, checked


def _number(value: Any) -> float:  # noqa: ANN401  (any JSON value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a number")
    return value


def lost_models(models: Sequence[Collected]) -> list[str]:
    """Remark on runs whose saved model is incomplete: their predictions are judged anyway."""
    return [
        f"Files of the saved model of {planned.title} are missing ({state.lost}); its predictions are judged."
        for collected in models
        for planned, state in collected.every
        if state.lost
    ]


def remarks(models: Sequence[Collected]) -> list[str]:
    """List the remarks of finished runs, each remark once."""
    return list(
        dict.fromkeys(
            remark
            for collected in models
            for by_seed in collected.arms.values()
            for _, state in by_seed.values()
            if state.status == "finished" and state.record
            for remark in state.record["facts"].get("remarks", ())
        )
    )


def last_line(error: str) -> str:
    """Return the last line of a traceback, which contains the error message."""
    lines = [line.strip() for line in error.split("\n") if line.strip()]
    return lines[-1] if lines else "unknown reason"


def _finished(runs: Mapping[int, tuple[Planned, State]]) -> list[int]:
    """Return the numbers of finished runs."""
    return [number for number, (_, state) in runs.items() if state.status == "finished"]


def _common(seeds: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the seeds that all arms have, in order."""
    every = list(seeds.values())
    return [seed for seed in every[0] if all(seed in other for other in every[1:])] if every else []


def _thinned(steps: Sequence[tuple[float, float]]) -> list[dict[str, float]]:
    """Average blocks of equally many steps; each point has the epoch of its last step."""
    size = -(-len(steps) // MAX_CURVE_POINTS) or 1
    blocks = [steps[i : i + size] for i in range(0, len(steps), size)]
    return [{"epoch": block[-1][0], "loss": fmean(loss for _, loss in block)} for block in blocks]
