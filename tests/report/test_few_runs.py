"""Verdicts on fewer than five runs say so wherever they are read."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

import evenhand
from evenhand.cli import main
from evenhand.report import wording
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise


def table(runs, *, seed=0, rows=600, loss=0.25):
    """Columns of two arms, the second of which is right less often."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    parts = []
    for arm, wrong in (("full", 0.05), ("lora", 0.05 + loss)):
        for run in range(runs.get(arm, 1)):
            said = np.where(rng.random(rows) < wrong, 1 - label, label)
            parts += [(i, arm, run, label[i], said[i], 0.1 + 0.8 * said[i], "ab"[i % 2]) for i in range(rows)]
    names = ("example_id", "arm", "run", "label", "prediction", "score", "sex")
    return {name: [p[i] for p in parts] for i, name in enumerate(names)}


def judged(full, lora, **options):
    given = table({"full": full, "lora": lora}, **options)
    return evenhand.audit(given, arm="arm", run="run", by="sex", primary="accuracy").to_dict()


def shown(document):
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=80))
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize(("full", "lora", "thing"), [(1, 1, "these very models"), (4, 4, "these runs"),
                                                     (5, 4, "these runs")])  # fmt: skip
def test_few_runs_are_named_everywhere(full, lora, thing):
    document = judged(full, lora)
    assert document["verdict"]["about"] == "these runs"
    assert document["verdict"]["counts"]["harm"] == 2
    assert document["verdict"]["sentence"].startswith(f"In {thing}, lora against full: of 2 comparisons")
    assert f"This holds for {thing}, not for the method" in document["verdict"]["sentence"]
    text = shown(document)
    assert "In these runs: ▼ 2 harm" in text
    assert "in these runs group" in text
    page = build_page(document)
    assert '<span class="about"> in these runs</span>' in page
    assert page.count("In these runs, compared with full, lora does harm to sex=") >= 2
    for row in document["comparisons"]:
        assert wording.comparison_sentence(row).startswith("In these runs, compared with full, lora ")


def test_five_runs_are_about_the_method():
    document = judged(5, 5)
    assert document["verdict"]["about"] == "the method"
    text, page = shown(document), build_page(document)
    assert "Of the method: ▼ 2 harm" in text
    for told in (text, page, document["verdict"]["sentence"]):
        assert "n these runs" not in told
    assert "Compared with full, lora does harm to sex=" in page


def test_nothing_judged_is_about_nothing():
    assert (
        evenhand.audit(table({}), arm="arm", run="run", by="sex", where={"arm": "full"}).verdict["about"]
        is None
    )


@pytest.mark.parametrize(("runs", "about"), [(2, "in these runs, which is no claim about the method"),
                                             (5, "of the method")])  # fmt: skip
def test_the_gate_says_what_failed(runs, about, tmp_path, capsys):
    import pandas as pd

    path, out = tmp_path / "all.csv", tmp_path / "out.json"
    pd.DataFrame(table({"full": runs, "lora": runs})).to_csv(path, index=False)
    call = ["audit", str(path), "--arm", "arm", "--run", "run", "--by", "sex", "--primary", "accuracy"]
    assert main([*call, "--fail-on", "harm", "--json", str(out)]) == 3
    assert f"--fail-on harm: the gate is not passed: 2 harm {about}" in capsys.readouterr().err
    assert json.loads(out.read_text())["verdict"]["counts"]["harm"] == 2
    assert main(call) == 0
    assert "--fail-on" not in capsys.readouterr().err


def test_every_metric_that_is_named_is_in_the_terminal():
    names = ("log_loss", "brier_score", "roc_auc", "f1", "accuracy_difference")
    given = table({"full": 1, "lora": 1})
    two = evenhand.audit(
        given, arm="arm", run="run", by="sex", metric=(*names, "accuracy"), primary="accuracy"
    )
    one = evenhand.audit(given, arm="arm", run="run", by="sex", metric=names, where={"arm": "full"})
    for result in (one, two):
        text = shown(result.to_dict())
        for name in names:
            assert wording.metric_name(name) in text, name
    (loss,) = [r for r in two.comparisons if r["metric"] == "log_loss" and r["group"] == "a"]
    assert wording.amount(loss["difference"], "log_loss", signed=True) in shown(two.to_dict())
    silent = evenhand.audit(given, arm="arm", run="run", by="sex", primary="accuracy").to_dict()
    assert "log loss" not in shown(silent)
    harmless = evenhand.audit(table({}, loss=0.0, rows=4000), arm="arm", run="run", by="sex",
                              metric="accuracy", margin=0.04).to_dict()  # fmt: skip
    assert harmless["verdict"]["counts"]["harmless"] == 2
    assert "accuracy" in shown(harmless).partition("Of")[0] + shown(harmless)
    assert "Metrics that were asked for:" in shown(harmless)
