"""A study that tunes: which trial is judged, and that nothing else of the others is read."""

from __future__ import annotations

import json

import pytest

from evenhand.errors import InputError
from evenhand.spec.study import Split, Trial
from evenhand.store.runs import State
from evenhand.study.results import collect
from evenhand.study.results.document import judge
from evenhand.study.results.status import read_status
from evenhand.study.results.tuning import TrialRuns, choose, remark_on_uneven_tuning
from evenhand.study.run import run_study
from tests.study.studies import TRAINER, arm, contents, log, study


def tuned(name, rates, **options):
    """An arm that tries several rates."""
    one = arm(name, rate=rates[0], **options)
    trials = tuple(
        Trial(
            name=f"learning_rate={rate}", values={"learning_rate": rate}, config=one.config,
            learning_rate=rate, epochs=one.epochs,
        )
        for rate in rates
    )  # fmt: skip
    return one.model_copy(update={"trials": trials})


ARMS = (tuned("full", (1e-6, 1.0)), tuned("lora[rank=64]", (1.0, 1e-6), rank=64))


def run(spec, output, **more):
    return run_study(spec, output, **{"trainer": TRAINER, "workers": 2, **more})


def rates(made):
    return [{k: v for k, v in r.items() if k != "path"} for r in made.result["models"][0]["audit"]["rates"]]


def test_the_best_on_validation_is_judged_and_all_are_told(tmp_path):
    made = run(study(arms=ARMS, seeds=(1, 2)), tmp_path)
    [model] = made.result["models"]
    rows = {(r["arm"], r["trial"]["learning_rate"]): r for r in model["tuning"]}
    assert [key for key, r in rows.items() if r["chosen"]] == [("full", 1.0), ("lora[rank=64]", 1.0)]
    for name in ("full", "lora[rank=64]"):
        assert rows[name, 1.0]["accuracy"] > rows[name, 1e-6]["accuracy"] + 0.02
        assert rows[name, 1.0]["runs"] == 2
    assert {r["input"] for r in model["audit"]["rates"]} == {"full", "lora[rank=64]"}
    for given in model["audit"]["inputs"]:
        record = json.loads((made.folder.path / given["path"]).with_name("run.json").read_text())
        assert record["job"]["training"]["learning_rate"] == 1.0
    # An ordinary study of the chosen values has the same runs, and says the same.
    plain = study(arms=(arm("full"), arm("lora[rank=64]", rank=64)), seeds=(1, 2))
    other = run(plain, tmp_path / "plain")
    assert rates(other) == rates(made)
    chosen = {p.split("/")[1] for p in contents(other.folder.path)}
    assert chosen < {p.split("/")[1] for p in contents(made.folder.path)}
    assert made.result["problems"] == [
        "The stand-in knows words only.",
        "Words are counted by their letters.",
    ]


def test_test_rows_of_other_trials_are_never_read(tmp_path):
    """With the predictions of every other trial gone, the audit is the same."""
    spec = study(arms=ARMS, seeds=(1,))
    made = run(spec, tmp_path)
    kept = {i["path"] for i in made.result["models"][0]["audit"]["inputs"]}
    every = set(made.folder.path.glob("runs/*/predictions.parquet"))
    others = [p for p in every if str(p.relative_to(made.folder.path)) not in kept]
    assert len(others) == 2
    opened = []
    before = collect.tables

    def noting(*args):
        files = before(*args)
        opened.extend(p for paths in files.values() for p in paths)
        return files

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "tables", noting)
        judge(spec, made.folder)
    assert set(opened) == every - set(others)


def test_trials_are_runs_with_names_and_standings(stand_in, tmp_path):
    (stand_in / "fail").write_text("full at learning_rate=1.0 2")
    made = run(study(arms=(*ARMS[:1], arm("lora[rank=64]", rank=64)), seeds=(1, 2)), tmp_path)
    [failed] = made.failed
    assert (failed["arm"], failed["run"]) == ("full at learning_rate=1.0", "2")
    counts = read_status(made.folder).counts()
    assert {arm: dict(count) for (_, arm), count in counts.items()} == {
        "full at learning_rate=1e-06": {"finished": 2},
        "full at learning_rate=1.0": {"finished": 1, "failed": 1},
        "lora[rank=64]": {"finished": 2},
    }
    rows = made.result["models"][0]["tuning"]
    assert [(r["trial"]["learning_rate"], r["runs"], r["chosen"]) for r in rows] == [
        (1e-6, 2, True),
        (1.0, 1, False),
    ]
    told = "\n".join(made.result["problems"])
    assert "words, full: not every run of its trials is finished (learning_rate=1.0 has 1 of 2)" in told
    assert "The arms were not tuned alike: full chose among 2 trials; lora[rank=64] had 1." in told
    (stand_in / "fail").unlink()
    repaired = run(study(arms=(*ARMS[:1], arm("lora[rank=64]", rank=64)), seeds=(1, 2)), tmp_path)
    assert [r["chosen"] for r in repaired.result["models"][0]["tuning"]] == [False, True]
    assert sum(line.startswith("begin") for line in log(stand_in)) == 7


def test_choosing_needs_validation_rows_before_anything_is_trained(stand_in, tmp_path):
    spec = study(arms=ARMS)
    dataset = spec.dataset.model_copy(update={"split": Split(train=0.8, validation=0.0, test=0.2)})
    with pytest.raises(InputError, match="it has no validation rows, which 'tune' needs"):
        run(spec.model_copy(update={"dataset": dataset}), tmp_path)
    assert log(stand_in) == []


def tries(*scores):
    """Trials with these accuracies and losses by seed; None is a failed run."""
    made = []
    for number, by_seed in enumerate(scores):
        runs = {}
        for seed, score in enumerate(by_seed):
            record = score and {"facts": {"validation": {"accuracy": score[0], "loss": score[1]}}}
            runs[seed] = (None, State("finished" if score else "failed", record))
        [trial] = tuned("full", (float(number + 1),)).trials
        made.append(TrialRuns(trial, runs))
    return made


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([[(0.5, 1), (0.7, 1)], [(0.7, 1), (0.6, 1)]], 1),  # the mean over seeds
        ([[(0.6, 2), (0.6, 2)], [(0.6, 2), (0.6, 1)]], 1),  # equal: the lower loss
        ([[(0.6, 1)], [(0.6, 1)]], 0),  # all equal: the first
        ([[(0.5, 1), (0.5, 1)], [(0.9, 1), None]], 0),  # one without a seed is out
        ([[(0.5, 1), None, (0.5, 1)], [(0.9, 1), None, (0.2, 1)], [(1, 1), None, None]], 1),
        ([[(0.5, 1), None], [None, (0.9, 1)]], None),
        ([[None], [None]], None),
    ],
)
def test_which_is_chosen(scores, chosen):
    trials = tries(*scores)
    found, told = choose(trials)
    assert found is (None if chosen is None else trials[chosen])
    assert bool(told) == any(score is None for one in scores for score in one)


def test_equal_chances_are_no_remark():
    assert remark_on_uneven_tuning(ARMS) == []
    assert remark_on_uneven_tuning((arm("full"),)) == []
