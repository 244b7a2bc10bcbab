"""The README's own study can be tried out without a network, and its files need not be there before."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import evenhand

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Loaded by every process of the command: there is no network.
NO_NETWORK = """\
import socket

def refuse(*_, **__):
    raise socket.gaierror(socket.EAI_AGAIN, "there is no network")

socket.getaddrinfo = socket.create_connection = refuse
"""


def studies():
    """Every study that a page shows."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [
        block for block in blocks if {"name:", "dataset:", "methods:"} <= {*re.findall(r"^\w+:", block, re.M)}
    ]


@pytest.fixture
def call(tmp_path):
    """Run a command in a folder with the README's study and its table, on a machine without a network."""
    draw = random.Random(8)
    with (tmp_path / "comments.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["comment", "toxic", "race", "gender"])
        for i in range(200):
            toxic = int(draw.random() < 0.4)
            text = f"{'awful' if toxic else 'lovely'} words, number {i}"
            rows.writerow([text, toxic, draw.choice(["Black", "White"]), draw.choice("FM")])
    [study] = studies()
    (tmp_path / "study.yaml").write_text(study)
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(NO_NETWORK)
    source = Path(evenhand.__file__).parents[1]
    environment = {k: v for k, v in os.environ.items() if k not in {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}}
    environment |= {
        "PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{source}",
        "HF_HOME": str(tmp_path / "nothing downloaded"),
    }

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "evenhand", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_a_dry_run_knows_its_sizes(call):
    done = call("run", "study.yaml", "--dry-run", "--speed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "rows: 140 train, 20 validation, 40 test" in done.stdout
    # Of BERT with a head for two classes: its pooler's and encoder's 109,482,240, and 2 x 768 + 2.
    assert "bert-base-uncased, 109,483,778 parameters" in done.stdout
    trained = {line.split()[0]: line.split()[3] for line in done.stdout.splitlines() if "%" in line}
    # LoRA's pairs of rank r beside queries and values of 12 layers: 2 x 12 x 2 x 768 r, and the head.
    assert trained["lora[rank=8]"] == f"{24 * 2 * 768 * 8 + 1538:,}"
    assert trained["head_only"] == "1,538"
    assert "?" not in done.stdout


def test_a_smoke_is_judged(call, tmp_path):
    done = call("run", "study.yaml", "--smoke", "--executor", "local")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "evenhand-runs" / "comments-smoke" / "result.json").read_bytes())
    assert result["failed"] == []
    [model] = result["models"]
    assert model["model"] == "bert-base-uncased"
    assert {row["candidate"] for row in model["audit"]["comparisons"]} == {
        "lora[rank=1]", "lora[rank=8]", "lora[rank=64]", "head_only",
    }  # fmt: skip
