"""One run after the other, each by two processes that torchrun has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenhand.errors import CallError
from evenhand.spec.read import read_studies
from evenhand.store.claims import is_held
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, contents, log, study, timeless

#: A small Llama, divided: its run is done when `model/` is there whole.
DIVIDED = """
import sys
from pathlib import Path
from evenhand.spec.read import read_studies
from evenhand.study.run import run_study
from tests.study.test_group import spec_of
run_study(*read_studies(spec_of(sys.argv[1])), Path(sys.argv[2]), executor="accelerate", workers=2)
"""


def records(folder):
    found = [json.loads(p.read_text()) for p in folder.path.glob("runs/1-*/run.json")]
    return {(r["arm"], r["seed"]): r for r in found}


def test_a_group_does_what_single_processes_do(stand_in, undisturbed, tmp_path):
    done = run_study(study(), tmp_path, trainer=TRAINER, executor="accelerate", workers=2)
    assert contents(done.folder.path) == contents(undisturbed.folder.path)
    assert timeless(done.result) == timeless(undisturbed.result)
    here = [line for line in log(stand_in) if line.startswith("here")]
    assert {line.partition(":")[0] for line in here} == {"here 0 of 2", "here 1 of 2"}
    assert len(here) == 2 * len(records(done.folder))


@pytest.mark.slow
def test_what_breaks_a_group_is_the_failure_of_its_run(stand_in, tmp_path):
    for seed, file in enumerate(("fail", "fail_other", "die_other"), 1):
        (stand_in / file).write_text(f"full {seed}")
    spec = study(arms=ARMS[:1], seeds=(1, 2, 3, 4))
    done = run_study(spec, tmp_path, trainer=TRAINER, executor="accelerate", workers=2)
    found = {seed: record for (_, seed), record in records(done.folder).items()}
    assert [found[seed]["status"] for seed in (1, 2, 3, 4)] == ["failed"] * 3 + ["finished"]
    assert [found[seed]["error"].strip().splitlines()[-1] for seed in (1, 2, 3)] == [
        "FloatingPointError: the loss of full is no number any more",
        "FloatingPointError: the other one cannot go on",
        "Process 2 of the 2 that trained together died.",
    ]
    assert all("Traceback" in found[seed]["error"] for seed in (1, 2))
    assert "SIGKILL" in found[3]["error"]


def test_calls_that_cannot_be_meant(tmp_path):
    with pytest.raises(CallError, match="got 1; the executor accelerate divides each run"):
        run_study(study(), tmp_path, executor="accelerate", workers=1)
    spec = study()
    training = spec.training.model_copy(update={"parallel": "fsdp"})
    with pytest.raises(CallError, match=r"fsdp.*'processes' trains each run in one process; use --executor"):
        run_study(spec.model_copy(update={"training": training}), tmp_path)
    assert not list(tmp_path.iterdir())


def spec_of(folder):
    return {
        "name": "divided",
        "dataset": {"name": "synthetic_posts", "rows": 120},
        "model": folder,
        "methods": {"full": {"epochs": 2}},
        "training": {"parallel": "fsdp", "gradient_checkpointing": True},
        "seeds": [1, 2, 3],
        "audit": {"metric": ["accuracy"], "primary": ["accuracy"]},
    }


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_divided_llama_is_killed_and_goes_on(whole_group, tmp_path):
    from evenhand.finetune.estimate.standin import stand_in

    folder = str(stand_in("llama", "text"))
    out = tmp_path / "killed"
    runs = out / "divided" / "runs"
    process = subprocess.Popen([sys.executable, "-c", DIVIDED, folder, str(out)], start_new_session=True)
    deadline = time.monotonic() + 240
    # In the middle of the second run: one is finished, and another has taken steps.
    while not (list(runs.glob("1-*/run.json")) and _steps(runs)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in runs.glob("1-*/run.json")}
    assert 1 <= len(finished) < 3
    deadline = time.monotonic() + 10
    while any(is_held(path) for path in runs.glob(".*.claim")) and time.monotonic() < deadline:
        time.sleep(0.01)
    [spec] = read_studies(spec_of(folder))
    resumed = run_study(spec, out, executor="accelerate", workers=2)
    assert not resumed.failed
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    assert len(list(runs.glob("1-*/run.json"))) == 3
    assert [p.name for p in runs.iterdir() if p.name.startswith(".") and p.is_dir()] == []
    for record in records(resumed.folder).values():
        assert (record["facts"]["processes"], record["facts"]["parallel"]) == (2, "fsdp")
        assert record["facts"]["checks"]["reload"] <= 1e-4
        assert record["attempts"] <= 2
    if whole_group:
        quiet = run_study(spec, tmp_path / "quiet", executor="accelerate", workers=2)
        for one in sorted(runs.glob("1-*")):
            other = quiet.folder.path / "runs" / one.name
            scores = [
                np.array(pq.read_table(f / "predictions.parquet")["score"].to_pylist()) for f in (one, other)
            ]
            np.testing.assert_allclose(*scores, atol=1e-6)


def _steps(runs: Path) -> bool:
    """Whether a run is under way that has taken a step."""
    return any(path.stat().st_size for path in runs.glob(".1-*/train.jsonl"))
