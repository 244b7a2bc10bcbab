"""The files of a model stay the same from a study's first run to its last."""

from __future__ import annotations

import json
import os

import pytest

from evenhand.errors import InputError
from evenhand.spec.identity import run_id
from evenhand.store import digests
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, log, study


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "bert"
    made.mkdir()
    (made / "config.json").write_text('{"layers": 2}')
    (made / "model.safetensors").write_bytes(b"first weights")
    (made / "vocab.txt").write_text("a\nb\n")
    (made / "README.md").write_text("a model")
    return made


def run(tmp_path, name, seeds=(1,)):
    spec = study(models=(str(name),), arms=ARMS[:1], seeds=seeds)
    return run_study(spec, tmp_path / "out", trainer=TRAINER, executor="local")


def records(result):
    return [json.loads(p.read_text()) for p in sorted((result.folder.path / "runs").glob("*/run.json"))]


def test_the_record_says_what_was_in_the_folder_and_the_id_does_not(tmp_path, folder):
    result = run(tmp_path, folder)
    [record] = records(result)
    assert sorted(record["base"]["files"]) == ["config.json", "model.safetensors", "vocab.txt"]
    spec = study(models=(str(folder),), arms=ARMS[:1], seeds=(1,))
    assert record["run_id"] == run_id(spec, spec.models[0], spec.arms[0], 1)
    assert run(tmp_path, folder, seeds=(1, 2)).failed == []


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", b"other weights", "model.safetensors is different"),
        ("vocab.txt", b"b\na\n", "vocab.txt is different"),
        ("config.json", b'{"layers": 1}', "config.json is different"),
        ("tokenizer.json", b"{}", "tokenizer.json is new"),
        ("vocab.txt", None, "vocab.txt is missing"),
    ],
)
def test_other_files_are_refused_and_the_old_ones_may_come_back(
    tmp_path, folder, stand_in, file, content, said
):
    run(tmp_path, folder)
    path = folder / file
    before = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="have changed since this study began") as caught:
        run(tmp_path, folder, seeds=(1, 2))
    assert said in str(caught.value)
    assert len([line for line in log(stand_in) if line.startswith("begin")]) == 1
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    assert run(tmp_path, folder, seeds=(1, 2)).failed == []


def test_weights_of_the_same_size_and_time_are_told_apart(tmp_path, folder):
    run(tmp_path, folder)
    weights = folder / "model.safetensors"
    stat = weights.stat()
    weights.write_bytes(b"FIRST weights")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match="have changed"):
        run(tmp_path, folder)


def test_what_is_not_read_may_change(tmp_path, folder):
    run(tmp_path, folder)
    (folder / "README.md").write_text("a better card")
    (folder / "results.json").write_text("{}")
    assert run(tmp_path, folder, seeds=(1, 2)).failed == []


def test_a_folder_that_changes_while_the_study_runs_stops_it(tmp_path, folder, stand_in):
    (stand_in / "slow").write_text("0.1")
    changed = []

    def watch(progress):
        if progress.finished and not changed:
            changed.append((folder / "model.safetensors").write_bytes(b"other weights"))

    spec = study(models=(str(folder),), arms=ARMS[:1], seeds=(1, 2, 3, 4))
    with pytest.raises(InputError, match="have changed since this study began"):
        run_study(spec, tmp_path / "out", trainer=TRAINER, executor="local", watch=watch)


def test_a_digest_is_taken_once(tmp_path, folder, monkeypatch):
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    monkeypatch.setattr(digests, "_SETTLE_SECONDS", -1.0)
    first = digests.digest_folder(folder)
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert digests.digest_folder(folder) == first


def test_the_commit_of_the_first_run_is_that_of_all(tmp_path, stand_in):
    (stand_in / "commit").write_text("a" * 40)
    run(tmp_path, "org/model")
    (stand_in / "commit").write_text("b" * 40)
    result = run(tmp_path, "org/model", seeds=(1, 2))
    assert [r["facts"]["revision"] for r in records(result)] == ["a" * 40] * 2
    spec = study(models=("org/model",), arms=ARMS[:1], seeds=(1, 2))
    assert {r["run_id"] for r in records(result)} == {
        run_id(spec, spec.models[0], spec.arms[0], seed) for seed in (1, 2)
    }


def test_runs_of_two_commits_are_no_study(tmp_path, stand_in):
    (stand_in / "commit").write_text("a" * 40)
    result = run(tmp_path, "org/model", seeds=(1, 2))
    path = next((result.folder.path / "runs").glob("*/run.json"))
    path.write_text(path.read_text().replace("a" * 40, "b" * 40))
    with pytest.raises(InputError, match="two commits"):
        run(tmp_path, "org/model", seeds=(1, 2))
