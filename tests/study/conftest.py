from __future__ import annotations

import pytest

from tests.study.studies import TRAINER


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The folder in which a test says what the stand-in trainer is to do."""
    folder = tmp_path / "stand_in"
    folder.mkdir()
    monkeypatch.setenv("STAND_IN", str(folder))
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A study that nothing happened to: its files and its result."""
    from evenhand.study.run import run_study
    from tests.study.studies import study

    return run_study(study(), tmp_path_factory.mktemp("undisturbed"), trainer=TRAINER, workers=2)
