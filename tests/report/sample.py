"""A realistic `evenhand.audit/1` document, made by hand: two candidates against a reference, five races (one
too small, one without positives), memberships, an intersection, all verdicts."""

from __future__ import annotations

import copy
import random
from typing import Any

METRICS = {
    "accuracy": 1,
    "true_positive_rate": 1,
    "false_positive_rate": -1,
    "selection_rate": 0,
    "log_loss": -1,
}
GROUPS: list[tuple[str | None, str | None, int]] = [
    (None, None, 4210),
    ("race", "White", 2011),
    ("race", "Black", 812),
    ("race", "Asian", 391),
    ("race", "Native", 61),
    ("race", "Pacific", 6),
    ("target_religion_", "muslim", 640),
    ("target_religion_", "jewish", 512),
    ("race x sex", "White x F", 1003),
    ("race x sex", "Black x F", 418),
    ("race x sex", "Black x M", 394),
]
PRIMARY = ("accuracy", "true_positive_rate", "false_positive_rate")
CANDIDATES = ("lora[rank=8]", "lora[rank=64]")
MARGIN = 0.02


def _status(group: str | None, metric: str) -> tuple[str, str | None]:
    if group == "Pacific":
        return "too_small", "6 rows, fewer than 10"
    if group == "Native" and metric == "true_positive_rate":
        return "undefined", "no row with a positive label"
    return "ok", None


def _verdict(low: float, high: float, margin: float) -> str:
    if low > 0 and high >= margin:
        return "harm"
    if high < 0 and low <= -margin:
        return "help"
    return "harmless" if high < margin else "undecided"


def _comparison(
    candidate: str, where: tuple[str | None, str | None, int], metric: str, draw: random.Random
) -> dict[str, Any]:
    attribute, group, n = where
    status, reason = _status(group, metric)
    way = METRICS[metric]
    half = 1.1 / n**0.5
    loss = draw.gauss(0.0, 0.012) + (
        0.07 if group and group.startswith("Black") and metric != "log_loss" else 0.0
    )
    if (candidate, group, metric) == (CANDIDATES[1], "White", "accuracy"):
        loss = -0.06
    if (group, metric) == (None, "accuracy"):
        loss, half = 0.008, 0.005
    low, high = loss - half, loss + half
    primary = metric in PRIMARY
    judged = primary and way != 0 and status == "ok"
    verdict = _verdict(low, high, MARGIN) if judged else None
    plain = (-loss, -high, -low) if way > 0 else (loss, low, high)
    nothing = status != "ok"
    undecided = verdict == "undecided"
    return {
        "reference": "full", "candidate": candidate, "attribute": attribute, "group": group, "class": None,
        "metric": metric, "family": "primary" if primary else "exploratory",
        "difference": None if nothing else plain[0], "low": None if nothing else plain[1],
        "high": None if nothing else plain[2], "level": 0.95,
        "interval": None if nothing else "simultaneous score interval (Šidák)",
        "p_value": None if nothing else 0.004, "p_adjusted": None if nothing else 0.031,
        "margin": MARGIN if metric != "log_loss" else None, "verdict": verdict,
        "equivalent": verdict == "harmless" and low > -MARGIN, "beyond_margin": judged and low >= MARGIN,
        "minimum_detectable": 2 * half if undecided else None,
        "rows_to_settle": int(n * (half / 0.01) ** 2) if undecided else None,
        "runs_to_settle": None, "n": n,
        "n_right_to_wrong": int(n * 0.04 + 20 * max(loss, 0) * 10), "n_wrong_to_right": int(n * 0.03),
        "runs": 3, "unit": "rows", "status": status, "reason": reason,
    }  # fmt: skip


def _rate(
    arm: str, where: tuple[str | None, str | None, int], metric: str, draw: random.Random
) -> dict[str, Any]:
    attribute, group, n = where
    status, reason = _status(group, metric)
    base = {"accuracy": 0.81, "true_positive_rate": 0.72, "false_positive_rate": 0.14, "selection_rate": 0.33}
    value = base.get(metric, 0.42) + draw.gauss(0, 0.03)
    half = 0.9 / n**0.5
    defined = status != "undefined"
    return {
        "input": arm, "attribute": attribute, "group": group, "class": None, "metric": metric,
        "value": value if defined else None, "low": max(value - half, 0.0) if defined else None,
        "high": min(value + half, 1.0) if defined else None, "level": 0.95, "n": n,
        "n_positive": 0 if group == "Native" else n // 3, "runs": 3, "unit": "rows", "status": status,
        "reason": reason, "interval": "Wilson, pointwise" if defined else None,
    }  # fmt: skip


def _disparity(arm: str, attribute: str, metric: str, draw: random.Random) -> dict[str, Any]:
    groups = [str(g) for a, g, _ in GROUPS if a == attribute]
    gone = [g for g in groups if g == "Pacific" or (g == "Native" and "odds" in metric)]
    value = 0.06 + abs(draw.gauss(0, 0.03))
    return {
        "input": arm, "attribute": attribute, "class": None, "metric": metric, "value": value,
        "low": max(value - 0.05, 0.0), "high": value + 0.07, "level": 0.95,
        "groups_used": [g for g in groups if g not in gone],
        "groups_left_out": [{"group": g, "reason": "6 rows, fewer than 10"} for g in gone],
        "runs": 3, "unit": "rows", "status": "ok", "reason": None,
        "interval": "simultaneous over pairs of groups",
    }  # fmt: skip


def document() -> dict[str, Any]:
    """Three arms, three runs each."""
    draw = random.Random(7)
    comparisons = [_comparison(c, w, m, draw) for m in METRICS for c in CANDIDATES for w in GROUPS]
    comparisons += [
        {
            **_comparison(c, ("race", None, 4210), "accuracy", draw),
            "metric": "equalized_odds_difference", "family": "exploratory", "verdict": None,
            "n_right_to_wrong": None, "n_wrong_to_right": None,
        }
        for c in CANDIDATES
    ]  # fmt: skip
    counts = {
        v: sum(c["verdict"] == v for c in comparisons) for v in ("harm", "harmless", "help", "undecided")
    }
    arms = ("full", *CANDIDATES)
    worst = max((c for c in comparisons if c["verdict"] == "harm"), key=lambda c: abs(c["difference"]))
    return {
        "schema": "evenhand.audit/1",
        "evenhand": "0.1.0",
        "created": "2025-11-23T22:10:05+00:00",
        "settings": {
            "reference": "full", "metrics": [], "primary": list(PRIMARY), "margin": MARGIN, "margins": {},
            "alpha": 0.05, "min_group_size": 10, "rng": 0,
            "by": ["race"], "memberships": ["target_religion_*"],
            "intersect": [["race", "sex"]],
        },
        "inputs": [
            {"name": a, "path": f"results/{a}.parquet", "sha256": f"{i}" * 64, "rows": 4210, "runs": 3}
            for i, a in enumerate(arms)
        ],
        "rates": [_rate(a, w, m, draw) for m in METRICS for a in arms for w in GROUPS],
        "disparities": [
            _disparity(a, attribute, m, draw)
            for attribute in ("race", "race x sex")
            for m in ("demographic_parity_difference", "equalized_odds_difference", "accuracy_difference")
            for a in arms
        ],
        "comparisons": comparisons,
        "verdict": {
            "counts": counts,
            "worst": worst,
            "sentence": (
                f"Compared with full, {counts['harm']} of {sum(counts.values())} comparisons show harm, "
                "the largest to race x sex=Black x M (these runs, not the method)."
            ),
        },
        "problems": ["results/full.parquet: 12 rows have no race and are in no group of race."],
    }  # fmt: skip


def one_arm() -> dict[str, Any]:
    """A single arm: rates and disparities, nothing to compare."""
    full = document()
    return {
        **full,
        "inputs": full["inputs"][:1],
        "rates": [r for r in full["rates"] if r["input"] == "full"],
        "disparities": [r for r in full["disparities"] if r["input"] == "full"],
        "comparisons": [],
        "verdict": {
            "counts": {"harm": 0, "harmless": 0, "help": 0, "undecided": 0},
            "worst": None,
            "sentence": "One arm, full: rates and disparities by group; there is nothing to compare it with.",
        },
    }


def hostile(name: str) -> dict[str, Any]:
    """The document with a name from a file put wherever a file's or a user's word can stand."""
    result = copy.deepcopy(document())
    for row in [*result["rates"], *result["comparisons"]]:
        if row["group"] == "Black":
            row["group"] = name
    for row in [*result["disparities"], *result["comparisons"]]:
        for key in ("groups_used", "groups_left_out"):
            row[key] = [name, *row.get(key, [])]
        if row["attribute"] == "race x sex":
            row["attribute"] = f"{name} x sex"
    for row in [*result["rates"], *result["disparities"]]:
        row["input"] = row["input"].replace("lora", name)
    for row in result["comparisons"]:
        row["candidate"] = row["candidate"].replace("lora", name)
        row["class"] = name
        row["reason"] = name
    result["inputs"][0].update(name=name, path=name, sha256=name)
    result["settings"]["primary"] = [*PRIMARY, name]
    result["settings"]["by"] = [name]
    result["problems"] = [name]
    result["verdict"]["sentence"] = name
    return result
