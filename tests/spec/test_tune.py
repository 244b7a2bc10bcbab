"""`tune`: the trials of each arm, and what makes them unfair or impossible."""

from __future__ import annotations

import json

import pytest

from evenhand.spec.identity import run_id
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import study, wrong

RATES = {"learning_rate": [1e-4, 3e-4]}
BOTH = {"full": {"tune": RATES}, "lora": {"rank": [1, 8], "tune": {"epochs": [2, 4]}}}


def test_trials_are_the_product_of_each_arm():
    one = study(
        methods={
            "lora": {"rank": [1, 8], "alpha": 4, "tune": {"learning_rate": [1e-4, 3e-4], "epochs": [2, 4]}}
        }
    )
    assert [arm.name for arm in one.arms] == ["lora[rank=1]", "lora[rank=8]"]
    for arm, rank in zip(one.arms, (1, 8), strict=True):
        assert [t.values for t in arm.trials] == [
            {"learning_rate": 1e-4, "epochs": 2}, {"learning_rate": 1e-4, "epochs": 4},
            {"learning_rate": 3e-4, "epochs": 2}, {"learning_rate": 3e-4, "epochs": 4},
        ]  # fmt: skip
        assert [t.name for t in arm.trials][1] == "learning_rate=0.0001,epochs=4"
        assert [(t.learning_rate, t.epochs) for t in arm.trials][2] == (3e-4, 2)
        assert {(t.config.rank, t.config.alpha) for t in arm.trials} == {(rank, 4)}


def test_factors_are_multiples_of_each_methods_default_rate():
    one = study(
        methods={
            name: {"tune": {"learning_rate_factor": [0.3, 1, 3], "epochs": [2]}}
            for name in ("full", "lora", "c3a")
        }
    )
    for arm, default in zip(one.arms, (1e-4, 1e-3, 0.3), strict=True):
        assert [t.learning_rate for t in arm.trials] == [float(f"{f * default:.6g}") for f in (0.3, 1, 3)]
        assert [t.epochs for t in arm.trials] == [2, 2, 2]
    # The rates of the trials are those that a study of these rates has, with the same runs.
    [same] = study(methods={"full": {"tune": {"learning_rate": [3e-5, 1e-4, 3e-4], "epochs": [2]}}}).arms
    assert same.trials == one.arms[0].trials


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ({"learning_rate_factor": [0, 1]}, "got 0; must be a number above 0"),
        ({"learning_rate_factor": ["much"]}, "got 'much'; must be a number above 0"),
        ({"learning_rate_factor": [1, 2], "learning_rate": [1e-4, 1e-3]}, "'learning_rate' is given too"),
        ({"learning_rate_facter": [1, 2]}, "did you mean 'learning_rate_factor'?"),
    ],
)
def test_wrong_factors(tune, told):
    assert told.lower() in " ".join(wrong(methods={"full": {"tune": tune}})).lower()


def test_options_of_a_method_can_be_tried_too_and_lists_of_lists():
    one = study(
        methods={"lora": {"tune": {"alpha": [8, 16], "targets": [["mlp.up"], ["mlp.up", "mlp.down"]]}}}
    )
    [arm] = one.arms
    assert [(t.config.alpha, t.config.targets) for t in arm.trials] == [
        (8, ("mlp.up",)), (8, ("mlp.up", "mlp.down")), (16, ("mlp.up",)), (16, ("mlp.up", "mlp.down")),
    ]  # fmt: skip
    assert arm.trials[1].name == "alpha=8,targets=mlp.up+mlp.down"


def test_a_trial_is_the_run_of_an_arm_with_its_values():
    tuned = study(methods=BOTH)
    [fixed] = study(methods={"mine": {"method": "lora", "rank": 8, "epochs": 4}}).arms
    arm = tuned.arms[-1]
    trial = arm.trials[1]
    ids = [run_id(tuned, tuned.models[0], one, 13) for one in (arm.with_trial(trial), fixed)]
    assert ids[0] == ids[1]
    assert len({run_id(tuned, tuned.models[0], arm.with_trial(t), 13) for t in arm.trials}) == 2


def test_a_study_with_trials_is_stored_and_read(tmp_path):
    one = study(methods=BOTH)
    path = tmp_path / "study.json"
    path.write_text(json.dumps(as_plain(one)), encoding="utf-8")
    back = load(path)
    assert back == one
    assert type(back.arms[1].trials[0].config) is type(one.arms[1].trials[0].config)


def test_arms_without_trials_may_stand_beside_those_with():
    assert [len(a.trials) for a in study(methods={"full": {}, "lora": {"tune": RATES}}).arms] == [0, 2]


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (
            {"full": {"tune": RATES}, "lora": {"rank": [1, 8], "tune": {"epochs": [1, 2, 3]}}},
            "methods.lora.tune: 'lora[rank=1]' has 3 trials, and 'full' 2; every method that is tuned must",
        ),
        ({"full": {"tune": {"rank": [1]}}}, "methods.full.tune.rank: unknown key. Known: "),
        ({"lora": {"tune": {"rnk": [1]}}}, "tune.rnk: unknown key. Did you mean 'rank'?"),
        ({"lora": {"rank": 8, "tune": {"rank": [1, 2]}}}, "tune.rank: 'rank' is given outside of tune"),
        ({"lora": {"tune": {"rank": 8}}}, "methods.lora.tune.rank: got 8; must be a list of values to try."),
        (
            {"lora": {"tune": {"targets": ["mlp.up"]}}},
            "methods.lora.tune.targets: got ['mlp.up']; must be a list of lists of values to try.",
        ),
        ({"lora": {"tune": {"rank": []}}}, "methods.lora.tune.rank: got an empty list"),
        ({"lora": {"tune": {"rank": [0, 1]}}}, "tune.rank.0: got 0, which adapts nothing"),
        ({"lora": {"tune": {"rank": [1, 1]}}}, "methods.lora.tune: tries the same values twice"),
        ({"lora": {"tune": {"alpha": [1, 1.0]}}}, "methods.lora.tune: tries the same values twice"),
        ({"lora": {"tune": {}}}, "methods.lora.tune: got {}; must be a mapping such as"),
        ({"lora": {"tune": None}}, "methods.lora.tune: got nothing; must be a mapping such as"),
        ({"lora": {"tune": {"rank": [*range(1, 50)], "epochs": [*range(1, 50)]}}}, "2,401 combinations"),
        ({"full": {"tune": RATES}, "again": {"method": "full", "tune": RATES}}, "'again' repeats 'full'"),
    ],
)  # fmt: skip
def test_tunings_that_are_wrong(methods, words):
    told = wrong(methods=methods)
    assert len(told) == 1
    assert words in told[0]


def test_choosing_needs_validation_rows():
    split = {"train": 0.8, "validation": 0, "test": 0.2}
    [told] = wrong(methods=BOTH, dataset={"name": "synthetic_posts", "rows": 100, "split": split})
    assert "methods: 'tune' selects on validation rows, and dataset.split.validation is 0" in told
    table = {"name": "table", "path": "x.csv", "text": "t", "split": split, "split_column": "part"}
    assert wrong(methods=BOTH, dataset=table) == []
