"""Ready models and adapters at revisions of a hub, which is a small server of the test's own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from evenhand.finetune import run
from tests.finetune import worlds
from tests.finetune.test_hub_models import Hub, served
from tests.study.test_predict import DATA, scores_of, table


def commit(name, revision):
    return hashlib.sha1(f"{name}@{revision}".encode()).hexdigest()


class Revisions(Hub):
    """Serves the folders NAME/REVISION in `files` as revisions of the repositories of the owner `team`."""

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        about = parts[0] == "api"
        name, rest = ("/".join(parts[2:4]), parts[4:]) if about else ("/".join(parts[:2]), parts[2:])
        wanted = rest[1] if rest[1:] else "main"
        repository = self.files / name
        known = (
            {p.name: commit(name, p.name) for p in sorted(repository.iterdir())}
            if repository.is_dir()
            else {}
        )
        if about and rest[:1] == ["refs"]:
            refs = [{"name": r, "ref": f"refs/heads/{r}", "targetCommit": sha} for r, sha in known.items()]
            told = {"branches": refs, "tags": [], "converts": []}
            return self.answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())
        revision = next((r for r, sha in known.items() if wanted in (r, sha)), None)
        if revision is None:
            code = "RevisionNotFound" if known else "RepoNotFound"
            return self.answer(404, {"X-Error-Code": code, "X-Error-Message": "not there"}, b"{}")
        place, sha = repository / revision, known[revision]
        if about:
            names = sorted(p.name for p in place.iterdir())
            told = {"id": name, "sha": sha, "siblings": [{"rfilename": n} for n in names]}
            if rest[:1] == ["tree"]:
                told = [
                    {"type": "file", "path": n, "size": (place / n).stat().st_size, "oid": "b" * 40}
                    for n in names
                ]
            return self.answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())
        file = place / "/".join(rest[2:])
        if not file.is_file():
            return self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}, b"")
        self.asked.append(f"{name}@{revision}/{file.name}")
        tag = hashlib.sha1(file.read_bytes()).hexdigest()
        return self.answer(200, {"ETag": f'"{tag}"', "X-Repo-Commit": sha}, file.read_bytes())


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """Folders of repositories: a base of two revisions, an adapter for each, and whole models.

    The adapter `v2` was trained on the base `v1`, as its settings say; the adapter `main` on the base `main`.
    """
    place = tmp_path_factory.mktemp("hub")
    team = place / "team"
    for scale, base, adapter in ((1.0, "v1", "v2"), (1.5, "main", "main")):
        (place / base).mkdir()
        folder = worlds.folder_of(place / base, "bert")
        weights = load_file(Path(folder) / "model.safetensors")
        save_file(
            {k: v * scale for k, v in weights.items()}, Path(folder) / "model.safetensors", {"format": "pt"}
        )
        shutil.copytree(folder, team / "base" / base)
        for method, kind in (("lora", "adapter"), ("full", "model")):
            out = place / f"{method}-{base}"
            out.mkdir()
            run.train(worlds.job_of(folder, method, seed=1), DATA, out)
            shutil.copytree(out / kind, team / kind / adapter)
        settings = team / "adapter" / adapter / "adapter_config.json"
        stated = json.loads(settings.read_text())
        stated |= {"base_model_name_or_path": "team/base", "revision": "v1" if base == "v1" else None}
        settings.write_text(json.dumps(stated))
    return place


@pytest.fixture(scope="module")
def hub(team):
    Revisions.files, Revisions.asked = team, []
    with served(Revisions) as address:
        yield address


def predict(hub, home, *words):
    """`evenhand predict` in a process that knows this hub only."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    own = {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    columns = ["--text", "text", "--label", "label", "--positive", "yes", "--by", "group", "--id", "name"]
    return subprocess.run(
        [sys.executable, "-m", "evenhand", "predict", *map(str, words[:1]), *columns, *map(str, words[1:])],
        env=inherited | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_every_name_has_its_own_revision(hub, team, tmp_path):
    arms = "lora=team/adapter@v2", "newest=team/adapter", "full=team/model@v2"
    posts, to = table(tmp_path / "posts.parquet"), tmp_path / "to"
    done = predict(hub, tmp_path / "home", posts, *(f"--arm={arm}" for arm in arms), "--to", to)
    assert done.returncode == 0, done.stderr
    for file, folder in (("lora-1", "lora-v1"), ("newest-1", "lora-main"), ("full-1", "full-v1")):
        assert scores_of(to / f"{file}.parquet") == scores_of(team / folder / "predictions.parquet"), file
    assert scores_of(to / "lora-1.parquet") != scores_of(to / "newest-1.parquet")
    record = json.loads((to / "predict.json").read_text())["tables"]
    assert record["lora-1.parquet"]["commit"] == commit("team/adapter", "v2")
    assert record["lora-1.parquet"]["base_commit"] == commit("team/base", "v1")
    assert record["newest-1.parquet"]["base_commit"] == commit("team/base", "main")
    assert record["full-1.parquet"]["commit"] == commit("team/model", "v2")
    assert "team/base@v1/model.safetensors" in Revisions.asked
    assert not [file for file in Revisions.asked if file.startswith("team/model@main")]
    assert set(pq.read_table(to / "lora-1.parquet")["arm"].to_pylist()) == {"lora"}


def test_a_base_at_another_revision_is_said(hub, team, tmp_path):
    posts, to = table(tmp_path / "posts.parquet"), tmp_path / "to"
    words = "--arm=lora=team/adapter@v2", "--base=lora=team/base@main", "--to", to
    done = predict(hub, tmp_path / "home", posts, *words)
    assert done.returncode == 0, done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    assert "was trained on team/base@v1, and is loaded onto team/base@main" in told
    assert scores_of(to / "lora-1.parquet") != scores_of(team / "lora-v1" / "predictions.parquet")


def test_a_revision_that_does_not_exist_is_refused(hub, tmp_path):
    posts, to = table(tmp_path / "posts.parquet"), tmp_path / "to"
    done = predict(hub, tmp_path / "home", posts, "--arm=lora=team/adapter@v22", "--to", to)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "model 'team/adapter': not found as a folder, and not available from the hub" in told
    assert "no branch, tag or commit 'v22' of it; did you mean 'v2'? Known: main, v2." in told
    assert not to.exists()
    assert Path(posts).exists()
