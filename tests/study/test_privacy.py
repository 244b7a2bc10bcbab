"""Attacks in a study: which runs there are for them, what these record, and what comes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from evenhand.errors import InputError
from evenhand.spec.study import Split
from evenhand.store.folder import StudyFolder
from evenhand.study.data import ids_digest, load
from evenhand.study.plan import as_plain, plan
from evenhand.study.results.privacy import _fault
from evenhand.study.results.status import read_status
from evenhand.study.run import run_study
from tests.study import studies
from tests.study.studies import TRAINER, attacked, contents, log, timeless

ARMS = (studies.ARMS[0], studies.ARMS[2])
SHARED = attacked("loss", references=3)
OFFLINE = attacked("loss", {"lira": {"mode": "offline"}}, references=3, protocol="offline")
STUDY = """
import sys
from pathlib import Path
from evenhand.study.run import run_study
from tests.study.studies import TRAINER
from tests.study.test_privacy import SHARED, study
run_study(study(privacy=SHARED), Path(sys.argv[1]), trainer=TRAINER, workers=2)
"""


def study(**given):
    return studies.study(**{"arms": ARMS, "rows": 200, **given})


def run(spec, output, **more):
    return run_study(spec, output, **{"trainer": TRAINER, "workers": 2, **more})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run(study(), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return run(study(privacy=SHARED), tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return run(study(privacy=OFFLINE), tmp_path_factory.mktemp("offline"))


def halves(spec):
    return [p for p in plan(spec) if p.half is not None]


def signals(result, planned):
    return pq.ParquetFile(result.folder.path / "runs" / planned.run_id / "signals.parquet").read().to_pydict()


def recorded(result, planned):
    folder = result.folder.path / "runs" / planned.run_id
    return json.loads((folder / "run.json").read_text()), json.loads((folder / "train_ids.json").read_text())


def test_without_attacks_a_study_is_what_it_was(undisturbed):
    spec = studies.study()
    assert [p.run_id for p in plan(spec)][:2] == KNOWN
    assert all(p.job.membership is None and "membership" not in as_plain(p.job) for p in plan(spec))
    assert undisturbed.result["models"][0]["privacy"] is None
    assert not list(undisturbed.folder.path.glob("runs/*/signals.parquet"))


#: Ids from before runs could be attacked.
KNOWN = ["1-d166f933c2d15c36", "1-89f0860a34dcfc13"]


def test_the_same_halves_for_every_arm_besides_the_same_runs():
    spec = study(privacy=SHARED)
    own = [p for p in plan(spec) if p.half is None]
    assert [p.run_id for p in own] == [p.run_id for p in plan(study())]
    assert [(p.half, p.arm, p.job.seed) for p in halves(spec)] == [
        (half, arm.name, 13 + half) for half in range(4) for arm in ARMS
    ]
    assert len({p.run_id for p in plan(spec)}) == 4 + 8
    more = halves(study(privacy=attacked("rmia", references=5)))
    assert {p.run_id for p in halves(spec)} < {p.run_id for p in more}
    other = halves(study(privacy=attacked("loss", references=3, seed=14)))
    assert not {p.run_id for p in halves(spec)} & {p.run_id for p in other}


def test_references_are_trained_for_attacks_that_learn_from_them():
    alone = attacked("loss", protocol="offline", references=3)
    assert halves(study(privacy=alone)) == []
    assert len(halves(study(privacy=OFFLINE))) == 3 * len(ARMS)
    assert {p.run_id for p in plan(study(privacy=alone))} < {p.run_id for p in plan(study(privacy=OFFLINE))}
    assert not {p.run_id for p in plan(study(privacy=OFFLINE))} & {p.run_id for p in plan(study())}


def test_the_halves_are_those_that_were_recorded_and_the_same_for_every_arm(shared):
    spec = study(privacy=SHARED)
    parts = json.loads(shared.folder.data.read_text())["parts"]
    inside = {}
    for planned in halves(spec):
        record, ids = recorded(shared, planned)
        table = signals(shared, planned)
        told = np.array(table["in_training"])
        assert table["example_id"] == parts["train"]
        assert set(np.array(table["example_id"])[told]) == set(ids)
        assert record["data"]["train_ids_sha256"] == ids_digest(ids)
        assert len(ids) == 70
        assert not (shared.folder.path / "runs" / planned.run_id / "predictions.parquet").exists()
        inside.setdefault(planned.arm, []).append(told)
    for found in inside.values():
        assert len({tuple(each) for each in np.transpose(found)}) > 8  # rows have no common pattern
        assert (np.array(found) == np.array(inside["full"])).all()


def test_each_run_on_a_half_is_attacked(shared, plain):
    [model] = shared.result["models"]
    privacy = model["privacy"]
    assert privacy["schema"] == "evenhand.attack/1"
    assert [(d["input"], d["targets"], d["references"], d["shared"]) for d in privacy["design"]] == [
        (arm.name, 4, 3, True) for arm in ARMS
    ]
    assert privacy["settings"]["attacks"] == ["loss"]
    assert {r["attribute"] for r in privacy["rates"]} == {None, "group"}
    assert {c["candidate"] for c in privacy["comparisons"]} == {arm.name for arm in ARMS[1:]}
    assert all(i["path"].startswith("runs/") for i in privacy["inputs"])
    assert json.loads(shared.folder.result.read_text()) == shared.result
    before = timeless(plain.result)["models"][0]
    after = timeless(shared.result)["models"][0]
    assert {k: v for k, v in after.items() if k != "privacy"} == {
        k: v for k, v in before.items() if k != "privacy"
    }


def test_the_study_s_own_runs_are_attacked(offline):
    [model] = offline.result["models"]
    assert [(d["input"], d["targets"], d["references"], d["shared"]) for d in model["privacy"]["design"]] == [
        (arm.name, 2, 3, False) for arm in ARMS
    ]
    assert {d["rows"] for d in model["privacy"]["design"]} == {40}
    assert {d["members"] for d in model["privacy"]["design"]} == {20}
    spec = study(privacy=OFFLINE)
    data = json.loads(offline.folder.data.read_text())
    for planned in plan(spec):
        record, ids = recorded(offline, planned)
        table = signals(offline, planned)
        told = {i for i, inside in zip(table["example_id"], table["in_training"], strict=True) if inside}
        assert record["data"]["train_ids_sha256"] == ids_digest(ids)
        if planned.half is None:
            assert ids == data["parts"]["train"]
            assert told == set(table["example_id"]) & set(ids)
            assert set(table["example_id"]) - told <= set(data["parts"]["test"])
        else:
            assert set(table["model_role"]) == {f"reference {planned.half}"}
            assert not set(ids) & set(table["example_id"])
            assert set(ids) <= set(data["parts"]["train"])
            assert len(ids) == 60
            assert not told


def test_it_can_come_later(tmp_path, stand_in, plain):
    shutil.copytree(plain.folder.path, tmp_path / "small")
    later = run(study(privacy=SHARED), tmp_path)
    assert len([x for x in log(stand_in) if x.startswith("begin")]) == 8
    assert later.result["models"][0]["privacy"]["design"][0]["targets"] == 4
    standing = read_status(later.folder)
    assert {key[1]: sum(count.values()) for key, count in standing.counts().items()} == {
        **{arm.name: 2 for arm in ARMS},
        **{f"{arm.name} on halves": 4 for arm in ARMS},
    }


def test_killed_and_resumed(tmp_path, stand_in, shared):
    (stand_in / "slow").write_text("0.03")
    process = subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(log(stand_in)) < 14 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    there = len(list((tmp_path / "small" / "runs").glob("1-*/signals.parquet")))
    assert 0 < there < 8
    (stand_in / "slow").unlink()
    again = run(study(privacy=SHARED), tmp_path)
    assert contents(again.folder.path) == contents(shared.folder.path)
    one, other = timeless(again.result), timeless(shared.result)
    for result in (one, other):
        del result["models"][0]["privacy"]["created"]
    assert one == other


def test_runs_that_are_missing_or_without_their_ids_are_left_out_with_their_halves(tmp_path, stand_in):
    (stand_in / "fail").write_text("lora[rank=8] 14")
    (stand_in / "lost").write_text("full 15")
    result = run(study(privacy=SHARED), tmp_path).result
    [failed] = result["failed"]
    assert (failed["arm"], failed["run"]) == ("lora[rank=8] on half 1", "14")
    assert {d["targets"] for d in result["models"][0]["privacy"]["design"]} == {2}
    assert [p for p in result["problems"] if "attacks" in p] == [
        "words: attacks: full on half 2, seed 15, words: the training ids that it recorded are not those of "
        "its half, so it is left out.",
        "words: attacks: not every run is finished (full has 3 of 4, lora[rank=8] has 3 of 4), so only the "
        "halves that all arms have are judged: 0, 3.",
    ]
    assert {r["runs"] for r in result["models"][0]["audit"]["rates"]} == {2}


def test_a_reference_that_learnt_from_attacked_rows_is_refused(offline):
    planned = halves(study(privacy=OFFLINE))[0]
    record, ids = recorded(offline, planned)
    runs, data = offline.folder.runs(), offline.folder.read_data()
    assert _fault(planned, record, runs, data, offline=True) is None
    path = runs.folder(planned.run_id) / "train_ids.json"
    before = path.read_text()
    try:
        other = [*ids, signals(offline, planned)["example_id"][0]]
        path.write_text(json.dumps(other))
        assert "are not those of its half" in _fault(planned, record, runs, data, offline=True)
        record["data"]["train_ids_sha256"] = ids_digest(other)
        told = _fault(planned, record, runs, data, offline=True)
        assert told == "it was trained on 1 of the attacked rows, which the protocol 'offline' forbids"
        assert _fault(planned, record, runs, data, offline=False) is None
        path.unlink()
        assert "it recorded no training ids" in _fault(planned, record, runs, data, offline=True)
    finally:
        path.write_text(before)


def test_files_of_signals_and_ids_that_changed_are_no_finished_run(tmp_path):
    made = run(study(arms=ARMS[:1], privacy=SHARED), tmp_path)
    runs, spec = made.folder.runs(), study(arms=ARMS[:1], privacy=SHARED)
    for planned, name in zip(halves(spec), ("signals.parquet", "train_ids.json"), strict=False):
        path = runs.folder(planned.run_id) / name
        path.write_bytes(path.read_bytes()[:-1])
        assert runs.look(planned.run_id).status == "interrupted"
        assert name in runs.look(planned.run_id).fault


def test_too_few_rows(tmp_path):
    with pytest.raises(InputError) as caught:
        run(study(rows=10, privacy=SHARED), tmp_path)
    assert any("privacy: a random half of the training rows (half" in c for c in caught.value.complaints)
    few = study(rows=30, privacy=OFFLINE)
    few = few.model_copy(update={"dataset": few.dataset.model_copy(update={"split": Split()})})
    with pytest.raises(InputError) as caught:
        run(few, tmp_path)
    assert any("there are 6 test rows; at least 8 are needed" in c for c in caught.value.complaints)
    assert not StudyFolder(tmp_path / "small").path.exists()


def test_rows_are_drawn_from_ids_alone():
    spec = study(privacy=OFFLINE)
    loaded = load(spec.dataset)
    for planned in plan(spec):
        data = loaded.of(planned.job.seed, planned.job.membership)
        ids = [data.examples.ids[row] for row in data.parts.train]
        assert ids_digest(ids) == planned.about("small", loaded.facts)["data"]["train_ids_sha256"]
