"""Membership inference in reports: a page of its own, a section of a study's, what small print says."""

import csv
import io

import numpy as np
import pytest
from benchmarks.simulate.attacks import halves
from rich.console import Console
from tests.report.study_sample import one_model

from evenhand.judge.attacks import loss
from evenhand.judge.privacy import PrivacySettings, attack_signals
from evenhand.report.cells import value_cell
from evenhand.report.figures import attacks, run
from evenhand.report.privacy import charts as privacy_charts
from evenhand.report.privacy import wording as privacy_wording
from evenhand.report.privacy.page import build_privacy_page, privacy_view
from evenhand.report.study.page import build_study_page, summarise_study
from evenhand.tables.schema import Attribute, Columns
from evenhand.tables.signals.schema import SignalArm, Signals


@pytest.fixture(scope="module")
def document():
    rng = np.random.default_rng(0)
    member = halves(5, 400, rng)
    arms = []
    for name, gap in (("full", 0.2), ("lora[rank=8]", 1.5)):
        margin = (gap * member + rng.standard_normal((5, 400)))[:, :, None]
        runs = tuple("01234")
        arms.append(SignalArm(name, runs, np.ones(5, bool), member, np.logaddexp(0, -margin), margin))
    groups = (Attribute("sex", "partition", ("F", "M", "<i>"), codes=np.arange(400) % 2),)
    signals = Signals(tuple(map(str, range(400))), tuple(arms), groups)
    settings = PrivacySettings(attacks=(("loss", loss.Config()),), permutations=19)
    return attack_signals(signals, Columns(by=("sex",)), settings).to_dict()


def test_the_page_reports_the_results(document):
    page = build_privacy_page(document)
    assert "lora[rank=8] compared with full" in page
    assert "does harm to sex=F" in page
    assert "not resolvable" in page
    assert "5 attacked runs, each a reference for the other 4" in page
    assert "sex=&lt;i&gt;" in page
    assert 'src="http' not in page


def test_curves_are_logarithmic_and_begin_where_they_are_resolved(document):
    (block,) = privacy_charts.roc_blocks(document)
    assert [p.title for p in block.panels] == ["all rows", "sex=F", "sex=M"]
    spec = block.panels[0].spec
    points = spec["datasets"]["points"]
    assert {p["arm"] for p in points} == {"full", "lora[rank=8]"}
    assert min(p["fpr"] for p in points) >= 1 / 200
    scales = [layer["encoding"][axis]["scale"]["type"] for layer in spec["layer"] for axis in "xy"]
    assert set(scales) == {"log"}


def test_leakage_is_drawn_by_group(document):
    (block,) = privacy_charts.rate_blocks(document)
    assert [p.title for p in block.panels] == ["ROC AUC, by sex", "TPR at 1 % FPR, by sex"]
    view = privacy_view(document)
    assert len(view["forest"][0].panels) == 2
    assert view["tiles"][0][2] == document["verdict"]["counts"]["harm"]


def test_a_study_has_the_section_when_it_was_attacked(document):
    result = one_model()
    plain = build_study_page(result)
    assert "what models leak about their training data" not in plain
    result["models"][0]["privacy"] = document
    page = build_study_page(result)
    assert "what models leak about their training data" in page
    assert "Membership inference: Thresholds" in page
    console = Console(width=80, record=True, file=io.StringIO())
    summarise_study(result, console)
    assert "leakage of lora[rank=8] against full" in " ".join(console.export_text().split()).lower()


def test_figures_for_a_paper_have_the_attacks_numbers(document, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "RESOLUTION", 72)
    result = one_model()
    result["models"][0]["privacy"] = document
    written = run.write_figures(result, tmp_path)
    assert {"p5_attack_roc", "p6_leakage"} <= set(written.written)

    def records(name):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    curve = next(r for r in document["roc"] if (r["input"], r["group"]) == ("full", "M"))
    points = [r for r in records("p5_attack_roc") if (r["arm"], r["group"]) == ("full", "M")]
    for key in ("fpr", "tpr", "own_fpr"):
        assert [float(r[key]) for r in points] == curve[key]
    assert {r["group"] for r in records("p5_attack_roc")} == {"", "F", "M"}  # nobody is in <i>
    rates = {(r["input"], r["group"], r["metric"]): r["value"] for r in document["rates"]}
    shown = records("p6_leakage")
    assert {r["metric"] for r in shown} == {"roc_auc", "true_positive_rate_at_fpr_0.01"}
    for row in shown:
        if row["value"]:
            assert float(row["value"]) == rates[row["arm"], row["group"] or None, row["metric"]]
    (page,) = attacks.pages_of_curves(attacks.curves(result))
    alone = attacks.roc(page, result)
    assert "title" not in alone
    spec = alone["spec"]
    lines = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    assert [lines["encoding"][axis]["scale"]["type"] for axis in "xy"] == ["log", "log"]
    assert lines["encoding"]["x"]["scale"]["domain"] == [1e-3, 1]  # 200 non-members resolve 0.5 %
    texts = (tmp_path / "p6_leakage.svg").read_text(encoding="utf-8")
    assert "loss: sex" in texts


def test_pages_of_curves_name_their_model_where_several_were_attacked(document):
    result = one_model()
    result["models"] = [{**result["models"][0], "model": m, "privacy": document} for m in ("weak", "strong")]
    pages = attacks.pages_of_curves(attacks.curves(result))
    assert [attacks.roc(page, result)["title"] for page in pages] == ["weak", "strong"]


def test_curves_of_a_group_with_too_few_rows_are_not_drawn(document):
    few = {
        **document,
        "rates": [r if r["group"] != "M" else {**r, "status": "too_small"} for r in document["rates"]],
    }
    (block,) = privacy_charts.roc_blocks(few)
    assert [p.title for p in block.panels] == ["all rows", "sex=F"]


def test_findings_on_gaps_between_groups(document):
    row = {**document["vulnerability"][0], "level": 0.95}
    finding = privacy_wording.gap_finding
    assert finding({**row, "p_value": 0.01}) == "groups are unequally vulnerable"
    control = {"p_value": 0.3, "p_control": 0.3, "p_alike": 0.01}
    assert finding({**row, **control}) == "no more than without any leakage"
    both = {"p_value": 0.3, "p_control": 0.01, "p_alike": 0.3}
    assert finding({**row, **both}) == "groups may be equally vulnerable"


def test_a_reason_does_not_decide_what_a_cell_shows():
    """Rates that the non-members cannot resolve are known by their status, whatever the reason says."""
    row = {
        "attack": "loss",
        "metric": "roc_auc",
        "value": None,
        "reason": "no member of 'not resolvable'",
    }
    assert value_cell(row | {"status": "undefined"}).text == "undefined"
    assert value_cell(row | {"status": "too_small", "reason": ""}).text == "not resolvable"
    del row["attack"]
    assert value_cell(row | {"status": "too_small"}).text == "too small"
