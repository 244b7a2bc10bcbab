"""A small study with the real trainer: killed and resumed, it gives the same bytes as one left in peace."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenhand.spec.read import read_studies
from evenhand.study.run import run_study
from tests.study.studies import contents, timeless

KILLS = 3
SPEC = {
    "name": "real",
    "dataset": {"name": "synthetic_posts", "rows": 200},
    "model": {"name": "tiny_text", "pretraining": "none"},
    "methods": {
        "none": {},
        "full": {"epochs": 1},
        "head_only": {"epochs": 1},
        "lora": {"rank": [1, 4], "epochs": 1, "dropout": 0.1},
    },
    "seeds": [1, 2],
    "audit": {"metric": ["accuracy"], "primary": ["accuracy"]},
}
STUDY = """
import sys
from pathlib import Path
from evenhand.spec.read import read_studies
from evenhand.study.run import run_study
from tests.study.test_real_trainer import SPEC
run_study(*read_studies(SPEC), Path(sys.argv[1]), workers=2)
"""


def lasting(folder):
    """Files of all runs, without the log, in which seconds stand."""
    return {path: digest for path, digest in contents(folder).items() if not path.endswith("train.jsonl")}


@pytest.mark.slow
def test_a_resumed_study_is_an_undisturbed_one(tmp_path):
    [spec] = read_studies(SPEC)
    runs = tmp_path / "killed" / "real" / "runs"
    for number in range(1, KILLS + 1):
        process = subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path / "killed")])
        deadline = time.monotonic() + 120
        while len(list(runs.glob("1-*/run.json"))) < 2 * number and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert 2 * KILLS <= len(list(runs.glob("1-*"))) < 10
    killed = run_study(spec, tmp_path / "killed", workers=2)
    quiet = run_study(spec, tmp_path / "quiet", workers=1)
    assert killed.failed == quiet.failed == []
    assert lasting(killed.folder.path) == lasting(quiet.folder.path)
    assert len(lasting(quiet.folder.path)) > 20
    one, other = timeless(killed.result), timeless(quiet.result)
    for result in (one, other):
        for row in result["models"][0]["cost"]:
            del row["peak_memory_bytes"]
    assert one == other
    record = json.loads(next(Path(runs).glob("1-*/run.json")).read_text())
    assert {"torch", "transformers", "peft"} <= set(record["facts"]["versions"])
