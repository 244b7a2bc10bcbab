"""Calibration, group sizes, utility against disparity and tuning on a study's page."""

from __future__ import annotations

import json
import re

import pytest
import results_sample
import study_sample
from test_page import NAMES, read
from test_study import sections, specs, words

from evenhand.report.study import calibration_wording, relations_wording
from evenhand.report.study.calibration import MOST_PANELS, calibration_view
from evenhand.report.study.page import build_study_page
from evenhand.report.study.relations import sizes_view, tuning_table, utility_panels


@pytest.fixture(scope="module")
def page():
    return build_study_page(results_sample.document())


def texts(table):
    return [[c.text for c in row] for row in table.rows]


def test_sections_are_there_where_there_is_something_to_show(page):
    assert sections(page) == [
        "verdict", "study", "differences", "trends", "sizes", "comparisons", "disparities", "utility",
        "rates", "calibration", "tuning", "data", "how",
    ]  # fmt: skip
    ids = [a["id"] for _, a in read(page).tags if "id" in a]
    assert {a["href"][1:] for t, a in read(page).tags if t == "a"} <= set(ids)
    old = results_sample.document()
    for key in ("reliability", "sizes", "tuning"):
        del old["models"][0][key]
    without = build_study_page(old)
    assert {"sizes", "tuning"}.isdisjoint(sections(without))
    assert "Reliability" not in without
    assert "Each point is a bin" not in words(without)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(name, page):
    html = build_study_page(results_sample.hostile(name))
    reader = read(html)
    assert {t for t, _ in reader.tags} <= {t for t, _ in read(page).tags}
    assert all(not k.startswith("on") for _, attrs in reader.tags for k in attrs)
    assert any(name in json.dumps(s, ensure_ascii=False).replace('\\"', '"') for s in specs(html))
    assert "".join(reader.text).count(name) > 20


def test_sentences_on_calibration(page):
    text = words(page)
    assert "groups of different sizes must not be compared" in text
    assert "axis is the score of 'female'; the vertical axis is the share of rows that are 'female'" in text
    assert "swapping their answers to a row in all runs at random" in text
    assert "No calibration error has a permutation p-value here" not in text


def test_diagrams_hold_the_bins_of_the_candidate_and_the_reference():
    model = results_sample.document()["models"][0]
    view = calibration_view(model["audit"], model["reliability"])
    groups = len({(r["attribute"], r["group"]) for r in model["reliability"]})
    assert [b.title for b in view["blocks"]] == [f"{a} beside full" for a in results_sample.ARMS[1:]]
    assert all(len(b.panels) == groups for b in view["blocks"])
    assert groups == 6, "all rows and five groups: the one below the least size has no diagram"
    panel = next(p for p in view["blocks"][1].panels if p.title.startswith("race=Asian"))
    points = panel.spec["datasets"]["bins"]
    assert {p["arm"] for p in points} == {"full", "lora[rank=1]"}
    row = next(
        r for r in model["reliability"] if (r["arm"], r["group"], r["bin"]) == ("lora[rank=1]", "Asian", 14)
    )
    assert any(p["share"] == row["accuracy"] and p["low"] == row["low"] for p in points)


def test_diagrams_are_limited_with_a_note():
    model = results_sample.document()["models"][0]
    rows = [r | {"group": f"g{k}"} for k in range(9) for r in model["reliability"] if r["group"] == "Asian"]
    view = calibration_view(model["audit"], [*model["reliability"], *rows])
    assert sum(len(b.panels) for b in view["blocks"]) == MOST_PANELS
    assert view["left_out"].startswith("48 of 75 diagrams are shown")


def test_single_runs_have_p_values_and_the_brier_score_decides():
    model = results_sample.document(runs=1)["models"][0]
    view = calibration_view(model["audit"], ())
    assert view["blocks"] == []
    assert view["no_p"] == ""
    lines = texts(view["table"])
    result = next(x for x in lines if x[0] == "race=Asian" and x[2] == "head_only")
    audit = {
        (r["metric"], r["group"], r["candidate"]): r for r in model["audit"]["comparisons"] if r["group"]
    }
    of_arm = audit["expected_calibration_error", "Asian", "head_only"]
    brier = audit["brier_score", "Asian", "head_only"]
    assert float(result[5]) == pytest.approx(of_arm["p_adjusted"], abs=5e-4)
    assert result[7] == calibration_wording.brier_finding(brier) != ""
    assert next(x for x in lines if x[2] == "full")[4:] == ["", "", "", ""]
    assert all("permutation p" in line for line in view["gaps"])


@pytest.mark.parametrize(
    ("low", "high", "verdict", "finding"),
    [
        (0.01, 0.02, None, "scores are worse"),
        (-0.02, -0.01, None, "scores are better"),
        (-0.01, 0.01, None, "no detectable difference"),
        (0.01, 0.02, "harm", "▼ harm"),
        (None, None, None, "too small (9 rows)"),
    ],
)
def test_the_finding_by_the_brier_score(low, high, verdict, finding):
    row = {"metric": "brier_score", "low": low, "high": high, "verdict": verdict}
    row |= {"status": "ok", "reason": ""} if low else {"status": "too_small", "reason": "9 rows"}
    assert calibration_wording.brier_finding(row) == finding


def size_row(**changes):
    row = {
        "reference": "full", "candidate": "lora", "attribute": "race", "class": None, "metric": "accuracy",
        "groups": 6, "slope": 0.0123, "low": 0.004, "high": 0.03, "level": 0.95, "p_value": 0.004,
        "p_adjusted": 0.02, "status": "ok", "reason": "", "interval": "x",
    }  # fmt: skip
    return row | changes


def test_what_slopes_along_the_size_say():
    clear = size_row()
    assert relations_wording.size_sentence(clear) == (
        "lora − full, groups of race: the difference of accuracy rises by 1.23 points per doubling of a "
        "group's rows (+0.40 to +3.00)."
    )
    # The interval is pointwise: without the adjusted p-value it is no finding.
    unclear = size_row(p_adjusted=0.3)
    assert "no detectable dependence on group size" in relations_wording.size_finding(unclear)
    few = size_row(
        slope=None, low=None, high=None, p_adjusted=None, status="undefined", reason="4 of 4 groups"
    )
    assert relations_wording.size_summary([few]) == [
        "Groups of race: the dependence on group size was not estimated: 4 of 4 groups."
    ]
    both = relations_wording.size_summary([unclear, clear])
    assert both[0].startswith("lora − full")
    assert both[1] == "Groups of race: no detectable dependence in 1 of 2 slopes."


def test_size_charts_hold_the_groups_of_the_comparison():
    model = results_sample.document()["models"][0]
    view = sizes_view(model["audit"], model["sizes"])
    assert len(view["panels"]) == len(model["sizes"]) == 10
    panel = next(p for p in view["panels"] if p.title == "accuracy, race: head_only − full")
    points = {p["group"]: p for p in panel.spec["datasets"]["points"]}
    row = next(
        r
        for r in model["audit"]["comparisons"]
        if (r["candidate"], r["group"], r["metric"]) == ("head_only", "Asian", "accuracy")
    )
    assert points["race=Asian"]["n"] == row["n"]
    assert points["race=Asian"]["difference"] == pytest.approx(100 * row["difference"])
    assert '"type": "log"' in json.dumps(panel.spec)


def test_utility_is_drawn_against_both_disparities():
    model = results_sample.document()["models"][0]
    panels = utility_panels(model["audit"])
    assert [p.title for p in panels] == [
        "accuracy against demographic parity difference, race",
        "accuracy against equalized odds difference, race",
    ]
    values = next(v for v in panels[1].spec["datasets"].values() if len(v) == len(results_sample.ARMS))
    row = next(
        r
        for r in model["audit"]["disparities"]
        if (r["input"], r["metric"]) == ("head_only", "equalized_odds_difference")
    )
    point = next(v for v in values if v["arm"] == "head_only")
    assert (point["disparity"], point["disparity_low"]) == (row["value"], row["low"])
    assert point["accuracy_low"] < point["accuracy"] < point["accuracy_high"]


def test_all_trials_are_listed_and_the_chosen_one_is_marked(page):
    rows = results_sample.document()["models"][0]["tuning"]
    table = tuning_table([*rows, {**rows[0], "trial": {"alpha": 8}, "loss": None}])
    assert [c.text for c in table.head][:4] == ["arm", "learning_rate", "epochs", "alpha"]
    assert texts(table)[1] == ["lora[rank=1]", "0.0003", "4", "", "72.0", "0.550", "2", "✓ chosen"]
    assert texts(table)[-1][1:6] == ["", "", "8", "70.0", "–"]
    assert "Every arm had 2 trials." in words(page)
    assert "different numbers of trials (lora[rank=1] 2, lora[rank=8] 1)" in relations_wording.tuning_line(
        rows[:3]
    )


def test_charts_are_the_same_without_altairs_checks(page):
    from evenhand.report.study import page as study

    checked = study.render("study.html.j2", study._view(results_sample.document()))
    assert re.sub(r"\s", "", checked) == re.sub(r"\s", "", page)


def test_a_study_without_scores_has_no_calibration():
    assert calibration_view(study_sample.one_model()["models"][0]["audit"], ()) is None
