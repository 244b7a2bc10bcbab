"""`evenhand attack`: a folder in, a document, a page and a verdict out; what is wrong is said at once."""

import csv
import json

import numpy as np
import pytest

from evenhand.cli import main
from evenhand.tables.schema import Attribute
from evenhand.tables.signals.schema import write_signals


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six runs of two arms on the same halves: full leaks, most in group c; lora does not."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3, 600)
    groups = [Attribute("race", "partition", ("a", "b", "<b>c"), codes=code)]
    for run in range(6):
        member = rng.random(600) < 0.5
        for arm, gap in (("full", 1.0 + (code == 2)), ("lora", 0.0)):
            path = folder / "runs" / f"{arm}-{run}" / "signals.parquet"
            path.parent.mkdir(parents=True)
            margin = (gap * member + rng.standard_normal(600))[:, None]
            names = {"arm": arm, "run": str(run), "model": "m"}
            ids = [f"e{i}" for i in range(600)]
            write_signals(path, ids, member, np.logaddexp(0, -margin), margin, groups, names=names)
    return folder


FAST = ("--permutations", "19")


def test_a_study_is_attacked(study, tmp_path, capsys):
    out = {kind: tmp_path / f"o.{kind}" for kind in ("json", "html", "csv")}
    outputs = [word for kind, path in out.items() for word in (f"--{kind}", str(path))]
    assert main(["attack", str(study), "--by", "race", "--reference", "lora", *FAST, *outputs]) == 0
    said = capsys.readouterr().out
    assert "harm" in said
    assert "TPR at 1 % FPR" in said
    document = json.loads(out["json"].read_text())
    assert document["schema"] == "evenhand.attack/1"
    assert document["verdict"]["counts"]["harm"] > 0
    assert document["settings"]["attacks"] == ["loss", "lira", "rmia"]
    with out["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert {r["table"] for r in rows} == {"rates", "comparisons", "vulnerability", "stability"}
    page = out["html"].read_text()
    for heading in ("ROC curves by group", "Leakage by group", "in vulnerability between groups"):
        assert heading in page
    assert "race=&lt;b&gt;c" in page
    assert "<b>c" not in page.replace("<b>c</b>", "")


def test_the_gate(study, capsys):
    call = ["attack", str(study), "--by", "race", "--attack", "loss", *FAST]
    assert main([*call, "--reference", "lora", "--fail-on", "harm"]) == 3
    assert main([*call, "--reference", "full", "--fail-on", "harm"]) == 0
    capsys.readouterr()


def test_json_on_standard_output(study, capsys):
    path = str(study / "runs" / "full-0" / "signals.parquet")
    assert main(["attack", path, "--attack", "loss", "--json", "-", *FAST]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out)["comparisons"] == []
    assert "One arm" in done.err


def test_all_complaints_at_once(study, capsys):
    call = ["attack", str(study), "--attack", "lyra", "--margin", "-1", "--fpr", "2", "--where", "x"]
    assert main(call) == 2
    told = capsys.readouterr().err
    assert "4 problems" in told
    assert "did you mean 'lira'" in told


def test_other_rates_have_their_own_primary_number(study, capsys):
    path = str(study / "runs" / "full-0" / "signals.parquet")
    assert main(["attack", path, "--attack", "loss", "--fpr", "0.2", "--json", "-", *FAST]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["primary"] == ["roc_auc", "true_positive_rate_at_fpr_0.2"]


def test_a_folder_without_signals(tmp_path, capsys):
    assert main(["attack", str(tmp_path)]) == 2
    assert "holds no signals" in capsys.readouterr().err
