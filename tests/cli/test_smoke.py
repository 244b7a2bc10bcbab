"""`evenhand run --smoke`: the same study in small."""

from __future__ import annotations

import json

import pytest

from evenhand.cli import main
from evenhand.cli.lib.smoke import shrink_study
from evenhand.spec.read import read_studies

SPEC = {
    "name": "faces",
    "dataset": {"name": "utkface", "path": "nowhere"},
    "model": {"name": "google/vit-base-patch16-224-in21k", "family": "vit"},
    "methods": {
        "full": {"epochs": 3},
        "lora": {"rank": [1, 2, 4, 8, 768], "alpha": [8, 16, 32, 64], "epochs": 9},
        "wide": {"method": "lora", "rank": 768},
    },
    "seeds": [13, 1337, 42],
    "audit": {"by": ["race"], "reference": "lora[rank=768,alpha=64]"},
}


def test_a_study_gets_small(capsys):
    [study] = read_studies(SPEC)
    small = shrink_study(study)
    assert (small.name, small.seeds, small.dataset.smoke) == ("faces-smoke", (13, 1337), True)
    assert {arm.epochs for arm in small.arms} == {1}
    lora = [a for a in small.arms if a.name.startswith("lora")]
    assert [(a.config.rank, a.config.alpha) for a in lora] == [
        *((rank, alpha) for rank in (1, 2) for alpha in (8, 16)),
        (64, 64),  # the reference is always there; its rank is the width
    ]
    assert small.arms[-1].config.rank == 64
    [model] = small.models
    assert "stand-in-vit" in model.name
    assert (model.label, model.options) == ("google/vit-base-patch16-224-in21k", {})
    told = capsys.readouterr().err
    assert "faces: 7 of 22 arms are tried." in told
    assert "faces: ranks above 64, the width of the stand-in, are reduced to 64." in told


def test_of_a_single_list_three_values_are_tried(capsys):
    lora = {"rank": [8, 1, 2, 4]}
    [study] = read_studies({**SPEC, "methods": {"full": {}, "lora": lora}, "audit": {}})
    assert [arm.name for arm in shrink_study(study).arms] == [
        "full",
        "lora[rank=8]",
        "lora[rank=1]",
        "lora[rank=2]",
    ]


def test_trials_get_few():
    lora = {"tune": {"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3], "epochs": [2, 4]}}
    [study] = read_studies({**SPEC, "methods": {"lora": lora}, "audit": {}})
    [arm] = shrink_study(study).arms
    assert [(t.epochs, t.values["learning_rate"]) for t in arm.trials] == [(1, 1e-4), (1, 1e-4), (1, 3e-4)]


def test_few_references_are_tried():
    [study] = read_studies({**SPEC, "audit": {}, "privacy": {"attacks": ["lira"]}})
    assert (study.privacy.references, shrink_study(study).privacy.references) == (16, 3)
    assert shrink_study(study.model_copy(update={"privacy": None})).privacy is None


def test_a_family_without_a_stand_in_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({**SPEC, "model": "google/nothing-here"}))
    monkeypatch.setattr("evenhand.finetune.estimate.shape._config_file", lambda model: None)
    assert main(["run", "study.json", "--smoke"]) == 2
    told = capsys.readouterr().err
    assert "name its family with model.family" in told
    assert not (tmp_path / "evenhand-runs").exists()


@pytest.mark.slow
def test_a_study_of_which_nothing_is_there_can_be_tried_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spec = {**SPEC, "methods": {"full": {}, "lora": {"rank": 2}}, "audit": {"by": ["race"]}}
    (tmp_path / "study.json").write_text(json.dumps(spec))
    assert main(["run", "study.json", "--smoke"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "results are meaningless" in out
    result = json.loads((tmp_path / "evenhand-runs/faces-smoke/result.json").read_text())
    assert result["failed"] == []
    assert {r["group"] for r in result["models"][0]["audit"]["rates"]} >= {"White", "Black", "Others"}
    assert main(["status"]) == 0
    assert "faces-smoke: 4 of 4 runs finished" in capsys.readouterr().out


#: One of each experiment; `make smoke` tries all of them.
ONE_EACH = (
    "paper/e1_religion_llama2",
    "paper/e2_gender_vit",
    "paper/e3_age_vit",
    "paper/e4_religion_llama2",
    "paper/e5_gender_vit",
    "paper/e6_religion_llama2",
    "paper/e7_gender_llama2",
    "paper/e8_religion_llama2",
    "paper/e9_pro_llama2",
    "paper/e10_mistral",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_EACH)
def test_an_experiment_of_the_paper_can_be_tried_out(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", name, "--smoke"]) == 0
    [folder] = (tmp_path / "evenhand-runs").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["failed"] == []
    model = result["models"][0]
    assert (model["audit"] or model["generative"])["comparisons"]
    assert "results are meaningless" in " ".join(capsys.readouterr().out.split())
