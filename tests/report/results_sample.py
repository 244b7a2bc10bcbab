"""The sample study with all that a study of scores and many groups has: bins, slopes along sizes, trials."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import study_sample
from scipy.special import expit

from evenhand.judge.across_arms.group_size import size_trends
from evenhand.judge.across_arms.trends import Series
from evenhand.judge.core.reliability import reliability
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Arm, Attribute, Columns, Predictions

ARMS = (
    *("full", "head_only", "lora[rank=1]", "lora[rank=8]"),
    *("lora[rank=2,layer_fraction=0.25]", "lora[rank=2,layer_fraction=0.75]"),
)
SERIES = (
    Series("lora", "rank", (1.0, 8.0), ARMS[2:4]),
    Series("lora[rank=2]", "layer_fraction", (0.25, 0.75), ARMS[4:]),
)
RACES, SHARES = ("White", "Black", "Asian", "Latino", "Indian", "Few"), (0.4, 0.25, 0.18, 0.1, 0.065, 0.005)
SETTINGS = Settings(
    reference="full",
    metrics=(
        *("accuracy", "true_positive_rate", "brier_score", "expected_calibration_error"),
        *("demographic_parity_difference", "equalized_odds_difference", "accuracy_difference"),
        "expected_calibration_error_difference",
    ),
    primary=("accuracy", "true_positive_rate"),
)


def predictions(runs: int = 2, rows: int = 1200) -> Predictions:
    """Scores of six arms; the smallest group has too few rows to be judged."""
    rng = np.random.default_rng(12)
    race = rng.choice(len(RACES), rows, p=SHARES)
    label = (rng.random(rows) < 0.4).astype(np.int64)
    ease = rng.normal(0, 1.3, rows)
    arms = []
    for index, name in enumerate(ARMS):
        logit = (2 * label - 1) * (1.5 - 0.15 * index * (race > 1)) + ease + rng.normal(0, 0.3, (runs, rows))
        score = expit(1.2 * logit)
        batch = np.stack([1 - score, score], axis=-1)
        arms.append(Arm(name, tuple(str(r) for r in range(runs)), (score > 0.5).astype(np.int64), batch))
    one = np.ones(rows)
    by = (Attribute("race", "partition", RACES, race),)
    return Predictions(("male", "female"), 1, label, tuple(arms), by, one, one, one)


@cache
def _text(runs: int) -> str:
    scores = predictions(runs)
    audit = judge_predictions(scores, Columns(by=("race",), arm="arm", run="run"), SETTINGS).to_dict()
    document = study_sample.one_model()
    document["dataset"] |= {"name": "utkface", "title": "Faces"}
    trials = [{"learning_rate": rate, "epochs": epochs} for rate, epochs in ((1e-4, 2), (3e-4, 4))]
    document["models"][0] |= {
        "audit": audit,
        "trends": [],
        "series": [asdict(series) for series in SERIES],
        "curves": [],
        "cost": [],
        "reliability": reliability(scores, SETTINGS),
        "sizes": size_trends(audit["comparisons"]),
        "tuning": [
            {
                "arm": arm, "trial": t, "accuracy": 0.7 + 0.02 * k, "loss": 0.6 - 0.05 * k, "runs": runs,
                "chosen": k == 1,
            }
            for arm in ARMS[2:4]
            for k, t in enumerate(trials)
        ],
    }  # fmt: skip
    document["verdict"] = audit["verdict"]
    return json.dumps(study_sample._plain(document))


def document(runs: int = 2) -> dict[str, Any]:
    """One model of a study of images."""
    result: dict[str, Any] = json.loads(_text(runs))
    return result


def hostile(name: str) -> dict[str, Any]:
    """The same with a name wherever a file's or a user's word can stand."""

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("Black", name).replace("head_only", name).replace("female", name)
        if isinstance(value, dict):
            return {k.replace("epochs", name): renamed(v) for k, v in value.items()}
        return [renamed(v) for v in value] if isinstance(value, list) else value

    result: dict[str, Any] = renamed(document())
    for row in result["models"][0]["sizes"]:
        row["reason"] = name
    for row in result["models"][0]["tuning"]:
        row["trial"]["warmup"] = name
    return result
