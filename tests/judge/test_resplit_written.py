"""Translations of runs with different test rows: estimates by hand, and coverage of known truths."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from benchmarks.simulate.translations import World, draw

import evenhand
from evenhand.errors import CallError, TableError
from evenhand.judge.generative import translation_gender
from evenhand.judge.language.run import build_rows, settings_for
from evenhand.judge.settings import Settings
from evenhand.tables.answers.generations import load_generations
from evenhand.tables.schema import Columns
from tests.judge.answers import likelihoods

HE, SHE, THEY, NONE = "He left.", "She left.", "They left.", "The cook left."
#: run -> example -> (gold, what the reference wrote, what the candidate wrote)
RUNS = {
    "13": {
        "a": ("male", HE, HE),
        "b": ("female", HE, SHE),
        "c": ("female", NONE, THEY),
        "d": ("male", HE, SHE),
    },
    "42": {"d": ("male", SHE, HE), "e": ("female", HE, SHE)},
}
COLUMNS = Columns(arm="arm", run="run", resplit=True)


def table(runs=RUNS, arms=("full", "lora")):
    """Both arms' texts; examples a and b are of one template."""
    rows = [
        {
            "arm": arm, "run": run, "example_id": i, "template": "ab" if i in "ab" else i,
            "completion": texts[index], "gold_gender": gold,
            "references": [HE if gold == "male" else SHE], "stereotype": "pro" if i in "abe" else "anti",
        }
        for index, arm in enumerate(arms)
        for run, examples in runs.items()
        for i, (gold, *texts) in examples.items()
    ]  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}


def audit(data=None, **more):
    return evenhand.audit(data or table(), arm="arm", run="run", resplit=True, min_group_size=1, **more)


def row(rows, metric, **where):
    [result] = [r for r in rows if r["metric"] == metric and all(r[k] == v for k, v in where.items())]
    return result


def test_rows_of_a_run_are_read_with_the_others_marked():
    result = load_generations(table(), COLUMNS)
    assert result.there.tolist() == 2 * [[True, True, True, True, False], [False, False, False, True, True]]
    assert result.completions[1] == ("", "", "", SHE, HE)
    assert result.problems == ()  # texts that a run lacks are no empty completions


def test_the_estimate_is_the_mean_of_the_runs():
    result = audit()
    everyone = {"attribute": None, "group": None}
    # Run 13: full 2 of 4 right, lora 2 of 4. Run 42: full 0 of 2, lora 2 of 2.
    assert row(result.rates, "gender_accuracy", input="full", **everyone)["value"] == pytest.approx(1 / 4)
    assert row(result.rates, "gender_accuracy", input="lora", **everyone)["value"] == pytest.approx(3 / 4)
    compared = row(result.comparisons, "gender_accuracy", **everyone)
    assert compared["difference"] == pytest.approx(1 / 2)
    assert (compared["n"], compared["runs"], compared["unit"]) == (5, 2, "rows")
    assert "rows by run" in compared["interval"]
    assert result.to_dict()["settings"]["resplit"] is True
    # F1, male less female. Run 13: full 2*2/(3+2) - 0, lora 2*1/(1+2) - 2*1/(2+2). Run 42: 0 - 0 and 1 - 1.
    assert row(result.rates, "delta_g", input="full", **everyone)["value"] == pytest.approx(4 / 5 / 2)
    assert row(result.rates, "delta_g", input="lora", **everyone)["value"] == pytest.approx(
        (2 / 3 - 1 / 2) / 2
    )
    assert row(result.rates, "share_unknown", input="full", **everyone)["value"] == pytest.approx(1 / 4 / 2)


def test_a_difference_of_accuracies_is_of_each_runs_rows():
    """Pro minus anti. Run 13: full 1/2 - 1/2, lora 2/2 - 0/2. Run 42: 0 - 0, and 1 - 1."""
    result = audit()
    for arm, want in (("full", 0), ("lora", 1 / 2)):
        shown = row(result.rates, "delta_s", input=arm, attribute=None, group=None)
        assert shown["value"] == pytest.approx(want)


def test_answers_that_change_are_counted_within_a_run():
    """b turns right in run 13 and d wrong; in run 42 both turn right: d half and half."""
    compared = row(audit().comparisons, "gender_accuracy", group=None, attribute=None)
    assert (compared["n_wrong_to_right"], compared["n_right_to_wrong"]) == (2.5, 0.5)


def test_scores_of_a_corpus_are_those_of_each_runs_rows():
    sacrebleu = pytest.importorskip("sacrebleu")
    words = {"a": "the cook saw him today", "b": "the guard saw her here", "c": "they sat down at noon",
             "d": "his boss was late again", "e": "her nurse had gone home"}  # fmt: skip
    runs = {
        run: {i: (texts[0], words[i][:15], words[i].replace("the", "a")) for i, texts in examples.items()}
        for run, examples in RUNS.items()
    }
    data = table(runs)
    data["references"] = [[words[i]] for i in data["example_id"]]
    result = audit(data)
    for metric, peer in (("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)):
        for index, arm in enumerate(("full", "lora")):
            want = [
                peer([texts[1 + index] for texts in r.values()], [[words[i] for i in r]]).score
                for r in runs.values()
            ]
            shown = row(result.rates, metric, input=arm, group=None, attribute=None, **{"class": "gold"})
            assert shown["value"] == pytest.approx(np.mean(want), abs=1e-9)
            assert want[0] != want[1]


def test_the_jackknife_of_a_run_leaves_out_clusters_of_that_run():
    """The variance of a mean of runs: an example's parts in all runs are added, then squared."""
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(4)
    words = ["the", "cook", "saw", "a", "guard", "because", "she", "was", "late", "and", "her", "boss"]
    gold = {f"e{i:02d}": " ".join(rng.choice(words, 9)) for i in range(40)}
    runs = {}
    for run in ("1", "2"):
        mine = [i for i in gold if rng.random() < 0.6]
        runs[run] = {
            i: ("female", gold[i], " ".join(w for w in gold[i].split() if rng.random() < 0.8)) for i in mine
        }
    data = table(runs)
    data["template"] = data["example_id"]
    data["references"] = [[gold[i]] for i in data["example_id"]]
    result = row(audit(data).rates, "bleu", input="lora", group=None, attribute=None, **{"class": "gold"})
    part = dict.fromkeys(gold, 0.0)
    for examples in runs.values():
        score = {
            out: sacrebleu.corpus_bleu(
                [examples[i][2] for i in examples if i != out], [[gold[i] for i in examples if i != out]]
            ).score
            for out in examples
        }
        mean = np.mean(list(score.values()))
        for i, without in score.items():
            part[i] += (mean - without) * (len(examples) - 1) / len(examples) / 2
    there = [v for i, v in part.items() if any(i in examples for examples in runs.values())]
    spread = np.sqrt(np.sum(np.square(there)) * len(there) / (len(there) - 1))
    from scipy import stats

    half = stats.t.ppf(0.975, len(there) - 1) * spread
    assert (result["high"] - result["low"]) / 2 == pytest.approx(half, rel=1e-6)


def test_a_group_that_a_run_has_no_rows_of_is_undefined_with_a_reason():
    runs = {"1": RUNS["13"], "2": {"d": RUNS["42"]["d"]}}
    result = audit(table(runs))
    for metric in ("gender_accuracy", "chrf"):
        [first, *_] = [r for r in result.rates if r["metric"] == metric and r["group"] == "female"]
        assert (first["status"], first["value"], first["reason"]) == ("undefined", None, "no rows in a run")


def test_runs_of_equal_name_have_the_same_rows_in_all_arms():
    data = {name: [v for i, v in enumerate(values) if i != 6] for name, values in table().items()}
    with pytest.raises(
        TableError, match=r"Runs of one name have different generations .*'lora' run '13' lacks 1 "
    ):
        load_generations(data, COLUMNS)
    other = table()
    other["run"] = ["7" if arm == "lora" and run == "42" else run for arm, run in
                    zip(other["arm"], other["run"], strict=True)]  # fmt: skip
    with pytest.raises(CallError, match=r"'full' has 13, 42 and 'lora' has 7, 13"):
        load_generations(other, COLUMNS)
    with pytest.raises(TableError, match="have different generations"):
        load_generations(table(), dataclasses.replace(COLUMNS, resplit=False))


def test_a_text_that_a_run_should_have_and_has_not_is_remarked():
    data = table()
    data["completion"][1] = ""
    [remark] = [p for p in load_generations(data, COLUMNS).problems if "empty" in p]
    assert "in 1 of 6 rows of 'full', 0 of 6 rows of 'lora' (first: example 'b')" in remark


def test_predicted_genders_are_not_missed_in_rows_that_a_run_lacks():
    data = table()
    data["predicted_gender"] = ["female" if t == SHE else "male" for t in data["completion"]]
    result = load_generations(data, COLUMNS)
    assert result.genders[0] == ("male", "male", "male", "male", "unknown")


def test_likelihoods_are_refused():
    single = likelihoods(
        [(f"e{i}", "t", "letters", "AB"[k], "mf"[k], -1.0 - k) for i in range(3) for k in (0, 1)]
    )
    with pytest.raises(CallError, match="--resplit: likelihoods are compared on rows that every run has"):
        evenhand.audit(single, resplit=True)


METRICS = ("gender_accuracy", "share_pro", "delta_g", "delta_s")
SETTINGS = settings_for("generations", Settings(metrics=METRICS), "raw")
REPLICATES = 200


def split_anew(complete, runs, rng, share):
    """The same texts, of which every run has its own part of the templates, the same in both arms."""
    templates = np.unique(complete.cluster)
    mine = np.stack([rng.permutation(len(templates)) < share * len(templates) for _ in range(runs)])
    there = np.tile(mine[:, complete.cluster], (2, 1))
    return dataclasses.replace(complete, there=there)


def compared(world, templates, runs, share, seed):
    """Comparisons of two arms on a test part for every run."""
    rng = np.random.default_rng((29, templates, runs, seed))
    table = split_anew(draw(world, templates, runs, rng), runs, rng, share)
    tables = build_rows(translation_gender.compute(table), 0, SETTINGS)
    return tuple([row.to_dict() for row in rows] for rows in tables)


@pytest.mark.no_cover  # tracing makes simulations a third slower, and shows nothing new
@pytest.mark.parametrize(
    ("world", "templates", "runs", "share"),
    [
        (World(tau=1.0), 150, 3, 0.2),
        pytest.param(World(tau=1.0, wave=0.3), 150, 5, 0.2, marks=pytest.mark.slow),
    ],
)
def test_intervals_hold_where_runs_have_different_rows(world, templates, runs, share):
    """Differences are covered simultaneously by family, rates pointwise; with five runs these vary, too."""
    truth = [world.truth(arm) for arm in (0, 1)]
    families = dict.fromkeys(("primary", "delta_g", "delta_s"), 0)
    points = {name: [] for name in METRICS}
    for seed in range(REPLICATES):
        rates, comparisons = compared(world, templates, runs, share, seed)
        missed = dict.fromkeys(families, False)
        for r in comparisons:
            key = (r["metric"], r["group"])
            if r["attribute"] in {None, "stereotype"} and key in truth[0] and r["status"] == "ok":
                family = "primary" if r["family"] == "primary" else r["metric"]
                if family in missed:
                    missed[family] |= not r["low"] <= truth[1][key] - truth[0][key] <= r["high"]
        families = {name: families[name] + missed[name] for name in families}
        for r in rates:
            if r["attribute"] is None and r["status"] == "ok":
                true = truth["ab".index(r["input"])][r["metric"], None]
                points[r["metric"]].append(r["low"] <= true <= r["high"])
    # The arms of a replicate share much: as if there were one.
    noise = 3 * np.sqrt(0.05 * 0.95 / REPLICATES)
    assert {n: m / REPLICATES for n, m in families.items() if m / REPLICATES > 0.05 + noise} == {}
    assert {n: np.mean(v) for n, v in points.items() if np.mean(v) < 0.95 - noise} == {}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("wave", "templates", "runs", "share"),
    [(0.0, 150, 3, 0.2), pytest.param(0.3, 150, 5, 0.2, marks=pytest.mark.slow)],
)
def test_equal_arms_are_called_different_no_more_often_than_the_level_says(wave, templates, runs, share):
    world = World(right=(((0.8, 0.6), (0.7, 0.5)),) * 2, wave=wave)
    wrong = dict.fromkeys(("primary", "delta_g", "delta_s"), 0)
    for seed in range(REPLICATES):
        _, comparisons = compared(world, templates, runs, share, seed)
        for family in wrong:
            rows = [r for r in comparisons if family in (r["metric"], r["family"]) and r["status"] == "ok"]
            wrong[family] += any(r["low"] > 0 or r["high"] < 0 for r in rows)
    noise = 3 * np.sqrt(0.05 * 0.95 / REPLICATES)
    assert {n: k / REPLICATES for n, k in wrong.items() if k / REPLICATES > 0.05 + noise} == {}
