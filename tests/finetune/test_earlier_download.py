"""Files of an earlier download are used when the hub does not answer, with a remark."""

from __future__ import annotations

import pytest

from evenhand.datasets import split, synthetic_posts
from evenhand.finetune import Data, Job, Model, Training
from evenhand.finetune.estimate.standin import stand_in
from evenhand.finetune.modeling import pretrained as base
from evenhand.finetune.prepare import prepare


@pytest.fixture
def downloaded(monkeypatch):
    """A model that was downloaded earlier, from a hub that does not answer now."""
    folder = stand_in("bert", "text")

    def silent(*_, **__):
        raise ConnectionError("no route to host")

    def earlier(name, **options):
        assert options["local_files_only"]
        return str(folder)

    monkeypatch.setattr(base, "check_hub_files", silent)
    monkeypatch.setattr("huggingface_hub.snapshot_download", earlier)
    return folder


def test_the_remark_names_the_model_and_the_commit(downloaded):
    place, commit, remark = base.locate_files("owner/model", {})
    assert (place, commit) == (str(downloaded), downloaded.name)
    assert remark == (
        "model 'owner/model': the hub does not answer, so the files of an earlier download are used (commit "
        f"{commit[:12]}); the hub may have newer ones."
    )


def test_a_commit_that_was_asked_for_is_that_commit(downloaded):
    assert base.locate_files("owner/model", {"revision": downloaded.name})[2] == ""


def test_a_hub_that_nobody_may_ask_is_told_as_that(downloaded, monkeypatch):
    class OfflineModeIsEnabled(ConnectionError):
        pass

    def offline(*_, **__):
        raise OfflineModeIsEnabled

    monkeypatch.setattr(base, "check_hub_files", offline)
    assert (
        "HF_HUB_OFFLINE is set, so the files of an earlier download are used"
        in base.locate_files("o/m", {})[2]
    )


def test_the_preparation_of_a_study_remarks_on_it(downloaded):
    examples = synthetic_posts.load(synthetic_posts.Config(rows=60))
    data = Data(examples, split(examples.ids, train=0.6, validation=0.2, test=0.2, seed=1))
    job = Job("full", Model("owner/model", {}, "model"), "full", {}, Training(0.1, 1), 1)
    found = prepare([job], data)
    assert found.complaints == ()
    assert any("the files of an earlier download are used" in line for line in found.remarks)
