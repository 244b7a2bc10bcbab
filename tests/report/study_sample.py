"""A document `evenhand.study/1`, really judged: two bases, five arms, five runs, four groups, drawn rows.

The lower the rank, the worse `lora` is for race=Black (on the weak base more than on the strong one);
race=Other is small.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit

from evenhand.judge.across_arms.trends import Series, interactions, trends
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Arm, Attribute, Columns, Input, Predictions

ARMS = ("full", "head_only", "lora[rank=1]", "lora[rank=8]", "lora[rank=64]")
BY_RANK = Series("lora", "rank", (1.0, 8.0, 64.0), ARMS[2:])
RUNS = ("13", "42", "666", "888", "1337")
RACES, SHARES = ("White", "Black", "Asian", "Other"), (0.5, 0.3, 0.18, 0.02)
MODELS = ("tiny_text[pretraining=weak]", "tiny_text[pretraining=strong]")
PRIMARY = ("accuracy", "true_positive_rate", "false_positive_rate")
SETTINGS = Settings(
    reference="full", primary=PRIMARY, metrics=(*PRIMARY, "selection_rate", "accuracy_difference")
)
#: Change of the logit of a right answer for race=Black, per arm.
PLANTED = {"head_only": -0.9, "lora[rank=1]": -0.8, "lora[rank=8]": -0.45, "lora[rank=64]": -0.05}


def predictions(rows: int = 6000) -> Predictions:
    """The arms of both bases over the same rows, `model / arm`."""
    rng = np.random.default_rng(7)
    race = rng.choice(len(RACES), rows, p=SHARES)
    label = (rng.random(rows) < 0.35).astype(np.int64)
    ease = rng.normal(1.6, 1.6, rows)
    arms = []
    for model, extra in zip(MODELS, (1.3, 0.6), strict=True):
        for arm in ARMS:
            shift = PLANTED.get(arm, 0.0) * extra * (race == 1) - 0.1 * (arm == "head_only")
            logit = ease + shift + rng.normal(0, 0.05, (len(RUNS), 1))
            right = rng.random((len(RUNS), rows)) < expit(3 * logit)
            arms.append(Arm(f"{model} / {arm}", RUNS, np.where(right, label, 1 - label)))
    one = np.ones(rows)
    by = (Attribute("race", "partition", RACES, race),)
    return Predictions(("0", "1"), 1, label, tuple(arms), by, one, one, one)


def _of(model: str, full: Predictions) -> Predictions:
    arms = tuple(
        Arm(a.name.split(" / ")[1], a.runs, a.prediction) for a in full.arms if a.name.startswith(model)
    )
    rows = len(full.label)
    inputs = tuple(
        Input(a.name, f"runs/{a.name}-{r}/predictions.parquet", "0" * 64, rows, 1) for a in arms for r in RUNS
    )
    return Predictions(
        full.classes, 1, full.label, arms, full.attributes, full.count, full.weight,
        full.weight_squared, inputs=inputs,
    )  # fmt: skip


def _cost(arm: str) -> dict[str, Any]:
    part = {"full": 1_208_834, "head_only": 514}.get(arm) or 3_072 * int(arm.split("=")[1][:-1])
    seconds = {"full": 31.4, "head_only": 1.2}.get(arm, 24.8)
    return {
        "arm": arm, "runs": len(RUNS), "parameters": 1_208_834, "trainable_parameters": part,
        "seconds": seconds, "seconds_total": seconds * len(RUNS),
        "peak_memory_bytes": 612_000_000 + 16 * part,
    }  # fmt: skip


def _curve(arm: str, run: str, draw: np.random.Generator) -> dict[str, Any]:
    epochs, steps = (2, 120) if arm == "full" else (4, 240)
    floor = 0.42 + 0.05 * ARMS.index(arm)
    at = np.linspace(0, epochs, steps + 1)[1:]
    loss = floor + (0.7 - floor) * np.exp(-1.5 * at) + draw.normal(0, 0.02, steps)
    validation = [
        {
            "epoch": float(e),
            "loss": float(floor + 0.3 * np.exp(-e)),
            "accuracy": float(0.85 - 0.2 * np.exp(-e) + draw.normal(0, 0.01)),
        }
        for e in range(1, epochs + 1)
    ]
    points = [{"epoch": float(e), "loss": float(v)} for e, v in zip(at, loss, strict=True)]
    return {"arm": arm, "run": run, "points": points, "validation": validation}


@cache
def _text() -> str:
    full = predictions()
    draw = np.random.default_rng(1)
    models = []
    for model in MODELS:
        of_arm = _of(model, full)
        audit = judge_predictions(of_arm, Columns(by=("race",), arm="arm", run="run"), SETTINGS)
        models.append(
            {
                "model": model,
                "audit": audit.to_dict(),
                "trends": trends(of_arm, [BY_RANK], SETTINGS),
                "series": [asdict(BY_RANK)],
                "cost": [_cost(a) for a in ARMS],
                "curves": [_curve(a, r, draw) for a in ARMS for r in RUNS],
            }
        )
    names = {m: {a: f"{m} / {a}" for a in ARMS} for m in MODELS}
    counts = {
        v: sum(m["audit"]["verdict"]["counts"][v] for m in models)
        for v in ("harm", "harmless", "help", "undecided")
    }
    worst = models[0]["audit"]["verdict"]["worst"]
    result = {
        "schema": "evenhand.study/1", "evenhand": "0.1.0", "created": "2026-01-02T03:04:05+00:00",
        "name": "posts-by-race", "description": "Does the rank of LoRA matter to small groups?",
        "dataset": {
            "name": "synthetic_posts", "title": "Short posts about groups (drawn)", "rows": 30000,
            "parts": {"train": 21000, "validation": 3000, "test": 6000},
            "problems": ["12 rows have no race and are in no group of race."],
        },
        "models": models,
        "interactions": interactions(full, names, SETTINGS),
        "failed": [
            {
                "run_id": "3f2a9c", "model": MODELS[1], "arm": "lora[rank=64]", "run": "7",
                "error": "OutOfMemoryError: 2.1 GB",
            },
        ],
        "problems": ["lora[rank=64]: run 7 failed and is left out."],
        "verdict": {
            "counts": counts, "worst": worst,
            "sentence": f"Over {len(models)} models, {counts['harm']} comparisons show harm.",
        },
    }  # fmt: skip
    return json.dumps(_plain(result))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def document() -> dict[str, Any]:
    """Two models."""
    result: dict[str, Any] = json.loads(_text())
    return result


def one_model() -> dict[str, Any]:
    """The first model alone, nothing failed; the study's sentence is its audit's."""
    full = document()
    full["models"] = full["models"][:1]
    full |= {"interactions": [], "failed": [], "problems": []}
    full["verdict"] = copy.deepcopy(full["models"][0]["audit"]["verdict"])
    return full


def hostile(name: str) -> dict[str, Any]:
    """One model's document with a name wherever a file's, a user's or an error's word can stand."""

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("Black", name).replace("lora", f"{name}lora").replace("tiny_text", name)
        if isinstance(value, dict):
            return {k: renamed(v) for k, v in value.items()}
        return [renamed(v) for v in value] if isinstance(value, list) else value

    result: dict[str, Any] = renamed(document() | {"models": document()["models"][:1]})
    result |= {"name": name, "description": name, "problems": [name]}
    result["dataset"] |= {"name": name, "title": name, "problems": [name], "parts": {name: 3}}
    result["verdict"]["sentence"] = name
    for row in result["failed"]:
        row |= dict.fromkeys(("run_id", "run", "error"), name)
    for row in [*result["interactions"], *(t for m in result["models"] for t in m["trends"])]:
        row |= {"reason": name, "interval": name, "class": name}
    return result
