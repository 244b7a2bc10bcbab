"""The commands that look at studies, runs and plug-ins."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from tests.study.studies import ARMS, TRAINER, study

from evenhand import registry
from evenhand.cli import main
from evenhand.cli.lib.plugins import KINDS
from evenhand.store.claims import claim
from evenhand.study.run import run_study


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished study."""
    output = tmp_path_factory.mktemp("output")
    return run_study(study(arms=ARMS[:2]), output, trainer=TRAINER, workers=2).folder.path


@pytest.fixture
def half(done, tmp_path):
    """The same, with one run failed, one corrupt, one under way and one finished."""
    folder = tmp_path / "small"
    shutil.copytree(done, folder)
    first, second, third, _ = sorted((folder / "runs").iterdir())
    record = json.loads((first / "run.json").read_text())
    del record["predictions_sha256"], record["facts"]
    failed = {**record, "status": "failed", "error": "Traceback\nOSError: no"}
    (first / "run.json").write_text(json.dumps(failed))
    (second / "predictions.parquet").write_bytes(b"")
    shutil.rmtree(third)
    held = claim(folder / "runs" / f".{third.name}.claim")
    yield folder
    held.release()


def call(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_ls_lists_every_plug_in(capsys):
    code, out, _ = call(capsys, "ls")
    assert code == 0
    for kind, package in KINDS.items():
        block = re.search(rf"^{kind}:\n((?:  .*\n)+)", out, re.M)
        assert [line.split()[0] for line in block[1].splitlines()] == list(registry.names(package))
        assert all(len(line.split()) > 1 for line in block[1].splitlines())
    recipes = re.search(r"^recipes:\n((?:  .*\n)+)", out, re.M)[1].splitlines()
    assert [line.split()[0] for line in recipes[-3:]] == ["peft_panel_image", "peft_panel_text", "quickstart"]
    assert all(re.match(r"  paper/\S+ +E\d+: ", line) for line in recipes[:-3])


@pytest.mark.parametrize("package", sorted(KINDS.values()))
def test_show_knows_every_plug_in(package, capsys):
    for name in registry.names(package):
        code, out, _ = call(capsys, "show", name)
        assert code == 0
        assert f"{name} (one of the " in out
        assert "title: " in out


def test_show_a_name_that_is_nothing(capsys):
    code, _, err = call(capsys, "show", "lorra")
    assert code == 2
    assert "did you mean 'lora'?" in err


def test_status_of_a_finished_study_and_of_all_studies_there(done, capsys):
    for path in (done, done.parent):
        code, out, _ = call(capsys, "status", path)
        assert code == 0
        assert "small: 4 of 4 runs finished" in out
        assert re.search(r"full \(words\) +2 finished", out)


def test_status_of_a_study_under_way(half, capsys):
    _, out, err = call(capsys, "status", half)
    assert re.search(r"small: 1 of 4 runs finished, about \d+ s left", out)
    for status in ("finished", "failed", "running", "interrupted"):
        assert len(re.findall(rf"1 {status}", out)) == 1
    assert "is corrupt" in err


def test_ls_of_a_study(half, capsys):
    _, out, _ = call(capsys, "ls", half)
    found = sorted(re.findall(r"^  1-[0-9a-f]{16}  (\w+)", out, re.M))
    assert found == ["failed", "finished", "interrupted", "running"]


def test_show_a_study_and_its_runs(done, half, capsys):
    code, out, _ = call(capsys, "show", done)
    assert code == 0
    assert "reference: full" in out
    assert "train: 280" in out
    assert "full" in out.splitlines()[-1]
    first, *_, last = sorted(p for p in (half / "runs").iterdir() if p.is_dir())
    assert call(capsys, "show", first)[1].endswith("Traceback\nOSError: no\n")
    assert "trainable_parameters: " in call(capsys, "show", last)[1]


def test_the_report_is_made_again_from_the_runs(done, tmp_path, capsys):
    folder = tmp_path / "small"
    shutil.copytree(done, folder)
    stored = json.loads((folder / "result.json").read_text())
    (folder / "result.json").unlink()
    code, out, _ = call(capsys, "report", folder)
    assert code == 0
    assert "report.html" in out
    made = json.loads((folder / "result.json").read_text())
    assert made["models"][0]["audit"]["rates"] == stored["models"][0]["audit"]["rates"]
    assert made["models"][0]["audit"]["inputs"] == stored["models"][0]["audit"]["inputs"]
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_report_of_a_half_study_says_what_is_missing(half, capsys):
    code, _, _ = call(capsys, "report", half)
    assert code == 0
    failed = json.loads((half / "result.json").read_text())["failed"]
    assert len(failed) == 3
    assert {"OSError: no", "the run is running"} < {f["error"] for f in failed}


@pytest.mark.parametrize("command", ["status", "report", "ls"])
def test_folders_without_a_study(command, tmp_path, capsys):
    code, _, err = call(capsys, command, tmp_path)
    assert (code, "no study found" in err) == (2, True)
    code, _, err = call(capsys, command, tmp_path / "nowhere")
    assert (code, "folder not found" in err) == (2, True)


def test_show_a_folder_without_a_study(tmp_path, capsys):
    code, _, err = call(capsys, "show", tmp_path)
    assert (code, "neither a study nor a run" in err) == (2, True)


def test_a_stored_study_that_is_broken(done, tmp_path, capsys):
    folder = tmp_path / "small"
    shutil.copytree(done, folder)
    (folder / "study.json").write_text("{")
    code, _, err = call(capsys, "status", folder)
    assert (code, "study.json" in err) == (2, True)
