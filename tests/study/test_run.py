"""A study from spec to result: done once, told when it fails, resumed, shared by two processes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from evenhand.errors import CallError, InputError
from evenhand.store.folder import StudyFolder
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, arm, contents, log, study, timeless


def run(spec, output, **more):
    return run_study(spec, output, **{"trainer": TRAINER, "workers": 2, **more})


def begun(stand_in):
    return sorted(line for line in log(stand_in) if line.startswith("begin"))


def test_a_study_ends_in_a_result(undisturbed):
    result = undisturbed.result
    assert result["schema"] == "evenhand.study/1"
    assert json.loads(undisturbed.folder.result.read_text()) == result
    assert result["dataset"]["parts"] == {"train": 280, "validation": 40, "test": 80}
    assert (result["failed"], result["interactions"]) == ([], [])
    [model] = result["models"]
    assert model["audit"]["schema"] == "evenhand.audit/1"
    assert {r["input"] for r in model["audit"]["rates"]} == {a.name for a in ARMS}
    assert model["audit"]["settings"]["reference"] == "full"
    assert model["audit"]["settings"]["classes"] == ["kind", "rude"]
    assert {r["attribute"] for r in model["audit"]["rates"]} == {None, "group"}
    assert [i["path"].startswith("runs/") for i in model["audit"]["inputs"]] == [True] * 8
    assert [(c["arm"], c["runs"], c["trainable_parameters"]) for c in model["cost"]] == [
        ("full", 2, 97), ("lora[rank=1]", 2, 1), ("lora[rank=8]", 2, 8), ("lora[rank=64]", 2, 64),
    ]  # fmt: skip
    assert len(model["curves"]) == 8
    assert len(model["curves"][0]["points"]) == 8
    assert [v["epoch"] for v in model["curves"][0]["validation"]] == [1.0, 2.0]
    assert {(t["method"], t["parameter"], tuple(t["values"])) for t in model["trends"]} == {
        ("lora", "rank", (1, 8, 64))
    }
    failed, *problems = result["problems"]
    assert failed.startswith("Run '2' of lora[rank=1] is no better than a prediction of 'kind' for every row")
    assert "while the arm's other run has 0.650" in failed
    assert problems == ["The stand-in knows words only.", "Words are counted by their letters."]


def test_a_run_records_what_it_takes_to_believe_it(undisturbed):
    data = json.loads(undisturbed.folder.data.read_text())
    for folder in (undisturbed.folder.path / "runs").iterdir():
        record = json.loads((folder / "run.json").read_text(), parse_constant=pytest.fail)
        assert record["status"] == "finished"
        assert record["run_id"] == folder.name
        assert record["data"] == {k: data[k] for k in ("sha256", "train_ids_sha256")}
        assert record["job"]["seed"] == record["seed"]
        assert record["job"]["training"]["epochs"] == 2
        assert record["facts"]["versions"] == {"numpy": np.__version__}
        assert record["facts"]["checks"] == {"base_frozen": True, "merged": None}
        assert record["attempts"] == 1


def test_what_is_finished_is_not_done_again(stand_in, tmp_path, undisturbed):
    first = run(study(), tmp_path)
    assert len(begun(stand_in)) == 8
    before = contents(first.folder.path)
    again = run(study(), tmp_path)
    assert len(begun(stand_in)) == 8
    assert [line for line in log(stand_in) if line.startswith("prepare")] == ["prepare 8"]
    assert contents(again.folder.path) == before == contents(undisturbed.folder.path)
    assert timeless(again.result) == timeless(first.result) == timeless(undisturbed.result)


@pytest.mark.parametrize("how", ["local", "processes"])
def test_the_number_of_workers_changes_nothing(how, tmp_path, undisturbed):
    one = run(study(), tmp_path, executor=how, workers=1 if how == "local" else 3)
    assert contents(one.folder.path) == contents(undisturbed.folder.path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("fail", "FloatingPointError: the loss of lora[rank=8] is no number any more"),
        (
            "die",
            "The process that trained was killed by SIGKILL; the system kills a process in this way when "
            "memory runs out.",
        ),
        ("leave", "The process that trained exited with code 3."),
        ("silent", "FileNotFoundError: training did not write predictions.parquet"),
    ],
)
def test_a_failure_is_told_and_kept_while_the_study_goes_on(how, said, stand_in, tmp_path, undisturbed):
    (stand_in / how).write_text("lora[rank=8] 2")
    told = []
    result = run(study(), tmp_path, watch=lambda p: told.append(p.message))
    [failed] = result.failed
    assert (failed["arm"], failed["run"], failed["model"], failed["error"]) == (
        "lora[rank=8]",
        "2",
        "words",
        said,
    )
    assert f"lora[rank=8], seed 2, words failed: {said}" in told
    state = result.folder.runs().look(failed["run_id"])
    assert state.status == "failed"
    if how == "fail":
        assert "stand_in.py" in state.record["error"]
    if how == "leave":
        assert "these were my last words" in state.record["error"]
    assert len(begun(stand_in)) == 8
    assert [p for p in result.result["problems"] if "not every run" in p] == [
        "words: not every run is finished (lora[rank=8] has 1 of 2), so only the seeds that all arms have "
        "are judged: 1."
    ]
    assert {r["runs"] for r in result.result["models"][0]["audit"]["rates"]} == {1}
    (stand_in / how).unlink()
    repaired = run(study(), tmp_path)
    assert len(begun(stand_in)) == 9
    assert repaired.failed == []
    assert timeless(repaired.result) == timeless(undisturbed.result)
    kept = {k: v for k, v in contents(repaired.folder.path).items() if ".failed-" not in k}
    assert kept == contents(undisturbed.folder.path)
    assert (result.folder.path / "runs" / f"{failed['run_id']}.failed-1" / "run.json").exists()


def test_a_run_whose_process_dies_every_time_is_tried_once_in_every_call(stand_in, tmp_path):
    (stand_in / "die").write_text("full 1")
    for number in (1, 2, 3):
        result = run(study(arms=ARMS[:1], seeds=(1,)), tmp_path)
        [failed] = result.failed
        assert result.folder.runs().look(failed["run_id"]).attempts == number
        assert len(begun(stand_in)) == number


def test_an_arm_that_never_finishes_is_left_out(stand_in, tmp_path):
    (stand_in / "fail").write_text("lora[rank=1] 1\nlora[rank=1] 2")
    result = run(study(), tmp_path).result
    assert {r["input"] for r in result["models"][0]["audit"]["rates"]} == {
        "full",
        "lora[rank=8]",
        "lora[rank=64]",
    }
    assert "words: no run of lora[rank=1] is finished, so it is left out." in result["problems"]


def test_without_the_reference_nothing_is_judged(stand_in, tmp_path):
    (stand_in / "fail").write_text("full 1\nfull 2")
    result = run(study(), tmp_path).result
    assert [m["audit"] for m in result["models"]] == [None]
    assert "no run of the reference" in " ".join(result["problems"])
    assert result["verdict"]["counts"] == {"harm": 0, "harmless": 0, "help": 0, "undecided": 0}


def test_a_study_grows(stand_in, tmp_path, undisturbed):
    run(study(arms=ARMS[:3], seeds=(1,)), tmp_path)
    grown = run(study(), tmp_path)
    assert len(begun(stand_in)) == len(set(begun(stand_in))) == 8
    assert timeless(grown.result) == timeless(undisturbed.result)


def test_an_arm_with_a_new_name_keeps_its_runs(stand_in, tmp_path):
    run(study(arms=(arm("full"), arm("lora", rank=8))), tmp_path)
    result = run(study(arms=(arm("full"), arm("lora[rank=8]", rank=8))), tmp_path).result
    assert len(begun(stand_in)) == 4
    assert {r["input"] for r in result["models"][0]["audit"]["rates"]} == {"full", "lora[rank=8]"}


def test_arms_that_are_the_same_share_their_runs(stand_in, tmp_path):
    result = run(study(arms=(arm("full"), arm("full_again"))), tmp_path).result
    assert len(begun(stand_in)) == 2
    assert {c["difference"] for c in result["models"][0]["audit"]["comparisons"]} == {0}


def test_two_bases_are_judged_each_and_together(tmp_path):
    result = run(study(models=("weak", "strong"), arms=ARMS[:2]), tmp_path).result
    assert [m["model"] for m in result["models"]] == ["weak", "strong"]
    assert {(r["model_low"], r["model_high"], r["arm"]) for r in result["interactions"]} == {
        ("weak", "strong", "lora[rank=1]")
    }
    assert result["verdict"]["sentence"].startswith("In these runs, 2 models, ")
    counted = [sum(m["audit"]["verdict"]["counts"].values()) for m in result["models"]]
    assert sum(result["verdict"]["counts"].values()) == sum(counted)


def test_a_corrupt_run_is_done_again_and_told(stand_in, tmp_path, undisturbed):
    first = run(study(), tmp_path)
    one, other, *_ = sorted((first.folder.path / "runs").iterdir())
    whole = (one / "predictions.parquet").read_bytes()
    (one / "predictions.parquet").write_bytes(whole[: len(whole) // 2])
    (other / "run.json").write_text("{")
    told = []
    again = run(study(), tmp_path, watch=lambda p: told.append(p.message or ""))
    assert len(begun(stand_in)) == 10
    for folder in (one, other):
        assert any(f"{folder.name}.corrupt-1" in line for line in told)
        assert (folder.parent / f"{folder.name}.corrupt-1").is_dir()
    kept = {k: v for k, v in contents(again.folder.path).items() if ".corrupt-" not in k}
    assert kept == contents(undisturbed.folder.path)


STUDY = """
import sys
from pathlib import Path
from evenhand.study.run import run_study
from tests.study.studies import TRAINER, study
run_study(study(), Path(sys.argv[1]), trainer=TRAINER, workers=2)
"""


def test_two_processes_share_a_study(stand_in, tmp_path, undisturbed):
    (stand_in / "slow").write_text("0.05")
    pair = [subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(120) for process in pair] == [0, 0]
    assert len(begun(stand_in)) == len(set(begun(stand_in))) == 8
    folder = StudyFolder(tmp_path / "small")
    assert contents(folder.path) == contents(undisturbed.folder.path)
    assert timeless(json.loads(folder.result.read_text())) == timeless(undisturbed.result)


def refused(spec, output, **more):
    with pytest.raises(InputError) as caught:
        run(spec, output, **more)
    return caught.value.complaints


def test_what_prepare_complains_of_comes_before_training_and_leaves_nothing(stand_in, tmp_path):
    (stand_in / "refuse").write_text("no such model\nno such role")
    assert refused(study(), tmp_path / "out") == ("no such model", "no such role")
    assert begun(stand_in) == []
    assert not (tmp_path / "out").exists()


def test_other_data_are_refused_with_both_digests(tmp_path):
    first = run(study(seeds=(1,), arms=ARMS[:1]), tmp_path)
    stored = first.folder.read_data()
    first.folder.data.write_text(json.dumps({**stored, "sha256": "0" * 64}))
    [said] = refused(study(seeds=(1,), arms=ARMS[:1]), tmp_path)
    assert stored["sha256"][:16] in said
    assert "0" * 16 in said
    assert "the data have changed" in said


def test_another_study_of_the_same_name_is_refused(tmp_path):
    run(study(seeds=(1,), arms=ARMS[:1]), tmp_path)
    [said] = refused(study(rows=300), tmp_path)
    assert "dataset.config.rows: 300 (was 400)" in said
    run(study(seeds=(1,), arms=ARMS[:1], leaks="tell"), tmp_path)


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("precious")
    [said] = refused(study(), tmp_path)
    assert "holds other files" in said
    (tmp_path / "file").write_text("")
    [said] = refused(study(), tmp_path / "file")
    assert "is not a folder" in said


def test_complaints_of_data_and_folder_come_together(tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(study(rows=8, base_rates=1.0), tmp_path / "file")
    assert any("at least two classes are needed" in line for line in said)
    assert any("is not a folder" in line for line in said)


def test_a_trainer_that_is_not_there_is_refused(tmp_path):
    [said] = refused(study(), tmp_path, trainer="evenhand_no_such_trainer")
    assert "evenhand_no_such_trainer" in said


def test_a_worker_that_cannot_start_shows_why(tmp_path):
    with pytest.raises(RuntimeError, match="has no attribute 'prepare'"):
        run(study(), tmp_path, trainer="json")


@pytest.mark.parametrize("call", [{"workers": 0}, {"executor": "cloud"}])
def test_calls_that_cannot_be_meant(call, tmp_path):
    with pytest.raises(CallError):
        run(study(), tmp_path, **call)
