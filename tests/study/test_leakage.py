"""Models that were trained for long on half of few rows: a loss attack tells these from the others."""

from __future__ import annotations

import pytest

from evenhand.spec.read import read_studies
from evenhand.study.run import run_study

SPEC = {
    "name": "leaks",
    "dataset": {"name": "synthetic_posts", "rows": 160, "label_noise": 0.3, "difficulty": 0.9},
    "model": {"name": "tiny_text", "pretraining": "none"},
    "methods": {"full": {"epochs": 15, "learning_rate": 3e-3}, "none": {}},
    "training": {"batch_size": 16, "micro_batch": 16},
    "seeds": [1],
    "audit": {"metric": ["accuracy"], "primary": ["accuracy"]},
}
AGAINST = {"attacks": ["loss", {"loss": {"reference": "base"}}], "references": 3}


def areas(spec, output):
    """AUC over all rows by arm and attack, and the design."""
    [study] = read_studies(spec)
    made = run_study(study, output, workers=2)
    assert made.failed == []
    privacy = made.result["models"][0]["privacy"]
    found = {
        (r["input"], r["attack"]): r["value"]
        for r in privacy["rates"]
        if r["metric"] == "roc_auc" and r["attribute"] is None
    }
    return found, privacy["design"]


@pytest.mark.slow
def test_an_overfitted_model_leaks_and_an_untrained_one_does_not(tmp_path):
    found, design = areas({**SPEC, "privacy": AGAINST}, tmp_path)
    assert {(d["input"], d["targets"]) for d in design} == {("full", 4), ("none", 4)}
    assert found["full", "loss"] > 0.7
    assert abs(found["none", "loss"] - 0.5) < 0.08
    assert found["full", "loss[reference=base]"] > 0.7
    assert found["none", "loss[reference=base]"] is None


@pytest.mark.slow
def test_so_does_the_paper_s_protocol(tmp_path):
    privacy = {"attacks": ["loss", {"lira": {"mode": "offline"}}], "references": 4, "protocol": "offline"}
    alone = {"methods": {"full": SPEC["methods"]["full"]}, "seeds": [1, 2], "privacy": privacy}
    found, [design] = areas({**SPEC, **alone}, tmp_path)
    assert (design["targets"], design["references"], design["shared"]) == (2, 4, False)
    assert found["full", "loss"] > 0.7
    assert found["full", "lira[mode=offline]"] > 0.6
