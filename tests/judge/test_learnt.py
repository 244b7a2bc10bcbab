"""Arms that have learnt nothing are named first; those that have are not."""

from __future__ import annotations

import numpy as np
import pytest

import evenhand


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
