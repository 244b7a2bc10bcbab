"""What was saved of a model may be gone or emptied: `show` and `status` say so."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.study.studies import ARMS, TRAINER, study

from evenhand.cli import main
from evenhand.study.run import run_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("lost")
    return run_study(study(arms=ARMS[:2], rows=200), output, trainer=TRAINER, workers=2).folder.path


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a finished study."""
    return shutil.copytree(finished, tmp_path / "small")


def one_run(folder):
    """A run of the study."""
    return sorted(p for p in (folder / "runs").iterdir() if (p / "run.json").is_file())[0]


def told(capsys, *words):
    assert main([*words]) == 0
    return capsys.readouterr().err


def test_nothing_is_said_of_models_that_are_there(folder, capsys):
    for words in (["show", str(folder)], ["show", str(one_run(folder))], ["status", str(folder)]):
        assert told(capsys, *words) == ""


def test_models_that_are_gone_are_told(folder, capsys):
    run = one_run(folder)
    shutil.rmtree(run / "adapter")
    lost = f"{run / 'adapter'}"
    assert f"Files of its saved model are missing: {lost}" in told(capsys, "show", str(run))
    for command in ("show", "status"):
        said = told(capsys, command, str(folder))
        assert said.count("files of its saved model are missing") == 1
        assert f"  {run.name} (" in said
        assert lost in said


def test_models_that_were_emptied_are_told(folder, capsys):
    run = one_run(folder)
    weights = run / "adapter" / "weights.npy"
    weights.write_bytes(b"")
    fault = f"{weights} differs from the file that the run saved (0 bytes now)."
    assert told(capsys, "show", str(run)) == f"This run is corrupt: {fault}\n"
    for command in ("show", "status"):
        assert f"is corrupt: {fault}" in told(capsys, command, str(folder))


def test_a_record_of_before_says_nothing(folder, capsys):
    run = one_run(folder)
    record = json.loads((run / "run.json").read_bytes())
    del record["saved"]
    (run / "run.json").write_text(json.dumps(record))
    shutil.rmtree(run / "adapter")
    assert told(capsys, "show", str(run)) == ""
