"""What the folders of finished runs say: which predictions to judge, what training cost, how it went."""

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
from evenhand.study.results.tuning import Tried, choose

#: A curve is drawn from at most so many points; more steps are averaged.
MOST_POINTS = 60
#: What a run that is finished says of its cost.
_COSTS = {"parameters", "trainable_parameters", "seconds", "peak_memory_bytes"}
_PLURAL = {"seed": "seeds", "half": "halves"}


@dataclass(frozen=True)
class Collected:
    """The runs of one model.

    Attributes:
        model: its label.
        arms: arm -> seed -> the run and how it stands, in the study's order; of an arm that is tuned the
            runs of the trial that was chosen, and none when none could be.
        halves: arm -> number of a half of the rows -> the run on it, and how that stands.
        every: all runs, those of every trial and on every half.
        tuning: the trials of the arms that are tuned, as rows of the document.
        problems: what stood against a choice.
    """

    model: str
    arms: Mapping[str, Mapping[int, tuple[Planned, State]]]
    halves: Mapping[str, Mapping[int, tuple[Planned, State]]] = field(default_factory=dict)
    every: Sequence[tuple[Planned, State]] = ()
    tuning: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[str] = ()


def collect(study: Study, runs: Runs) -> list[Collected]:
    """Look at every run that a study asks for."""
    states: dict[str, State] = {}
    found: dict[str, list[tuple[Planned, State]]] = {model.label: [] for model in study.models}
    for planned in plan(study):
        if planned.run_id not in states:
            states[planned.run_id] = runs.look(planned.run_id)
        found[planned.job.model.label].append((planned, states[planned.run_id]))
    return [_of_model(study, model, every) for model, every in found.items()]


def _of_model(study: Study, model: str, every: Sequence[tuple[Planned, State]]) -> Collected:
    """The runs of a model by arm, of each the trial that is judged."""
    arms: dict[str, Mapping[int, tuple[Planned, State]]] = {}
    halves: dict[str, Mapping[int, tuple[Planned, State]]] = {}
    tuning: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for arm in study.arms:
        own = [pair for pair in every if pair[0].arm == arm.name]
        of_arm = [pair for pair in own if pair[0].half is None]
        halves[arm.name] = {pair[0].half: pair for pair in own if pair[0].half is not None}
        if not arm.trials:
            arms[arm.name] = {planned.job.seed: (planned, state) for planned, state in of_arm}
            continue
        trials = [Tried(t, {p.job.seed: (p, s) for p, s in of_arm if p.trial == t}) for t in arm.trials]
        chosen, told = choose(trials)
        arms[arm.name] = chosen.runs if chosen else {}
        tuning += [one.row(arm.name, chosen=one is chosen) for one in trials]
        problems += [f"{model}, {arm.name}: {what}" for what in told]
    return Collected(model, arms, halves, every, tuning, problems)


def comparable(found: Collected, reference: str) -> tuple[dict[str, list[int]], list[str]]:
    """Which runs can be compared: of every arm the same seeds.

    Args:
        found: the runs of a model.
        reference: the arm to compare with; it is the last to be given up.

    Returns:
        Seeds by arm, and what had to be left out.
    """
    seeds, problems = in_common(found.arms, reference, "seed")
    return seeds, [*found.problems, *[f"{found.model}: {what}" for what in problems]]


def in_common(
    arms: Mapping[str, Mapping[int, tuple[Planned, State]]], reference: str, what: Literal["seed", "half"]
) -> tuple[dict[str, list[int]], list[str]]:
    """Of finished runs those that all arms have.

    Args:
        arms: arm -> number -> the run, and how it stands.
        reference: the arm to compare with; it is the last to be given up.
        what: the numbers are.

    Returns:
        Numbers by arm, and what had to be left out.
    """
    every = {arm: _finished(runs) for arm, runs in arms.items()}
    wanted = {arm: len(runs) for arm, runs in arms.items()}
    problems = [f"no run of {arm} is finished, so it is left out." for arm, done in every.items() if not done]
    left = {arm: done for arm, done in every.items() if done}
    while len(left) > 1 and not _common(left):
        fewest = min((arm for arm in left if arm != reference), key=lambda arm: len(left[arm]))
        problems.append(f"no {what} of {fewest} is finished in all other arms, so it is left out.")
        del left[fewest]
    common = _common(left)
    if any(len(common) < wanted[arm] for arm in left):
        told = ", ".join(
            f"{arm} has {len(done)} of {wanted[arm]}" for arm, done in left.items() if len(done) < wanted[arm]
        )
        problems.append(
            f"not every run is finished ({told}), so only the {_PLURAL[what]} are judged that all arms have: "
            f"{', '.join(map(str, common))}."
        )
    return dict.fromkeys(left, common), problems


def tables(
    found: Collected, seeds: Mapping[str, Sequence[int]], runs: Runs, task: str
) -> dict[str, list[Path]]:
    """The files to judge, by arm."""
    name = TABLES.get(task, PREDICTIONS)
    return {
        arm: [runs.folder(found.arms[arm][seed][0].run_id) / name for seed in chosen]
        for arm, chosen in seeds.items()
    }


def costs(found: Collected) -> list[dict[str, Any]]:
    """What training took: one row per arm, over its finished runs that say it."""
    rows = []
    for arm, by_seed in found.arms.items():
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


def curves(found: Collected, runs: Runs) -> tuple[list[dict[str, Any]], list[str]]:
    """How the loss fell: one row per finished run that trained anything, and which have no curve."""
    rows, left_out = [], []
    for arm, by_seed in found.arms.items():
        for seed, (planned, state) in by_seed.items():
            log = runs.folder(planned.run_id) / LOG
            if state.status != "finished":
                continue
            try:
                steps, checked = _log(log)
            except FileNotFoundError:
                steps, checked = [], []
                if state.record and state.record["facts"].get("steps"):
                    left_out.append(f"{log} is gone, so the curve of {planned.title} is left out.")
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                left_out.append(f"{log} is damaged, so the curve of {planned.title} is left out.")
                continue
            if steps or checked:
                rows.append({"arm": arm, "run": str(seed), "points": _thinned(steps), "validation": checked})
    return rows, left_out


def _log(path: Path) -> tuple[list[tuple[float, float]], list[dict[str, Any]]]:
    """(epoch, loss) of every step, and what was measured after epochs.

    Raises:
        ValueError: a line is not whole; or KeyError, TypeError, AttributeError, where it is none of a log.
    """
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        raise ValueError("the last line has no end")
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
        raise TypeError(f"{value!r} is no number")
    return value


def lost(all_found: Sequence[Collected]) -> list[str]:
    """Runs whose saved model is gone: their predictions are judged all the same."""
    return [
        f"What was saved of the model of {planned.title} is gone ({state.lost}); what it said is judged."
        for found in all_found
        for planned, state in found.every
        if state.lost
    ]


def remarks(all_found: Sequence[Collected]) -> list[str]:
    """What single runs remarked on, each remark once."""
    return list(
        dict.fromkeys(
            remark
            for found in all_found
            for by_seed in found.arms.values()
            for _, state in by_seed.values()
            if state.status == "finished" and state.record
            for remark in state.record["facts"].get("remarks", ())
        )
    )


def last_line(error: str) -> str:
    """The line of a traceback that says what went wrong."""
    lines = [line.strip() for line in error.split("\n") if line.strip()]
    return lines[-1] if lines else "no reason is known"


def _finished(runs: Mapping[int, tuple[Planned, State]]) -> list[int]:
    """Numbers of runs that are finished."""
    return [number for number, (_, state) in runs.items() if state.status == "finished"]


def _common(seeds: Mapping[str, Sequence[int]]) -> list[int]:
    """Seeds that all arms have, in order."""
    every = list(seeds.values())
    return [seed for seed in every[0] if all(seed in other for other in every[1:])] if every else []


def _thinned(steps: Sequence[tuple[float, float]]) -> list[dict[str, float]]:
    """Means of equally many neighbours, at the epoch of the last."""
    size = -(-len(steps) // MOST_POINTS) or 1
    blocks = [steps[i : i + size] for i in range(0, len(steps), size)]
    return [{"epoch": block[-1][0], "loss": fmean(loss for _, loss in block)} for block in blocks]
