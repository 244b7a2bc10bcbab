"""Files of a finished study that are damaged later: mended or told, never taken for whole, no traceback."""

from __future__ import annotations

import json
import shutil

import pytest

from evenhand.store.folder import StudyFolder
from evenhand.study.results.status import read_status
from evenhand.study.run import rebuild, run_study
from tests.study.studies import ARMS, TRAINER, log, study

SPEC = study(arms=ARMS[:2], seeds=(1, 2))


@pytest.fixture
def done(tmp_path, undisturbed):
    """A copy of a finished study of two arms."""
    made = tmp_path / "small"
    shutil.copytree(undisturbed.folder.path, made)
    return StudyFolder(made)


def again(folder):
    return run_study(SPEC, folder.path.parent, trainer=TRAINER, executor="local")


def first(folder):
    planned, state = next((p, s) for p, s in read_status(folder).runs if p.arm == "full")
    assert state.status == "finished"
    return planned, folder.path / "runs" / planned.run_id


def standing(folder, planned):
    return next(s for p, s in read_status(folder).runs if p.run_id == planned.run_id)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"loss"', '"loss', 1),
        lambda text: "[1, 2]\n" + text,
        lambda text: text.replace('"loss": ', '"loss": null, "was": ', 1),
        lambda text: text.rstrip("\n"),
    ],
)
def test_a_damaged_log_costs_its_curve_alone(done, damage):
    planned, folder = first(done)
    path = folder / "train.jsonl"
    path.write_text(damage(path.read_text()))
    result = rebuild(SPEC, done).result
    [model] = result["models"]
    assert len(model["curves"]) == 3
    assert f"{path} is damaged, so the curve of {planned.title} is left out." in result["problems"]
    assert result["failed"] == []


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY other bytes", None])
def test_weights_that_are_not_what_was_saved_are_done_again(done, stand_in, content):
    planned, folder = first(done)
    weights = folder / "adapter" / "weights.npy"
    weights.write_bytes(bytes(len(weights.read_bytes())) if content is None else content)
    state = standing(done, planned)
    assert state.status == "interrupted"
    assert "differs from the file that the run saved" in state.fault
    assert again(done).failed == []
    assert standing(done, planned).status == "finished"
    assert len([line for line in log(stand_in) if line.startswith("begin")]) == 1


def test_weights_that_are_gone_are_told(done, stand_in):
    planned, folder = first(done)
    shutil.rmtree(folder / "adapter")
    state = standing(done, planned)
    assert state.status == "finished"
    assert "names.json and 1 more files" in state.lost
    problems = again(done).result["problems"]
    assert any("are missing" in line and planned.title in line for line in problems)
    assert log(stand_in) == []


@pytest.mark.parametrize("content", ["", '{"remarks": ["a"', '{"remarks": "a"}', "[]", '{"remarks": [1]}'])
def test_remarks_that_are_damaged_are_made_anew(done, content):
    done.prepared.write_text(content)
    assert any("are left out" in line for line in rebuild(SPEC, done).result["problems"])
    assert "The stand-in knows words only." in again(done).result["problems"]
    assert json.loads(done.prepared.read_text()) == {"remarks": ["The stand-in knows words only."]}


@pytest.mark.parametrize("facts", [None, [], "x"])
def test_a_record_without_facts_is_corrupt(done, stand_in, facts):
    planned, folder = first(done)
    record = json.loads((folder / "run.json").read_text())
    record["facts"] = facts
    (folder / "run.json").write_text(json.dumps(record))
    assert "the facts of the run are missing" in standing(done, planned).fault
    rebuild(SPEC, done)
    assert again(done).failed == []
    assert (folder.parent / f"{planned.run_id}.corrupt-1").is_dir()


def test_facts_that_lack_some_leave_out_what_they_lack(done):
    _, folder = first(done)
    record = json.loads((folder / "run.json").read_text())
    record["facts"] = {"parameters": 3}
    (folder / "run.json").write_text(json.dumps(record))
    assert [(c["arm"], c["runs"]) for c in rebuild(SPEC, done).result["models"][0]["cost"]] == [
        ("full", 1), ("lora[rank=1]", 2),
    ]  # fmt: skip
    assert read_status(done).seconds_left() is None
