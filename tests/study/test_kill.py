"""A study is killed at random moments, and resumed, until it is done: nothing is lost, nothing done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, contents, log, study, timeless

KILLS = 24
SEEDS = tuple(range(12))
#: A process that is started two dozen times does without pytest.
STUDY = f"""
import sys
from pathlib import Path
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, study
run_study(study(arms=ARMS[:3], seeds={SEEDS}), Path(sys.argv[1]), trainer=TRAINER, workers=2)
"""


def start(output):
    return subprocess.Popen(
        [sys.executable, "-c", STUDY, str(output)], start_new_session=True, stderr=subprocess.DEVNULL
    )


def workers(stand_in):
    """Trainings that have begun and not ended."""
    lines = log(stand_in)
    return sum(line.startswith("begin") for line in lines) - sum(line.startswith("end") for line in lines)


def finished(folder):
    """Runs in their place, with the time of their record: a run that is done twice has another."""
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("runs/[0-9]*/run.json")}


def test_random_kills(stand_in, tmp_path):
    (stand_in / "slow").write_text("0.01")
    draw = random.Random(20)
    spec = study(arms=ARMS[:3], seeds=SEEDS)
    folder = tmp_path / "out" / "small"
    seen: dict[str, int] = {}
    for number in range(KILLS):
        wanted = len(log(stand_in)) + draw.randint(1, 6)
        process = start(tmp_path / "out")
        deadline = time.monotonic() + 20
        while len(log(stand_in)) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.05))
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()  # the workers are left behind, and must notice
        process.wait()
        now = finished(folder)
        assert {run: now[run] for run in seen} == seen
        seen = now
    begun = sum(line.startswith("begin") for line in log(stand_in))
    assert begun > len(seen) > 0, "the kills prove nothing unless some runs are interrupted and some are not"
    assert len(seen) < len(SEEDS) * 3, "the study was done before the last kill"
    (stand_in / "slow").unlink()
    result = run_study(spec, tmp_path / "out", trainer=TRAINER, workers=2)
    assert {run: finished(folder)[run] for run in seen} == seen
    quiet = run_study(spec, tmp_path / "quiet", trainer=TRAINER, workers=2)
    assert contents(folder) == contents(quiet.folder.path)
    assert timeless(result.result) == timeless(quiet.result)
    records = [json.loads(p.read_text()) for p in folder.glob("runs/*/run.json")]
    assert {r["status"] for r in records} == {"finished"}
    assert [p.name for p in (folder / "runs").iterdir() if p.name.startswith(".") and p.is_dir()] == []


@pytest.mark.parametrize("whole_group", [True, False])
def test_workers_end_with_their_parent(whole_group, stand_in, tmp_path):
    (stand_in / "slow").write_text("1")
    process = start(tmp_path / "out")
    deadline = time.monotonic() + 30
    while workers(stand_in) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert workers(stand_in) == 2
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    assert process.wait(10) != 0
    claims = sorted((tmp_path / "out" / "small" / "runs").glob(".*.claim"))
    assert len(claims) == 2
    from evenhand.store.claims import is_held

    deadline = time.monotonic() + 5
    while any(is_held(path) for path in claims) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [is_held(path) for path in claims] == [False, False]
