"""Verdicts on few runs say so wherever they are read."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console
from test_headlines import attacked
from test_page import read

import evenhand
from evenhand.cli import main
from evenhand.judge.attacks import loss
from evenhand.report import wording
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.privacy.page import build_privacy_page
from evenhand.report.privacy.terminal import summarise_attack
from evenhand.report.study import wording as study_wording


def table(runs, *, seed=0, rows=600, loss=0.25):
    """Columns of two arms, the second of which is right less often."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    parts = []
    for arm, wrong in (("full", 0.05), ("lora", 0.05 + loss)):
        for run in range(runs.get(arm, 1)):
            predicted = np.where(rng.random(rows) < wrong, 1 - label, label)
            parts += [
                (i, arm, run, label[i], predicted[i], 0.1 + 0.8 * predicted[i], "ab"[i % 2])
                for i in range(rows)
            ]
    names = ("example_id", "arm", "run", "label", "prediction", "score", "sex")
    return {name: [p[i] for p in parts] for i, name in enumerate(names)}


def judged(full, lora, **options):
    rows = table({"full": full, "lora": lora}, **options)
    return evenhand.audit(rows, arm="arm", run="run", by="sex", primary="accuracy").to_dict()


def shown(document):
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=80))
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize(("full", "lora", "thing"), [(1, 1, "these very models"), (2, 2, "these runs"),
                                                     (5, 2, "these runs")])  # fmt: skip
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


@pytest.mark.parametrize(("full", "lora"), [(3, 3), (5, 5), (3, 8)])
def test_enough_runs_are_about_the_method(full, lora):
    document = judged(full, lora)
    assert document["verdict"]["about"] == "the method"
    text, page = shown(document), build_page(document)
    assert "For the method: ▼ 2 harm" in text
    assert "n these runs" not in document["verdict"]["sentence"]
    assert '<span class="about"> in these runs</span>' not in page
    # Exploratory rows of other numbers than shares need five runs.
    assert ("All other numbers are about these runs: they take 5 runs per arm." in page) == (
        min(full, lora) < 5
    )
    assert ("n these runs" in text + page) == (full < 5)
    assert "Compared with full, lora does harm to sex=" in page


def test_nothing_judged_is_about_nothing():
    assert (
        evenhand.audit(table({}), arm="arm", run="run", by="sex", where={"arm": "full"}).verdict["about"]
        is None
    )


@pytest.mark.parametrize(("runs", "about"), [(2, "in these runs; this is not a claim about the method"),
                                             (5, "of the method")])  # fmt: skip
def test_the_gate_says_what_failed(runs, about, tmp_path, capsys):
    import pandas as pd

    path, out = tmp_path / "all.csv", tmp_path / "out.json"
    pd.DataFrame(table({"full": runs, "lora": runs})).to_csv(path, index=False)
    call = ["audit", str(path), "--arm", "arm", "--run", "run", "--by", "sex", "--primary", "accuracy"]
    assert main([*call, "--fail-on", "harm", "--json", str(out)]) == 3
    assert f"--fail-on harm: the gate fails: 2 harm {about}" in capsys.readouterr().err
    assert json.loads(out.read_text())["verdict"]["counts"]["harm"] == 2
    assert main(call) == 0
    assert "--fail-on" not in capsys.readouterr().err


def test_every_metric_that_is_named_is_in_the_terminal():
    names = ("log_loss", "brier_score", "roc_auc", "f1", "accuracy_difference")
    rows = table({"full": 1, "lora": 1})
    two = evenhand.audit(
        rows, arm="arm", run="run", by="sex", metric=(*names, "accuracy"), primary="accuracy"
    )
    one = evenhand.audit(rows, arm="arm", run="run", by="sex", metric=names, where={"arm": "full"})
    for result in (one, two):
        text = shown(result.to_dict())
        for name in names:
            assert wording.metric_name(name) in text, name
    (loss,) = [r for r in two.comparisons if r["metric"] == "log_loss" and r["group"] == "a"]
    assert wording.amount(loss["difference"], "log_loss", signed=True) in shown(two.to_dict())
    silent = evenhand.audit(rows, arm="arm", run="run", by="sex", primary="accuracy").to_dict()
    assert "log loss" not in shown(silent)
    harmless = evenhand.audit(table({}, loss=0.0, rows=4000), arm="arm", run="run", by="sex",
                              metric="accuracy", margin=0.04).to_dict()  # fmt: skip
    assert harmless["verdict"]["counts"]["harmless"] == 2
    assert "accuracy" in shown(harmless).partition("Of")[0] + shown(harmless)
    assert "Requested metrics:" in shown(harmless)


def test_slopes_and_bases_of_few_runs_say_so():
    slope = {"method": "lora", "parameter": "rank", "attribute": "race", "group": "Black", "class": None,
             "metric": "accuracy", "slope": 0.02, "low": 0.01, "high": 0.03, "p_adjusted": 0.01,
             "status": "ok"}  # fmt: skip
    base = slope | {"arm": "lora", "reference": "full", "model_low": "weak", "model_high": "strong",
                    "difference": 0.02}  # fmt: skip
    open_ = {"low": -0.01, "high": 0.03}
    for row in (slope, slope | open_):
        few, many = ([row | {"unit": unit}] for unit in ("rows", "rows and runs"))
        assert all("in these runs" in line for line in study_wording.trend_summary(few))
        assert not any("these runs" in line for line in study_wording.trend_summary(many))
    for row in (base, base | open_):
        few, many = ([row | {"unit": unit}] for unit in ("rows", "rows and runs"))
        assert all("these runs" in line for line in study_wording.interaction_summary(few))
        assert not any("these runs" in line for line in study_wording.interaction_summary(many))


@pytest.mark.parametrize("runs", [3, 5])
def test_attacks_on_few_runs_say_so(runs):
    document = attacked(config=("loss", loss.Config()), runs=runs)
    about = {3: "these runs", 5: "the method"}[runs]
    assert document["verdict"]["about"] == about
    stream = io.StringIO()
    summarise_attack(document, Console(file=stream, width=80))
    output = " ".join(stream.getvalue().split())
    page = build_privacy_page(document)
    for text in (output, page, document["verdict"]["sentence"]):
        assert ("n these runs" in text) is (runs == 3)
    assert ("In these runs: ▼" in output) is (runs == 3)
    assert ("For the method: ▼" in output) is (runs == 5)
    assert ('<span class="about"> in these runs</span>' in page) is (runs == 3)


def test_the_first_sentence_names_its_metrics_and_counts_one_as_one():
    document = judged(2, 2)
    assert "of 2 comparisons of accuracy by group: 2 harm." in document["verdict"]["sentence"]
    rows = {k: v[:600] + v[600:1200] for k, v in table({"full": 1, "lora": 1}).items()}
    several = evenhand.audit(rows, arm="arm", run="run", by="sex",
                             primary=("accuracy", "true_positive_rate", "precision", "f1"))  # fmt: skip
    assert " comparisons of 4 metrics by group: " in several.verdict["sentence"]
    small = {k: [x for x, sex in zip(v, rows["sex"], strict=True) if sex == "a"] for k, v in rows.items()}
    one = evenhand.audit(small, arm="arm", run="run", by="sex", primary="accuracy").verdict["sentence"]
    assert "of 1 comparison of accuracy by group: 1 harm." in one


def test_one_row_is_one_row():
    rows = table({"full": 1, "lora": 1})
    rows["sex"] = ["only" if i == 0 else sex for i, sex in zip(rows["example_id"], rows["sex"], strict=True)]
    document = evenhand.audit(rows, arm="arm", run="run", by="sex", primary="accuracy").to_dict()
    text = " ".join("".join(read(build_page(document)).text).split())
    assert "sex=only: too small (1 row, fewer than 10)" in text
    for sentence in (text, shown(document), str(document)):
        assert not re.search(r"\b1 rows\b", sentence)
