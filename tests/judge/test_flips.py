"""Answers that change: counted within a seed, with what two seeds of one arm change beside it."""

from __future__ import annotations

import numpy as np

import evenhand

#: Six rows, labels, and the answers of two seeds of each arm.
LABEL = [1, 1, 1, 0, 0, 0]
FULL = {"1": [1, 1, 0, 0, 0, 1], "2": [1, 0, 1, 0, 1, 0]}  # right: 1 1 0 1 1 0 | 1 0 1 1 0 1
LORA = {"1": [1, 0, 0, 0, 0, 0], "2": [0, 0, 1, 0, 1, 0]}  # right: 1 0 0 1 1 1 | 0 0 1 1 0 1


def table(full, lora):
    rows = [(arm, run, i) for arm, runs in (("full", full), ("lora", lora)) for run in runs for i in range(6)]
    answers = {"full": full, "lora": lora}
    return {
        "arm": [arm for arm, _, _ in rows],
        "run": [run for _, run, _ in rows],
        "example_id": [str(i) for _, _, i in rows],
        "label": [LABEL[i] for _, _, i in rows],
        "prediction": [answers[arm][run][i] for arm, run, i in rows],
        "g": ["ab"[i % 2] for _, _, i in rows],
    }


def everybody(full, lora, metric="accuracy", **more):
    rows = evenhand.audit(table(full, lora), by="g", arm="arm", run="run", min_group_size=1, **more)
    [row] = [
        c for c in rows.comparisons if c["metric"] == metric and c["group"] is None and not c["attribute"]
    ]
    return row["n_right_to_wrong"], row["n_wrong_to_right"], row["n_right_to_wrong_between_runs"]


def test_an_arm_and_its_copy_do_not_differ_in_any_row():
    # Two seeds of it do: rows 1, 4 (0-based) are right in seed 1 alone, rows 2, 5 in seed 2 alone.
    assert everybody(FULL, FULL) == (0, 0, 2)
    assert everybody(FULL, FULL, "true_positive_rate")[:2] == (0, 0)


def test_flips_are_counted_within_a_seed():
    # Seed 1: row 1 lost, row 5 won. Seed 2: row 0 lost. Between seeds of lora: rows 0, 4 | row 2.
    assert everybody(FULL, LORA) == (1, 0.5, (2 + 1.5) / 2)


def test_the_order_of_the_seeds_does_not_matter():
    assert everybody(FULL, dict(reversed(LORA.items()))) == everybody(FULL, LORA)


def test_runs_of_other_names_are_all_compared_with_each_other():
    renamed = {"7": LORA["1"], "9": LORA["2"]}
    right = [[np.array(a) == LABEL for a in arm.values()] for arm in (FULL, LORA)]
    lost = np.mean([np.sum(a & ~b) for a in right[0] for b in right[1]])
    won = np.mean([np.sum(~a & b) for a in right[0] for b in right[1]])
    np.testing.assert_allclose(everybody(FULL, renamed)[:2], (lost, won))


def test_a_single_run_has_no_other_seed():
    single = {"1": FULL["1"]}
    assert everybody(single, {"1": LORA["1"]}) == (1, 1, None)
    assert everybody(FULL, single)[:2] == (0, 0)


def test_disparities_count_the_same_way():
    rows = evenhand.audit(table(FULL, FULL), by="g", arm="arm", run="run", min_group_size=1)
    gaps = [c for c in rows.comparisons if c["attribute"] == "g" and c["group"] is None]
    assert gaps
    assert {(c["n_right_to_wrong"], c["n_wrong_to_right"]) for c in gaps} == {(0, 0)}
    assert {c["n_right_to_wrong_between_runs"] for c in gaps} == {2}
