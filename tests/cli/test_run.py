"""`evenhand run`, with a stand-in for the half that needs torch."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study.studies import TRAINER, log

import evenhand.study.run
from evenhand.cli import main
from evenhand.store.folder import StudyFolder

SPEC = """
name: posts
dataset: {name: synthetic_posts, rows: 300}
model: someone/words
methods:
  full: {learning_rate: 1.0, epochs: 1}
  lora: {rank: [1, 8], learning_rate: 1.0, epochs: 1}
seeds: [1, 2]
audit: {metric: [accuracy], primary: [accuracy]}
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command on a study file in an empty folder; its code, standard output and standard error."""
    (tmp_path / "study.yaml").write_text(SPEC)
    (tmp_path / "stand_in").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAND_IN", str(tmp_path / "stand_in"))
    stand_in = functools.partial(evenhand.study.run.run_study, trainer=TRAINER)
    monkeypatch.setattr(evenhand.study.run, "run_study", stand_in)

    def run(*words):
        code = main(["run", "study.yaml", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_study_ends_in_a_sentence_and_a_report(call, tmp_path):
    code, out, err = call()
    folder = tmp_path / "evenhand-runs" / "posts"
    result = json.loads((folder / "result.json").read_text())
    assert code == 0
    assert result["verdict"]["sentence"].split(":")[0] in " ".join(out.split())
    assert "evenhand-runs/posts/report.html" in out
    assert "evenhand-runs/posts/result.json" in out
    assert "<html" in (folder / "report.html").read_text()[:200]
    assert "training" in err
    assert "6 of 6 runs" in err
    assert len(err.splitlines()) < 12
    assert call("--workers", "1")[0] == 0
    assert sum(line.startswith("begin") for line in log(tmp_path / "stand_in")) == 6


def test_a_dry_run_tells_the_plan_and_writes_nothing(call, tmp_path):
    code, out, err = call("--dry-run", "-o", "seeds=[1,2,3]")
    assert code == 0
    assert "9 runs, 0 of them finished" in out
    assert "210 train, 30 validation, 60 test" in out
    assert "someone/words" in out
    assert re.findall(r"^  (\S+) +(\d+) +(\d+) +\S+ +\S+ +(\d+)", out, re.M) == [
        ("full", "3", "0", "7"), ("lora[rank=1]", "3", "0", "7"), ("lora[rank=8]", "3", "0", "7"),
    ]  # fmt: skip
    assert "'someone/words': its config.json is not available" in err
    assert not (tmp_path / "evenhand-runs").exists()
    call()
    assert "9 runs, 6 of them finished" in call("--dry-run", "-o", "seeds=[1,2,3]")[1]


def test_a_dry_run_tells_how_large_a_study_is(call):
    code, out, err = call("--dry-run", "--speed", "0.0001", "-o", "model={name: tiny_text}")
    assert (code, err) == (0, "")
    assert "86,914 parameters" in out
    lines = {
        line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ") and line.split()
    }
    assert lines["full"][3:5] == ["86,914", "100"]
    assert lines["lora[rank=1]"][3] == "642"
    assert "0.0001 TFLOP/s, texts of" in out
    assert "estimates, not measured" in out
    code, _, err = call("--dry-run", "-o", "model={name: tiny_text}", "-o", "methods.lora.targets=[mlp.gate]")
    assert code == 2
    assert "lora[rank=1]: targets: the model has no role 'mlp.gate'" in err


def test_a_dry_run_tells_what_each_of_several_processes_takes(call):
    model = ("-o", "model={name: tiny_text}")
    group = ("--executor", "accelerate", "--workers", "4")
    _, one, _ = call("--dry-run", *model)
    _, four, _ = call("--dry-run", *model, *group, "-o", "training.parallel=fsdp")
    assert "each run uses 4 processes, each with its part of the rows and of the model" in four
    assert "All runs on 4 devices" in four

    def memory(out):
        return float(re.search(r"^  full .* ([0-9.]+) MB", out, re.M)[1])

    assert memory(four) < memory(one)
    code, _, err = call("--dry-run", *model, "-o", "training.parallel=fsdp")
    assert code == 2
    assert "use --executor accelerate" in err


def test_a_dry_run_without_the_data_tells_what_can_be_known(call, tmp_path):
    text = (tmp_path / "study.yaml").read_text().replace("someone/words", "tiny_text")
    text = text.replace("{name: synthetic_posts, rows: 300}", "{name: dlab_hate_speech, path: ./none.csv}")
    (tmp_path / "study.yaml").write_text(text)
    code, out, err = call("--dry-run")
    assert code == 2
    assert "none.csv" in err
    assert "rows: not known" in out
    assert re.findall(r"^  full +2 +0 +([0-9,]+) +100 % +[?] +\S+ MB +[?] +[?]$", out, re.M) == ["86,914"]
    assert "All runs" not in out


def test_a_dry_run_shows_trials(call):
    _, out, _ = call("--dry-run", "-o", "methods={lora: {tune: {learning_rate: [0.1, 1.0], epochs: [1, 2]}}}")
    assert "8 runs, 0 of them finished" in out
    assert re.findall(r"^  (lora at .*?)  +(\d+)  +(\d+)", out, re.M) == [
        (f"lora at learning_rate={rate},epochs={epochs}", "2", "0") for rate in (0.1, 1) for epochs in (1, 2)
    ]


PRIVACY = "privacy={attacks: [loss, lira], references: 3}"


def test_a_dry_run_counts_the_runs_on_halves(call):
    code, out, _ = call("--dry-run", "-o", PRIVACY, "-o", "model={name: tiny_text}")
    assert code == 0
    assert "18 runs, 0 of them finished" in out
    found = re.findall(r"^  (.*?)  +(\d+) +(\d+) +\S+ +\S+ % +(\d+) ", out, re.M)
    assert found == [
        *((arm, "2", "0", "7") for arm in ("full", "lora[rank=1]", "lora[rank=8]")),
        *((f"{arm} on halves", "4", "0", "4") for arm in ("full", "lora[rank=1]", "lora[rank=8]")),
    ]


def test_attacked_runs_stand_in_progress_status_and_result(call, tmp_path, capsys):
    code, _, err = call("-o", PRIVACY, "-o", "methods={full: {learning_rate: 1.0, epochs: 1}}")
    assert code == 0
    assert "6 of 6 runs" in err
    assert main(["status"]) == 0
    assert "full on halves (someone/words)    4 finished" in capsys.readouterr().out
    folder = tmp_path / "evenhand-runs" / "posts"
    assert json.loads((folder / "result.json").read_text())["models"][0]["privacy"]["rates"]
    [half] = [p for p in folder.glob("runs/*/run.json") if '"half": 2' in p.read_text()]
    assert main(["show", str(half.parent)]) == 0
    said = capsys.readouterr().out
    assert "protocol: shared" in said
    assert "half: 2" in said


def test_failed_runs_are_listed_with_the_way_to_their_tracebacks(call, tmp_path, capsys):
    (tmp_path / "stand_in" / "fail").write_text("lora[rank=8] 2")
    code, out, err = call()
    assert code == 1
    assert "report.html" in out
    assert "1 run not finished" in err
    assert "no number any more" in err
    [command] = re.findall(r"evenhand (show \S+)", err)
    assert main(command.split()) == 0
    shown = capsys.readouterr().out
    assert "Traceback (most recent call last)" in shown
    assert "status: failed" in shown


def test_what_is_wrong_with_the_data_is_told_before_training(call, tmp_path):
    code, out, err = call("-o", "dataset.base_rates=1.0", "-o", "dataset.rows=8")
    assert code == 2
    assert "at least two classes are needed" in err
    assert "at least 4" in err
    assert out == ""
    assert not (tmp_path / "evenhand-runs").exists()


def test_the_data_of_every_study_are_checked_before_the_first_is_trained(call, tmp_path):
    two = "studies:\n  - {name: one}\n  - {name: two, dataset: {rows: 8, base_rates: 1.0}}\n"
    (tmp_path / "study.yaml").write_text(SPEC.replace("name: posts\n", two))
    code, _, err = call()
    assert code == 2
    assert "two: dataset synthetic_posts: " in err
    assert not (tmp_path / "evenhand-runs").exists()


def test_what_is_wrong_with_the_models_is_told_before_training(call, tmp_path):
    (tmp_path / "stand_in" / "refuse").write_text("someone/words: there is no such model.")
    code, _, err = call()
    assert (code, "someone/words: there is no such model." in err) == (2, True)
    assert not (tmp_path / "evenhand-runs").exists()


def test_the_gate(call):
    harm, undecided = call("--fail-on", "harm")[0], call("--fail-on", "undecided")[0]
    counts = json.loads(Path("evenhand-runs/posts/result.json").read_text())["verdict"]["counts"]
    assert harm == (3 if counts["harm"] else 0)
    assert undecided == (3 if counts["harm"] or counts["undecided"] else 0)
    assert undecided == 3


def test_a_gate_needs_two_arms(call, tmp_path):
    alone = re.sub(r"  lora: .*\n", "", SPEC)
    (tmp_path / "study.yaml").write_text(alone)
    code, _, err = call("--fail-on", "harm")
    assert (code, "posts has only one arm" in err) == (2, True)
    assert call()[0] == 0


CTRL_C = """
import functools, sys
import evenhand.study.run
from evenhand.cli import main
evenhand.study.run.run_study = functools.partial(
    evenhand.study.run.run_study, trainer="tests.study.stand_in"
)
sys.exit(main(["run", "study.yaml"]))
"""


def test_ctrl_c_says_how_to_go_on(call, tmp_path):
    (tmp_path / "stand_in" / "slow").write_text("0.5")
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 30
    while not any(x.startswith("begin") for x in log(tmp_path / "stand_in")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "repeat the command to continue" in err
    assert "Traceback" not in err
    (tmp_path / "stand_in" / "slow").unlink()
    assert call()[0] == 0


def test_a_dry_run_measures_the_machine_and_looks_at_the_disk(call, monkeypatch):
    code, out, err = call("--dry-run", "-o", "model={name: tiny_text}")
    assert (code, err) == (0, "")
    reached = float(
        re.search(r"Times: ([\d.e+-]+) TFLOP/s \(a matrix product, measured on this machine\)", out)[1]
    )
    assert 0.0001 < reached < 100  # of a CPU: not the 200 of a large GPU
    # full by two seeds stores 86,914 numbers, each of the two adapters far fewer.
    stored, free = re.search(r"Models to be stored: (\d+) MB; ([\d,.]+ [GM]B) are free", out).groups()
    assert stored == "1"
    assert free != "1 MB"
    monkeypatch.setattr(StudyFolder, "free", lambda folder: 1000)
    assert "This does not fit" in call("--dry-run", "-o", "model={name: tiny_text}")[2]
