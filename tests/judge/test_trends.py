"""Trends and interactions: worlds with known truth, and the same numbers found another way."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.errors import CallError
from evenhand.judge.across_arms.contrasts import Contrast, contrast_rows
from evenhand.judge.across_arms.trends import Series, interactions, load_bases, trends
from evenhand.judge.core.estimates import groups_of, observe
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.pairs import compare_arms
from evenhand.judge.metrics import f1
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Columns
from tests.judge.arms import draw, mean_accuracy

RANKS = (1.0, 4.0, 8.0, 64.0)
LORA = Series("lora", "rank", RANKS, tuple(f"lora[rank={r:g}]" for r in RANKS))
ACCURACY = Settings(primary=("accuracy",))
TREND = {
    "attribute", "group", "class", "metric", "method", "parameter", "values", "slope", "low", "high", "level",
    "interval", "p_value", "p_adjusted", "n", "runs", "unit", "status", "reason",
}  # fmt: skip
INTERACTION = {
    "attribute", "group", "class", "metric", "arm", "reference", "model_low", "model_high", "difference",
    "low", "high", "level", "interval", "p_value", "p_adjusted", "n", "runs", "unit", "status", "reason",
}  # fmt: skip


def world(slope, *, sizes=(400, 400), seed=0, middle=0.8, **options):
    """A reference and four ranks whose accuracy in the last group rises by `slope` per doubling."""
    rise = slope * (np.log2(RANKS) - np.log2(RANKS).mean())
    flat = [middle] * (len(sizes) - 1)
    accuracy = {"full": [*flat, middle]} | {
        a: [*flat, middle + r] for a, r in zip(LORA.arms, rise, strict=True)
    }
    return draw(accuracy, sizes, np.random.default_rng(seed), **options)


def at(rows, group, metric="accuracy"):
    return next(r for r in rows if r["group"] == group and r["metric"] == metric)


def test_a_planted_slope_is_detected_in_its_group():
    rows = trends(world(0.02, sizes=(4000, 4000)), [LORA], ACCURACY)
    row = at(rows, "g1")
    assert set(row) == TREND
    assert row["low"] < 0.02 < row["high"]
    assert row["low"] > 0
    assert row["p_adjusted"] < 0.05
    assert at(rows, "g0")["low"] < 0 < at(rows, "g0")["high"]
    assert at(rows, None)["slope"] == pytest.approx(0.01, abs=0.004)
    assert (row["method"], row["parameter"]) == ("lora", "rank")
    assert row["values"] == list(RANKS)
    json.dumps(rows)


@pytest.mark.parametrize("runs", [1, 5])
def test_the_slope_is_the_least_squares_slope_of_each_run(runs):
    p = world(0.01, runs=runs, sigma=0.2 * (runs > 1), seed=3)
    row = at(trends(p, [LORA], ACCURACY), "g1")
    rows = p.attributes[0].codes == 1
    each = np.array([(arm.prediction[:, rows] == p.label[rows]).mean(axis=1) for arm in p.arms[1:]])
    slopes = [np.polyfit(np.log2(RANKS), each[:, s], 1)[0] for s in range(runs)]
    assert row["slope"] == pytest.approx(np.mean(slopes))
    less = [np.polyfit(np.log2(RANKS), each[:, s] - 0.37, 1)[0] for s in range(runs)]
    assert np.allclose(slopes, less), "the reference cancels"
    if runs == 5:
        pair = pair_of(p, Contrast("x", weights_of(RANKS)), "g1")
        assert pair["unit"] == "rows and runs"
        assert half_of(pair) > 2.77 * np.std(slopes, ddof=1) / np.sqrt(5), "t of 4 degrees, and rows on top"


def weights_of(values):
    x = np.log2(values)
    x = x - x.mean()
    return dict(zip(LORA.arms, x / (x**2).sum(), strict=True))


def pair_of(p, contrast, group, settings=ACCURACY):
    return at([row.to_dict() for _, row in contrast_rows(p, [contrast], settings)], group)


def half_of(row):
    return (row["high"] - row["low"]) / 2


def test_a_slope_by_hand():
    """Three ranks, right on 10, 20 and 40 of 100 rows: slope (40 - 10) / 100 / (log2 4 - log2 1) = .15."""
    label = np.ones(100, dtype=np.int64)
    answers = [np.arange(100) < k for k in (10, 20, 40)]
    p = draw({"a": [0.5], "b": [0.5], "c": [0.5]}, (100,), np.random.default_rng(0))
    arms = tuple(
        dataclasses.replace(arm, prediction=a[None].astype(np.int64))
        for arm, a in zip(p.arms, answers, strict=True)
    )
    p = dataclasses.replace(p, label=label, arms=arms)
    row = at(trends(p, [Series("m", "r", (1.0, 2.0, 4.0), ("a", "b", "c"))], ACCURACY), "g0")
    assert row["slope"] == pytest.approx(0.15)
    # 30 rows moved by 1/2, 70 by 0: variance of the mean (30/4/100 - .15^2) / 100
    spread = np.sqrt((0.075 - 0.0225) / 100)
    from scipy.stats import t

    # "g0" and the whole are the same rows: the family is one statistic, twice
    assert half_of(row) == pytest.approx(t.ppf(0.975, 29) * spread, rel=0.02)


@pytest.mark.parametrize("runs", [1, 5])
def test_two_arms_give_the_difference_of_the_audit(runs):
    """The contrast (+1, -1) of a metric that the audit compares by influence values."""
    p = world(0.02, runs=runs, sigma=0.1 * (runs > 1), seed=5)
    settings = Settings(primary=("f1",))
    name = LORA.arms[-1]
    rows = [r for _, r in contrast_rows(p, [Contrast(name, {name: 1.0, "full": -1.0})], settings)]
    two = dataclasses.replace(p, arms=(p.arms[0], p.arms[-1]))
    from evenhand.judge.core import families

    pairs = []
    for attribute in (None, p.attributes[0]):
        for group in groups_of(attribute, two):
            observed = [observe(f1, arm, group, two, 1) for arm in two.arms]
            m = PairedArms("f1", f1.INFO, None, group, *observed, *two.arms, two)
            pairs.append(compare_arms(m, 10, np.random.default_rng(0)))
    theirs = families.adjust_family(pairs, two, settings, "exploratory", "full")
    for ours, audit in zip(rows, theirs, strict=True):
        for key in ("difference", "low", "high", "p_value", "p_adjusted"):
            assert getattr(ours, key) == pytest.approx(getattr(audit, key), rel=1e-9), key
        for key in ("attribute", "group", "n", "runs", "unit", "status", "interval"):
            assert getattr(ours, key) == getattr(audit, key)


def test_paired_seeds_take_out_what_a_seed_does_to_all_arms():
    p = world(0.0, runs=6, sigma=0.5, shared=1.0, sizes=(2000,), seed=2)
    paired = at(trends(p, [LORA], ACCURACY), "g0")
    apart = tuple(dataclasses.replace(a, runs=tuple(f"{i}{r}" for r in a.runs)) for i, a in enumerate(p.arms))
    unpaired = at(trends(dataclasses.replace(p, arms=apart), [LORA], ACCURACY), "g0")
    assert paired["slope"] == unpaired["slope"]
    assert half_of(paired) < 0.5 * half_of(unpaired)


@pytest.mark.no_cover
@pytest.mark.parametrize("runs", [1, 5])
def test_intervals_hold_together_and_seldom_find_what_is_not_there(runs):
    """Simultaneous coverage of a family of 4 groups, all rows and 3 metrics where no arm has an effect."""
    rng, missed = np.random.default_rng(11), 0
    sigma = 0.15 * (runs > 1)
    accuracy = dict.fromkeys(("full", *LORA.arms), (0.8, 0.7, 0.8, 0.9))
    for _ in range(300):
        p = draw(accuracy, (60, 100, 200, 200), rng, runs=runs, sigma=sigma, shared=0.5)
        rows = [r for r in trends(p, [LORA], Settings()) if r["status"] == "ok"]
        missed += any(r["low"] > 0 or r["high"] < 0 for r in rows)
        assert all((r["p_adjusted"] < 0.05) == (r["low"] > 0 or r["high"] < 0) for r in rows)
    assert missed / 300 <= 0.08


@pytest.mark.no_cover
def test_intervals_hold_at_a_true_slope():
    rng, held, sigma = np.random.default_rng(12), 0, 0.2
    rise = 0.015 * (np.log2(RANKS) - np.log2(RANKS).mean())
    accuracy = {"full": [0.8, 0.8]} | {a: [0.8, 0.8 + r] for a, r in zip(LORA.arms, rise, strict=True)}
    means = [mean_accuracy(accuracy[a][1], sigma) for a in LORA.arms]
    true = {"g0": 0.0, "g1": np.polyfit(np.log2(RANKS), means, 1)[0]}
    for _ in range(300):
        p = draw(accuracy, (200, 200), rng, runs=5, sigma=sigma)
        rows = trends(p, [LORA], ACCURACY)
        held += all(at(rows, g)["low"] <= v <= at(rows, g)["high"] for g, v in true.items())
    assert held / 300 >= 0.93


def test_few_differing_rows_give_no_interval():
    p = world(0.0, sizes=(400, 8), seed=1)
    rows = trends(p, [LORA], Settings(min_group_size=5))
    assert at(rows, "g1")["status"] == "too_small"
    assert "fewer than 10" in at(rows, "g1")["reason"]
    assert at(rows, "g1")["slope"] is not None
    assert np.isnan(at(rows, "g1")["low"])
    assert at(trends(p, [LORA], Settings()), "g1")["reason"] == "8 rows, fewer than 10"


def test_equal_answers_are_no_differing_rows():
    """Weights that cancel only up to rounding must not make a row differ."""
    p = world(0.0, sizes=(300,))
    same = tuple(dataclasses.replace(a, prediction=p.arms[0].prediction) for a in p.arms)
    odd = Series("lora", "rank", (1.0, 3.0, 5.0, 11.0), LORA.arms)
    row = at(trends(dataclasses.replace(p, arms=same), [odd], ACCURACY), "g0")
    assert row["reason"].startswith("the arms differ on 0 rows")


def test_an_undefined_rate_says_why():
    p = world(0.0)
    p = dataclasses.replace(p, label=np.where(p.attributes[0].codes == 1, 0, p.label))
    row = at(trends(p, [LORA], Settings()), "g1", "true_positive_rate")
    assert (row["status"], row["reason"]) == ("undefined", "no rows with a positive label")
    assert np.isnan(row["slope"])


def test_rank_zero_is_left_out_with_a_reason():
    p = world(0.01, seed=4)
    from_zero = Series("lora", "rank", (0.0, *RANKS[1:]), LORA.arms)
    row = at(trends(p, [from_zero], ACCURACY), "g1")
    assert row["values"] == [4, 8, 64]
    assert row["reason"] == "rank 0 has no logarithm"
    assert row["status"] == "ok"
    assert trends(p, [Series("lora", "rank", (0.0, 4.0, 8.0), LORA.arms[:3])], ACCURACY) == []
    assert trends(p, [], ACCURACY) == []


def test_an_unknown_arm_is_reported_with_the_nearest():
    with pytest.raises(CallError, match=r"lora\[rank=4\]"):
        trends(
            world(0.0), [Series("lora", "rank", (1.0, 2.0, 4.0), ("full", "full", "lora[rank=5]"))], ACCURACY
        )


def test_a_primary_metric_of_scores_needs_scores():
    with pytest.raises(CallError, match="needs scores"):
        trends(world(0.0), [LORA], Settings(primary=("accuracy", "log_loss")))


def test_scores_are_judged_on_single_rows():
    p = world(0.02, sizes=(600, 600), seed=8)
    rng = np.random.default_rng(0)

    def scored(arm):
        positive = np.clip(
            0.5 + (arm.prediction - 0.5) * rng.uniform(0.2, 1, arm.prediction.shape), 0.01, 0.99
        )
        return dataclasses.replace(arm, score=np.stack([1 - positive, positive], axis=-1))

    p = dataclasses.replace(p, arms=tuple(map(scored, p.arms)))
    rows = trends(p, [LORA], Settings(primary=("accuracy", "brier_score", "expected_calibration_error")))
    assert {r["metric"] for r in rows} == {"accuracy", "brier_score"}
    alone = trends(p, [LORA], ACCURACY)
    assert at(rows, "g1")["slope"] == pytest.approx(at(alone, "g1")["slope"])
    assert at(rows, "g1", "brier_score")["high"] < 0


MODELS = {m: {a: f"{m} / {a}" for a in ("full", "lora")} for m in ("weak", "strong")}


def bases(gap, rng, *, sizes=(400, 400), **options):
    """`lora` is worse than `full` by `gap` in the last group, on the weak base only."""
    flat = [0.8] * (len(sizes) - 1)
    accuracy = {name: [*flat, 0.8] for arms in MODELS.values() for name in arms.values()}
    accuracy[MODELS["weak"]["lora"]] = [*flat, 0.8 - gap]
    return draw(accuracy, sizes, rng, **options)


def test_a_planted_interaction_is_detected_in_its_group():
    p = bases(0.1, np.random.default_rng(0), sizes=(3000, 3000))
    rows = interactions(p, MODELS, Settings(reference="full"))
    row = at(rows, "g1")
    assert set(row) == INTERACTION
    assert (row["arm"], row["reference"]) == ("lora", "full")
    assert (row["model_low"], row["model_high"]) == ("weak", "strong")
    assert 0 < row["low"] < 0.1 < row["high"]
    assert at(rows, "g0")["p_adjusted"] > 0.05
    right = {a.name: (a.prediction[0] == p.label)[p.attributes[0].codes == 1].mean() for a in p.arms}
    by_hand = (right["strong / lora"] - right["strong / full"]) - (
        right["weak / lora"] - right["weak / full"]
    )
    assert row["difference"] == pytest.approx(by_hand)


@pytest.mark.no_cover
@pytest.mark.parametrize("runs", [1, 5])
def test_interactions_hold_together(runs):
    rng, missed = np.random.default_rng(21), 0
    for _ in range(300):
        p = bases(0.0, rng, sizes=(60, 100, 200, 200), runs=runs, sigma=0.15 * (runs > 1), shared=0.5)
        rows = [r for r in interactions(p, MODELS, Settings()) if r["status"] == "ok"]
        missed += any(r["low"] > 0 or r["high"] < 0 for r in rows)
    assert missed / 300 <= 0.08


def test_one_model_or_no_common_arm_has_no_interaction():
    p = bases(0.0, np.random.default_rng(0))
    assert interactions(p, {"weak": MODELS["weak"]}, Settings()) == []
    alone = {"weak": MODELS["weak"], "strong": {"lora": "strong / lora"}}
    assert interactions(p, alone, Settings(reference="full")) == []
    with pytest.raises(CallError, match=r"'ful'.*full"):
        interactions(p, MODELS, Settings(reference="ful"))


def test_runs_of_several_models_are_loaded_as_one(tmp_path):
    rng = np.random.default_rng(3)
    p = bases(0.1, rng, runs=2)
    files = {}
    for model, arms in MODELS.items():
        for arm, name in arms.items():
            runs = next(a for a in p.arms if a.name == name)
            paths = []
            for run, answers in zip(("13", "42"), runs.prediction, strict=True):
                path = tmp_path / model / f"{arm}-{run}" / "predictions.parquet"
                path.parent.mkdir(parents=True)
                table = {
                    "example_id": [f"r{i}" for i in range(len(answers))],
                    "split": ["test"] * len(answers),
                }
                table |= {"label": p.label, "prediction": answers, "grp": p.attributes[0].codes}
                table |= {k: [v] * len(answers) for k, v in (("arm", arm), ("run", run), ("model", model))}
                pq.write_table(pa.table(table), path)
                paths.append(path)
            files.setdefault(model, {})[arm] = paths
    columns = Columns(by=("grp",), arm="arm", run="run")
    loaded, names = load_bases(files, columns, ACCURACY)
    assert names == MODELS
    assert {a.runs for a in loaded.arms} == {("13", "42")}
    predictions = at(interactions(loaded, names, Settings()), "1")
    assert predictions["difference"] == pytest.approx(
        at(interactions(p, MODELS, Settings()), "g1")["difference"]
    )
    assert predictions["runs"] == 2
    assert predictions["unit"] == "rows"


def test_names_with_blanks_are_not_confused():
    """Arm `a` on base `b c` and arm `a b` on base `c` are different contrasts."""
    p = world(0.02)
    names = [arm.name for arm in p.arms[:3]]
    models = {
        "low": {"full": names[0], "a": names[1], "a b": names[2]},
        "b c": {"full": names[0], "a": names[1]},
        "c": {"full": names[0], "a b": names[2]},
    }
    rows = interactions(p, models, Settings(reference="full"))
    assert {(r["arm"], r["model_high"]) for r in rows} == {("a", "b c"), ("a b", "c")}
