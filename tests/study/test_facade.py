"""`evenhand.run`: the same from Python."""

from __future__ import annotations

import functools

import pytest

import evenhand.study.run
from evenhand.errors import InputError
from evenhand.study.api import run
from tests.study.studies import TRAINER

SPEC = {
    "name": "posts",
    "dataset": {"name": "synthetic_posts", "rows": 300},
    "model": "someone/words",
    "methods": {"full": {"learning_rate": 1.0, "epochs": 1}, "head_only": {"epochs": 1}},
    "seeds": [1],
    "audit": {"metric": ["accuracy"], "primary": ["accuracy"]},
}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    quick = functools.partial(evenhand.study.run.run_study, trainer=TRAINER)
    monkeypatch.setattr(evenhand.study.run, "run_study", quick)


def test_a_mapping_and_a_file_are_studies(tmp_path):
    moments = []
    [made] = run(SPEC, output=tmp_path, watch=moments.append)
    assert made.result["name"] == "posts"
    assert made.verdict["sentence"].startswith("Nothing was learnt by head_only (see the remarks). In these")
    assert {"loading", "preparing", "training", "judging"} == {now.phase for now in moments}
    shares = [now.share for now in moments if now.phase == "training"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    (tmp_path / "study.yaml").write_text(str(SPEC))
    [again] = run(tmp_path / "study.yaml", output=str(tmp_path), overrides=["seeds=[1,2]"], workers=1)
    assert [row["runs"] for row in again.result["models"][0]["cost"]] == [2, 2]
    assert not again.failed


def test_every_problem_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        run({**SPEC, "seeds": [], "methods": {"fool": {}}}, output=tmp_path)
    assert len(caught.value.complaints) >= 2
