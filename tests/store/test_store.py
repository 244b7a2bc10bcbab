"""Claims between processes, and folders of runs in every state that a kill can leave them in."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from evenhand.store.claims import claim, is_held
from evenhand.store.runs import PREDICTIONS, Attempt, Runs

ABOUT = {"data": {"sha256": "rows"}, "arm": "full"}

HOLD = """
import sys, time
from pathlib import Path
from evenhand.store.claims import claim
assert claim(Path(sys.argv[1])) is not None
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path, "rows")


def finished(runs, run_id="1-a", answers=b"some answers"):
    attempt = runs.begin(run_id)
    (attempt.folder / PREDICTIONS).write_bytes(answers)
    attempt.finish(ABOUT, {"steps": 3})
    return runs.folder(run_id)


def holder(path):
    """Another process that holds a claim."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def ended(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_claim_is_held_by_one_and_outlives_nobody(tmp_path):
    path = tmp_path / "claim"
    assert is_held(path) is None
    other = holder(path)
    assert is_held(path)
    assert claim(path) is None
    ended(other)
    assert is_held(path) is False
    mine = claim(path)
    assert mine is not None
    assert mine.attempts == 2  # the dead process began it once
    mine.release()
    assert is_held(path) is None


def test_the_number_of_a_dead_process_means_nothing(tmp_path):
    """A claim that names a living process, here this one, is free when nobody holds its lock."""
    path = tmp_path / "claim"
    path.write_text(json.dumps({"attempts": 4, "process": os.getpid()}))
    mine = claim(path)
    assert mine is not None
    assert mine.attempts == 5
    mine.release()


def test_a_claim_that_cannot_be_read_counts_from_one(tmp_path):
    path = tmp_path / "claim"
    path.write_text("{")
    mine = claim(path)
    assert mine.attempts == 1
    mine.release()


def race(path, tally, rounds):
    for _ in range(rounds):
        mine = claim(path)
        if mine is not None:
            inside = tally / "inside"
            handle = os.open(inside, os.O_CREAT | os.O_EXCL)  # fails when two are inside
            os.close(handle)
            time.sleep(0.0005)
            inside.unlink()
            mine.release()


def test_never_two_hold_a_claim_while_it_is_released_and_taken(tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "claim"
    racers = [context.Process(target=race, args=(path, tmp_path, 300)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert [racer.exitcode for racer in racers] == [0, 0, 0, 0]


def test_the_states_of_a_run(runs):
    assert runs.look("1-a").status == "planned"
    attempt = runs.begin("1-a")
    assert isinstance(attempt, Attempt)
    assert runs.look("1-a").status == "running"
    assert runs.begin("1-a").status == "running"
    assert not runs.folder("1-a").exists()
    (attempt.folder / PREDICTIONS).write_bytes(b"x")
    attempt.finish(ABOUT, {"steps": 3})
    state = runs.look("1-a")
    assert (state.status, state.record["facts"], state.attempts) == ("finished", {"steps": 3}, 1)
    assert runs.begin("1-a").status == "finished"
    assert [p.name for p in runs.path.iterdir()] == ["1-a"]


def test_a_run_whose_process_died_is_interrupted_and_its_half_is_removed(runs):
    other = holder(runs.path / ".1-a.claim")
    half = runs.path / ".1-a.half"
    half.mkdir()
    (half / "train.jsonl").write_text("{}")
    assert runs.look("1-a").status == "running"
    ended(other)
    assert runs.look("1-a").status == "interrupted"
    attempt = runs.begin("1-a")
    assert attempt.number == 2
    assert not half.exists()


def test_a_failure_keeps_its_traceback_and_is_moved_aside_when_it_is_tried_again(runs):
    runs.begin("1-a").fail(ABOUT, "Traceback\nValueError: no")
    state = runs.look("1-a")
    assert (state.status, state.record["error"]) == ("failed", "Traceback\nValueError: no")
    assert runs.begin("1-a", failures=0).status == "failed"  # it failed after this caller had looked
    again = runs.begin("1-a", failures=1)
    assert again.number == 2
    assert "ValueError" in (runs.path / "1-a.failed-1" / "run.json").read_text()
    again.fail(ABOUT, "again")
    assert runs.look("1-a").attempts == 2


def test_a_run_without_predictions_is_not_finished(runs):
    attempt = runs.begin("1-a")
    with pytest.raises(FileNotFoundError, match=PREDICTIONS):
        attempt.finish(ABOUT, {})


def truncate(folder):
    (folder / PREDICTIONS).write_bytes(b"some")


def remove(folder):
    (folder / PREDICTIONS).unlink()


def garble(folder):
    (folder / "run.json").write_bytes(b"\xff{")


def empty(folder):
    (folder / "run.json").write_text("{}")


def strip(folder):
    (folder / "run.json").unlink()


def rename(folder):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "done"}))


@pytest.mark.parametrize("harm", [truncate, remove, garble, empty, strip, rename])
def test_a_corrupt_folder_is_moved_aside_and_told(runs, harm):
    folder = finished(runs)
    harm(folder)
    state = runs.look("1-a")
    assert state.status == "interrupted"
    assert state.fault
    attempt = runs.begin("1-a")
    assert isinstance(attempt, Attempt)
    assert attempt.remarks == (
        f"Run 1-a: {state.fault} The run is repeated; its old folder is now {runs.path / '1-a.corrupt-1'}.",
    )
    gone = {"remove": {PREDICTIONS}, "strip": {"run.json"}}.get(harm.__name__, set())
    assert {p.name for p in (runs.path / "1-a.corrupt-1").iterdir()} == {PREDICTIONS, "run.json"} - gone


def test_corrupt_folders_are_numbered(runs):
    finished(runs)
    for number in (1, 2):
        truncate(runs.folder("1-a"))
        attempt = runs.begin("1-a")
        (attempt.folder / PREDICTIONS).write_bytes(b"whole again")
        attempt.finish(ABOUT, {})
        assert (runs.path / f"1-a.corrupt-{number}").is_dir()
        assert runs.look("1-a").status == "finished"


def test_a_run_on_other_rows_does_not_count(runs):
    finished(runs)
    other = Runs(runs.path, "others")
    state = other.look("1-a")
    assert state.status == "interrupted"
    assert "other rows" in state.fault


def test_the_death_of_a_process_is_recorded_by_another(runs):
    other = holder(runs.path / ".1-a.claim")
    os.kill(other.pid, signal.SIGKILL)
    ended(other)
    state = runs.record_crash("1-a", ABOUT, "killed")
    assert (state.status, state.record["error"], state.attempts) == ("failed", "killed", 1)
    assert is_held(runs.path / ".1-a.claim") is None


def test_nothing_is_recorded_of_a_run_that_another_process_has_taken_over(runs):
    other = holder(runs.path / ".1-a.claim")
    assert runs.record_crash("1-a", ABOUT, "killed").status == "running"
    ended(other)
    finished(runs)
    assert runs.record_crash("1-a", ABOUT, "killed").status == "finished"
