"""Arms that have learnt nothing are named first; those that have are not."""

from __future__ import annotations

import numpy as np
import pytest

import evenhand
from evenhand.study.results.document import _nothing_learnt
from tests.spec import sample


def table(label, prediction, score=None, *, run=None):
    n = len(label)
    predictions = {
        "example_id": [str(i) for i in range(n)],
        "label": list(label),
        "prediction": list(prediction),
        "g": ["a" if i % 2 else "b" for i in range(n)],
    }
    predictions |= {} if score is None else {"score": list(score)}
    return predictions | ({} if run is None else {"run": [run] * n})


def judged(full, lora, **how):
    return evenhand.audit({"full": full, "lora": lora}, by=["g"], **how).to_dict()


#: 26 of 40 rows are 1.
LABEL = [1] * 26 + [0] * 14
GOOD = [1] * 24 + [0] * 2 + [0] * 11 + [1] * 3


def test_arms_that_predict_one_class_are_named_first_and_with_the_verdict():
    result = judged(table(LABEL, [1] * 40), table(LABEL, [1] * 40))
    assert [(r["arm"], r["kind"], r["class"], r["share"]) for r in result["nothing_learnt"]] == [
        ("full", "constant", "1", 0.65),
        ("lora", "constant", "1", 0.65),
    ]
    assert result["problems"][0].startswith("full and lora predict '1' for every row: nothing was learnt")
    assert result["verdict"]["sentence"].startswith("Nothing was learnt by full and lora (see the remarks). ")


def test_the_reference_comes_first_and_only_the_arm_at_fault_is_named():
    result = judged(table(LABEL, GOOD), table(LABEL, [0] * 40), reference="lora")
    assert [(r["arm"], r["class"], r["accuracy"]) for r in result["nothing_learnt"]] == [("lora", "0", 0.35)]
    assert judged(table(LABEL, GOOD), table(LABEL, GOOD))["nothing_learnt"] == []


def test_hardly_another_class_than_the_commonest_is_nothing():
    # Of 200 rows 129 are 'neutral'; 'toxic' is said of four, two of them right: 129 of 200 right again.
    label = ["neutral"] * 129 + ["toxic"] * 71
    answers = ["toxic"] * 2 + ["neutral"] * 127 + ["toxic"] * 2 + ["neutral"] * 69
    result = judged(table(label, answers), table(label, label), positive="toxic")
    [row] = result["nothing_learnt"]
    assert (row["arm"], row["kind"], row["class"]) == ("full", "commonest", "neutral")
    assert (row["share"], row["accuracy"]) == (0.645, 0.645)
    assert "accuracy 0.645; the share of 'neutral' is 0.645" in result["problems"][0]


def test_a_rare_class_that_is_detected_is_learnt_though_the_accuracy_is_below_the_share():
    # 20 of 400 rows are positive: 12 are found, with 12 false alarms among 380. Accuracy 0.95 = the share.
    label = [1] * 20 + [0] * 380
    answers = [1] * 12 + [0] * 8 + [1] * 12 + [0] * 368
    result = judged(table(label, answers), table(label, label))
    assert result["nothing_learnt"] == []


def test_scores_that_rank_are_something_learnt():
    # The answers are all 0, but every positive row has a higher score than 95 % of the others.
    label = np.array([1] * 10 + [0] * 190)
    score = np.where(label == 1, 0.4, np.linspace(0.0, 0.42, 200))
    answers = np.where(np.isin(np.arange(200), [0, 1, 50, 60, 70]), 1 - label, label)
    fine = table(
        label, answers, np.where(label == 1, np.linspace(0.55, 0.9, 200), np.linspace(0.1, 0.7, 200))
    )
    result = judged(table(label, [0] * 200, score), fine)
    assert [(r["arm"], r["kind"]) for r in result["nothing_learnt"]] == [("full", "ranking")]
    assert "scores rank the rows better than chance" in result["problems"][0]
    assert not result["verdict"]["sentence"].startswith("Nothing was learnt")
    sentence = [0] * 197 + [1] * 3  # three of the other class: no better than the commonest, but ranked
    assert judged(table(label, sentence, score), fine)["nothing_learnt"] == []


def test_scores_of_chance_do_not_save_a_constant_arm():
    score = [0.6 + 0.001 * (i * 7 % 13) for i in range(40)]
    result = judged(table(LABEL, [1] * 40, score), table(LABEL, GOOD, [0.5 + 0.3 * (p - 0.5) for p in GOOD]))
    assert [(r["arm"], r["kind"]) for r in result["nothing_learnt"]] == [("full", "constant")]


def test_one_run_that_learns_is_enough_and_runs_may_predict_different_classes():
    def both(first, second):
        left, right = table(LABEL, first, run="1"), table(LABEL, second, run="2")
        return {k: left[k] + right[k] for k in left}

    result = judged(both(GOOD, [1] * 40), both([1] * 40, [0] * 40), run="run")
    [row] = result["nothing_learnt"]
    assert (row["arm"], row["class"], row["runs"]) == ("lora", None, 2)
    assert "a single class for every row in each of its runs" in result["problems"][0]


def test_three_classes():
    label = ["a"] * 30 + ["b"] * 20 + ["c"] * 10
    result = judged(table(label, ["a"] * 60), table(label, ["a"] * 40 + ["b"] * 20))
    assert [(r["arm"], r["kind"], r["class"]) for r in result["nothing_learnt"]] == [
        ("full", "constant", "a"),
    ]


@pytest.mark.parametrize("label", [[1] * 40, [1] * 38 + [0] * 2])
def test_rows_of_nearly_one_class_are_not_judged(label):
    assert judged(table(label, [1] * 40), table(label, [1] * 40), positive="1")["nothing_learnt"] == []


def runs_of(*answers, label=LABEL, scores=None):
    """An arm with one run per list of answers."""
    parts = [
        table(label, run, None if scores is None else scores[i], run=str(i + 1))
        for i, run in enumerate(answers)
    ]
    return {key: [value for part in parts for value in part[key]] for key in parts[0]}


#: As good as GOOD, with mistakes on other rows.
FINE = [0] * 2 + [1] * 24 + [1] * 3 + [0] * 11
BETTER = [1] * 25 + [0] * 13 + [0] + [1]


def test_a_run_that_predicts_one_class_is_named_beside_runs_that_learnt():
    full = runs_of(GOOD, FINE, BETTER)
    result = judged(full, runs_of(GOOD, [1] * 40, FINE), run="run")
    assert result["nothing_learnt"] == []
    [row] = result["runs_not_learnt"]
    assert row == {
        "arm": "lora", "run": "2", "kind": "constant", "class": "1", "share": 0.65, "accuracy": 0.65,
        "roc_auc": None, "others": 2, "others_accuracy": 0.875, "others_low": 0.875, "others_high": 0.875,
    }  # fmt: skip
    [sentence] = [line for line in result["problems"] if "Run '2' of lora" in line]
    assert "predicts '1' for every row (accuracy 0.650), while the arm's other 2 runs have 0.875" in sentence
    assert "no run is left out" in sentence
    assert "audit files without this run of any arm" in sentence
    mean = next(r for r in result["rates"] if r["input"] == "lora" and r["attribute"] is None)
    assert mean["value"] == pytest.approx((0.875 + 0.65 + 0.875) / 3)
    assert judged(full, full, run="run")["runs_not_learnt"] == []


def test_two_runs_of_one_fault_are_one_sentence_and_an_idle_arm_is_the_arms_case():
    full = runs_of([1] * 40, GOOD, [1] * 40)
    result = judged(full, runs_of([1] * 40, [1] * 40, [1] * 40), run="run")
    assert [r["arm"] for r in result["nothing_learnt"]] == ["lora"]
    assert [(r["arm"], r["run"]) for r in result["runs_not_learnt"]] == [("full", "1"), ("full", "3")]
    [sentence] = [line for line in result["problems"] if line.startswith("Runs")]
    assert sentence.startswith("Runs '1' and '3' of full predict '1' for every row (accuracy 0.650, 0.650)")
    assert "the arm's other run has 0.875" in sentence


def drawn(rng, label, accuracies):
    return runs_of(*(np.where(rng.random(len(label)) < a, label, 1 - label) for a in accuracies), label=label)


def test_a_run_at_chance_is_named_only_beside_runs_that_are_clearly_better():
    rng = np.random.default_rng(5)
    label = (np.arange(1000) % 2).astype(int)
    fine = drawn(rng, label, (0.8, 0.8, 0.8))
    result = judged(drawn(rng, label, (0.8, 0.48, 0.85)), fine, run="run")
    assert [(r["arm"], r["run"], r["kind"]) for r in result["runs_not_learnt"]] == [
        ("full", "2", "commonest")
    ]
    weak = [judged(drawn(rng, label, (0.53,) * 5), fine, run="run") for _ in range(8)]
    assert [r for result in weak for r in result["runs_not_learnt"]] == []


def test_healthy_runs_whose_seeds_vary_are_not_named():
    rng = np.random.default_rng(6)
    label = (rng.random(400) < 0.2).astype(int)
    for _ in range(8):
        arms = []
        for _ in range(2):
            recall, specificity = rng.normal(0.55, 0.08, 5), rng.normal(0.93, 0.02, 5)
            right = [
                rng.random(400) < np.where(label == 1, r, s) for r, s in zip(recall, specificity, strict=True)
            ]
            arms.append(runs_of(*(np.where(ok, label, 1 - label) for ok in right), label=label))
        assert judged(*arms, run="run")["runs_not_learnt"] == []


def test_a_study_names_runs_by_seed_and_leaves_untrained_arms_out():
    """The study knows which arms were trained, and where its seeds are."""
    one = sample.study(methods={"full": {}, "none": {}})
    failed = runs_of(GOOD, [1] * 40, BETTER)
    audit = evenhand.audit({"full": failed, "none": failed}, by=["g"], run="run").to_dict()
    assert [r["arm"] for r in audit["runs_not_learnt"]] == ["full", "none"]
    others = [line for line in audit["problems"] if not line.startswith("Run ")]
    [sentence] = _nothing_learnt(one, "words", audit)
    assert sentence.startswith("Run '2' of full predicts '1' for every row")
    assert "remove this seed from 'seeds' and run the study again (nothing is trained again)" in sentence
    assert [r["arm"] for r in audit["runs_not_learnt"]] == ["full"]
    assert audit["problems"] == others
