"""Figures for a paper: which are made, what is in their files, and what is left alone."""

from __future__ import annotations

import csv
import re
import shutil
from xml.etree import ElementTree

import pytest
import results_sample
from test_page import NAMES
from tests.study.studies import ARMS, TRAINER, study

from evenhand.cli import main
from evenhand.report.figures import charts, data, style, tables
from evenhand.report.figures.run import FIGURES, rendered, write_figures
from evenhand.study.run import run_study

PICTURES = ("p2_subgroup_utility_images", "p3_reliability", "p4_calibration_error", "p7_rank")
PICTURES += ("p8_layer_fraction", "p12_group_size", "forest")
TABLES = ("t1_summary", "t2_calibration")
#: Of models that write.
WRITTEN = (
    "p9_translation_shares",
    "p10_option_shares",
    "p11_template_twins",
    "t3_translation_quality",
    "p9_translation_gender",
    "t4_translation_gender",
    "t5_answers",
)
#: Of attacks on training rows.
ATTACKED = ("p5_attack_roc", "p6_leakage")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "deep" / "paper"
    made = write_figures(results_sample.document(), folder)
    assert made.written == (*PICTURES, *TABLES)
    assert made.left_out == (
        "p1_subgroup_utility: left out, the study's rows are images; p2 has its rates.",
        "p5_attack_roc, p6_leakage: left out, the study runs no attacks (`privacy:`).",
        "p9_translation_shares, p9_translation_gender, t3_translation_quality, t4_translation_gender: "
        "left out, the study judges no translations.",
        "p10_option_shares, p11_template_twins, t5_answers: "
        "left out, the study judges no likelihoods of answers.",
    )
    return folder


def records(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown(svg):
    """What a figure says: its texts."""
    return [e.text or "" for e in ElementTree.fromstring(svg).iter() if e.tag.endswith(("text", "tspan"))]


def test_every_figure_has_all_its_files_and_no_others(out):
    expected = {f"{n}.{e}" for n in PICTURES for e in ("svg", "pdf", "png", "csv")}
    assert {p.name for p in out.iterdir()} == expected | {f"{n}.csv" for n in TABLES}
    for name in PICTURES:
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.fromstring((out / f"{name}.svg").read_text(encoding="utf-8"))
        assert root.tag.endswith("svg")
        width = float(root.get("width"))
        assert 200 < width < 800, f"{name}: {width} pixels, letters of 9 are too small on a page"


def test_figures_show_what_the_document_says(out):
    stored = {name: shown((out / f"{name}.svg").read_text(encoding="utf-8")) for name in PICTURES}
    for name in ("p2_subgroup_utility_images", "p4_calibration_error"):
        assert any(re.fullmatch(r"Asian \(\d+\)", t) for t in stored[name])
        assert set(results_sample.ARMS) <= set(stored[name])
    assert {"0", "1", "8", "full", "lora"} <= set(stored["p7_rank"])
    assert {"0.25", "0.75"} <= set(stored["p8_layer_fraction"])
    assert {"harm", "undecided", "harmless"} <= set(stored["forest"])
    assert "score of female" in stored["p3_reliability"]


def test_rank_zero_is_the_head_alone_and_the_reference_is_a_line():
    rows = [r for r in data.along(results_sample.document(), "rank") if r["metric"] == "accuracy"]
    assert [(r["arm"], r["value"]) for r in rows] == [
        ("head_only", 0.0),
        ("lora[rank=1]", 1.0),
        ("lora[rank=8]", 8.0),
        ("full", None),
    ]


def test_of_many_classes_figures_show_what_is_about_all():
    document = results_sample.document()
    audit = document["models"][0]["audit"]
    split = ("true_positive_rate", "demographic_parity_difference", "equalized_odds_difference")
    for key in ("rates", "disparities", "comparisons"):
        audit[key] = [
            r | {"class": c}
            for r in audit[key]
            for c in (("young", "old") if r["metric"] in split else (None,))
        ]
    assert {r["metric"] for r in data.utility(document)} == {"accuracy"}
    assert {r["metric"] for r in data.along(document, "rank")} == {"accuracy", "accuracy_difference"}
    assert {r["metric"] for r in data.by_size(document)} == {"accuracy"}
    assert {r["class"] for r in data.differences(document)} == {None, "young", "old"}
    assert tables.summary(document)[0]["demographic_parity_difference"] is None


def test_the_summary_has_the_audits_numbers(out):
    audit = results_sample.document()["models"][0]["audit"]
    row = next(r for r in records(out / "t1_summary.csv") if r["arm"] == "head_only")
    groups = {
        r["group"]: r["value"]
        for r in audit["rates"]
        if (r["input"], r["attribute"], r["metric"], r["status"]) == ("head_only", "race", "accuracy", "ok")
    }
    assert row["worst_group"] == min(groups, key=groups.get)
    assert float(row["best_accuracy"]) == max(groups.values())
    assert float(row["gap"]) == pytest.approx(max(groups.values()) - min(groups.values()))
    parity = next(
        r
        for r in audit["comparisons"]
        if (r["candidate"], r["metric"]) == ("head_only", "demographic_parity_difference")
    )
    assert float(row["change_demographic_parity_difference"]) == parity["difference"]
    assert float(row["change_demographic_parity_difference_high"]) == parity["high"]
    reference = next(r for r in records(out / "t1_summary.csv") if r["arm"] == "full")
    assert (reference["reference"], reference["change_accuracy"]) == ("", "")


def test_the_calibration_table_has_p_values_of_single_runs():
    document = results_sample.document(runs=1)
    row = next(r for r in tables.calibration(document) if (r["arm"], r["group"]) == ("head_only", "Asian"))
    of_arm = next(
        r
        for r in document["models"][0]["audit"]["comparisons"]
        if (r["candidate"], r["group"], r["metric"]) == ("head_only", "Asian", "expected_calibration_error")
    )
    assert (row["p_value"], row["p_adjusted"]) == (of_arm["p_value"], of_arm["p_adjusted"]) != (None, None)


def test_missing_figures_are_reported_and_other_files_stay(tmp_path):
    document = results_sample.document()
    del document["models"][0]["reliability"], document["models"][0]["series"]
    audit = document["models"][0]["audit"]
    for key in ("rates", "disparities"):
        audit[key] = [r for r in audit[key] if "lora" not in r["input"]]
    audit["comparisons"] = [r for r in audit["comparisons"] if "lora" not in r["candidate"]]
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "t1_summary.csv").write_text("old")
    (tmp_path / "p7_rank.csv").write_text("of another study")
    written = write_figures(document, tmp_path)
    gone = {name for line in written.left_out for name in line.partition(":")[0].split(", ")}
    assert gone == {
        "p1_subgroup_utility",
        "p3_reliability",
        "p7_rank",
        "p8_layer_fraction",
        *WRITTEN,
        *ATTACKED,
    }
    assert {p.stem for p in tmp_path.iterdir()} == {*written.written, "notes", "p7_rank"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "p7_rank.csv").read_text() == "of another study"
    assert records(tmp_path / "t1_summary.csv")[0]["arm"] == "full"
    nothing = write_figures(document | {"models": []}, tmp_path / "none")
    assert nothing.written == ()
    assert sum(line.partition(":")[0].count(", ") + 1 for line in nothing.left_out) == len(FIGURES)


def test_texts_and_images_have_different_names():
    document = results_sample.document()
    assert data.task_of(document) == "image"
    assert data.task_of(document | {"dataset": {"name": "dlab_hate_speech"}}) == "text"
    assert data.task_of(document | {"dataset": {"name": "table", "task": "image"}}) == "image"
    assert data.task_of(document | {"dataset": {"name": "of_a_plug_in_that_is_gone"}}) == "text"


def test_many_arms_are_reduced_to_those_nearest_to_harm_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MOST_ARMS", 3)
    document = results_sample.document()
    selected = data.shown_arms(document)
    ranked = document["models"][0]["audit"]["verdict"]["worst"]
    assert len(selected) == 3
    assert selected[0] == "full"
    assert ranked is None or ranked["candidate"] in selected
    written = write_figures(document, tmp_path)
    assert "3 of 6 arms are drawn" in written.left_out[-1]
    names = set(shown((tmp_path / "p12_group_size.svg").read_text(encoding="utf-8")))
    assert {a for a in results_sample.ARMS if a in names} == set(selected[1:])
    assert {r["candidate"] for r in records(tmp_path / "forest.csv")} == set(results_sample.ARMS[1:])


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_hostile_name_stays_text(name):
    document = results_sample.hostile(name)
    for spec in (charts.forest(data.differences(document)), charts.by_group(data.utility(document))):
        svg = rendered(spec)["svg"]
        tags = {e.tag.rpartition("}")[2] for e in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "g", "path", "rect", "line", "text", "defs", "clipPath", "tspan"}
        assert any(name in text for text in shown(svg))


def test_equal_names_of_two_attributes_are_two_lines():
    document = results_sample.document()
    audit = document["models"][0]["audit"]
    for key in ("rates", "comparisons"):
        audit[key] += [r | {"attribute": "skin"} for r in audit[key] if r["attribute"] == "race"]
    labels = {r["label"] for r in data.differences(document)}
    assert any(x.startswith("race=Asian (") for x in labels)
    assert any(x.startswith("skin=Asian (") for x in labels)


def test_seven_arms_have_seven_looks():
    colours, shapes = style.arm_scales([str(i) for i in range(20)])
    looks = list(zip(colours.range, shapes.range, strict=True))
    assert len(set(looks)) == 20


def test_the_command_writes_figures_and_says_what_is_missing(tmp_path, capsys):
    folder = run_study(study(arms=ARMS[:2]), tmp_path / "runs", trainer=TRAINER, workers=1).folder.path
    before = {p.name for p in folder.iterdir()}
    assert main(["report", str(folder), "--figures", str(tmp_path / "out" / "figures")]) == 0
    out, err = capsys.readouterr()
    assert "figures: " in out
    assert "forest" in out
    assert "p8_layer_fraction: left out, no two arms differ in their layer_fraction." in err
    assert (tmp_path / "out" / "figures" / "forest.pdf").stat().st_size > 1000
    assert {p.name for p in folder.iterdir()} == before | {"report.html"}
    shutil.copytree(folder, tmp_path / "runs" / "other")
    assert main(["report", str(tmp_path / "runs"), "--figures", str(tmp_path / "both")]) == 0
    assert {p.name for p in (tmp_path / "both").iterdir()} == {folder.name, "other"}


@pytest.mark.parametrize(
    ("path", "message"), [("", "the path is empty"), ("{file}", "is a file"), ("{file}/x", "is a file")]
)
def test_an_invalid_folder_is_refused_before_the_work(path, message, tmp_path, capsys):
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "study.json").write_text("{")
    file = tmp_path / "taken"
    file.write_text("")
    assert main(["report", str(folder), "--figures", path.format(file=file)]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "result.json").exists()
