"""Figures of models that write: their numbers are the result's, on paper as in the tables."""

from __future__ import annotations

import csv
import json
import re
from xml.etree import ElementTree

import pytest
import study_sample
import written_sample
from test_figures import records, shown
from test_page import NAMES

from evenhand.report.figures import answers, answers_charts, charts, data, run
from evenhand.report.figures.run import rendered, write_figures
from evenhand.report.language.page import generative_view

NAMES_OF = (
    "p9_translation_shares",
    "p9_translation_gender",
    "p10_option_shares",
    "p11_template_twins",
    "forest",
)


@pytest.fixture(scope="module")
def document():
    return written_sample.document()


@pytest.fixture(scope="module")
def out(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "RESOLUTION", 72)
        made = write_figures(document, folder)
    assert made.written == (*NAMES_OF, "t3_translation_quality", "t4_translation_gender", "t5_answers")
    classified, attacked = made.left_out
    assert classified.endswith("left out, the study's models generate answers and do not classify.")
    assert attacked == "p5_attack_roc, p6_leakage: left out, the study runs no attacks (`privacy:`)."
    return folder


def numbers(row, *keys):
    return [float(row[k]) if row[k] not in ("", None) else None for k in keys]


def test_all_files_are_there_and_fit_on_a_page(out):
    for name in NAMES_OF:
        drawings = sorted(out.glob(f"{name}*.svg"))
        assert drawings
        for path in drawings:
            root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
            assert 200 < float(root.get("width")) < 800, path.name
            assert name == "forest" or float(root.get("height")) < 760, path.name
            assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
            assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_shares_of_translations_are_the_results(out, document):
    judgement = document["models"][1]["generative"]["shares"]
    rows = records(out / "p9_translation_shares.csv")
    assert len(rows) == len(judgement)
    at = {(r["arm"], r["group"] or None, r["metric"]): r for r in rows}
    for row in judgement:
        stored = at[row["input"], row["group"], row["metric"]]
        keys = ("value", "low", "high")
        expected = [row[k] if row["status"] == "ok" or k != "value" else None for k in keys]
        assert numbers(stored, "value", "low", "high") == expected
        assert int(stored["n"]) == row["n"]
    words = shown((out / "p9_translation_shares.svg").read_text(encoding="utf-8"))
    assert {"female (60)", "male (60)", "none (60)", "all (180)"} <= set(words)


@pytest.mark.parametrize(
    ("name", "selected", "table", "keys"),
    [
        ("p10_option_shares", {}, "options", ("template", "variant", "by", "option")),
        ("p11_template_twins", {"inverted": ("meaning", "token"), "reordered": ("both",)}, "inversions",
         ("template", "variant", "twin", "outcome")),
    ],
)  # fmt: skip
def test_answers_to_templates_are_the_results(name, selected, table, keys, out, document):
    judgement = [
        r
        for r in document["models"][0]["generative"][table]
        if r["scoring"] == "raw" and (not selected or r["outcome"] in selected[r["kind"]])
    ]
    rows = records(out / f"{name}.csv")
    assert len(rows) == len(judgement) > 10
    at = {(r["arm"], *(r[k] for k in keys)): r for r in rows}
    for row in judgement:
        stored = at[row["input"], *(row[k] for k in keys)]
        assert numbers(stored, "value", "low", "high") == [row["value"], row["low"], row["high"]]
        assert (int(stored["n"]), stored["interval"]) == (row["n"], row["interval"])


def test_every_template_is_drawn_on_one_page(out, document):
    rows = answers.options(document)
    [page] = answers_charts.pages(rows)
    assert sorted(page, key=str) == sorted((r for r in rows if r["by"] == "meaning"), key=str)
    stored = set(shown((out / "p10_option_shares.svg").read_text(encoding="utf-8")))
    assert {*written_sample.TEMPLATES, *written_sample.ARMS, "letters_inverted", "undisclosed"} <= stored
    many = [r | {"template": f"{r['template']}.{i}"} for i in range(8) for r in rows]
    pages = answers_charts.pages(many)
    homes = {}
    for number, of_template in enumerate(pages):
        for row in of_template:
            homes.setdefault(row["template"], set()).add(number)
    assert len(pages) > 1
    assert all(len(home) == 1 for home in homes.values())
    assert len(homes) == 8 * len(written_sample.TEMPLATES)


def test_further_pages_are_further_files(tmp_path, document, monkeypatch):
    monkeypatch.setattr(answers_charts, "_TALLEST", 100)
    monkeypatch.setattr(run, "rendered", lambda _: {"svg": ""})
    monkeypatch.setattr(run, "FIGURES", [f for f in run.FIGURES if f.name == "p11_template_twins"])
    assert write_figures(document, tmp_path).written == ("p11_template_twins",)
    names = {"p11_template_twins.svg", "p11_template_twins_2.svg", "p11_template_twins.csv"}
    assert {p.name for p in tmp_path.iterdir()} == names


def test_the_page_and_the_figure_tell_of_the_same_twins(document):
    judgement = document["models"][0]["generative"]
    sections = generative_view(judgement)["sections"]
    panels = next(s for s in sections if s["id"] == "inversions")["panels"]
    on_page = set(re.findall(r'"group": "([^"]*)"', json.dumps([p.spec for p in panels])))
    assert on_page == {f"{r['line']}: {r['column']}" for r in answers.twins(document)}
    assert "letters_inverted_symbol (reordered): keeps the answer" in on_page


def test_scores_of_translations_are_the_results(out, document):
    judgement = document["models"][1]["generative"]
    rows = records(out / "t3_translation_quality.csv")
    assert [(r["arm"], r["against"]) for r in rows] == [
        (arm, against) for against in ("gold", "he", "she", "they") for arm in written_sample.ARMS
    ]
    for row in rows:
        for metric in ("bleu", "chrf"):
            key = (row["arm"], row["against"], metric)
            rates = judgement["quality"]["rates"]
            score = next(r for r in rates if (r["input"], r["class"], r["metric"]) == key)
            assert numbers(row, metric, f"{metric}_low", f"{metric}_high") == [
                score[k] for k in ("value", "low", "high")
            ]
            change = [
                r
                for r in judgement["comparisons"]
                if r["attribute"] is None and (r["candidate"], r["class"], r["metric"]) == key
            ]
            assert len(change) == (row["arm"] != "none")
            for one in change:
                stored = numbers(row, *(f"change_{metric}{k}" for k in ("", "_low", "_high")))
                assert stored == [one[k] for k in ("difference", "low", "high")]


def test_a_forest_leaves_out_groups_that_no_row_is_about(out):
    gone = {r["label"] for r in records(out / "forest.csv") if r["n"] == "0"}
    assert "variant=letters (0)" in gone
    words = set(shown((out / "forest.svg").read_text(encoding="utf-8")))
    assert "variant=letters_inverted (24)" in words
    assert not gone & words


def test_a_study_of_both_kinds_has_all(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "rendered", lambda spec: {"svg": ""})
    written = write_figures(written_sample.document(also_classifies=True), tmp_path)
    assert {"p1_subgroup_utility", "p12_group_size", "t1_summary", *NAMES_OF} <= set(written.written)
    with (tmp_path / "forest.csv").open(encoding="utf-8", newline="") as file:
        metrics = {r["metric"] for r in csv.DictReader(file)}
    assert {"accuracy", "token_followed", "gender_accuracy"} <= metrics
    assert {r["metric"] for r in records(tmp_path / "p12_group_size.csv")} <= set(study_sample.PRIMARY)


def test_a_hostile_name_stays_text():
    name = NAMES[0]
    content = json.dumps(written_sample.document())
    for old in ("lora", "letters_inverted", "predisposition", "undisclosed"):
        content = content.replace(old, json.dumps(name)[1:-1] + old)
    document = json.loads(content)
    for spec in (
        charts.by_group(answers.shares(document)),
        answers_charts.by_template(answers_charts.pages(answers.options(document))[0]),
        answers_charts.by_template(answers.twins(document)),
        charts.forest(data.differences(document)),
    ):
        svg = rendered(spec)["svg"]
        tags = {e.tag.rpartition("}")[2] for e in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "g", "path", "rect", "line", "text", "defs", "clipPath", "tspan"}
        assert any(name[:8] in text for text in shown(svg))


def test_the_table_of_answers_has_what_the_page_begins_with(out, document):
    judgement = document["models"][0]["generative"]
    rows = {(r["arm"], r["group"], r["metric"], r["class"]): r for r in records(out / "t5_answers.csv")}
    assert len(rows) == len(judgement["rates"])
    for rate in judgement["rates"]:
        stored = rows[rate["input"], rate["group"] or "", rate["metric"], rate["class"] or ""]
        assert numbers(stored, "value", "low", "high") == [rate[k] for k in ("value", "low", "high")]
    overall = [r for r in judgement["comparisons"] if r["attribute"] is None]
    assert {r["metric"] for r in overall} >= {"option_share", "token_followed", "meaning_followed"}
    for row in overall:
        stored = rows[row["candidate"], "", row["metric"], row["class"] or ""]
        assert numbers(stored, "change_difference", "change_low", "change_high") == [
            row[k] for k in ("difference", "low", "high")
        ]
        assert stored["change_unit"] == "rows"


def test_tables_say_what_their_verdicts_are_about(out, document):
    rows = records(out / "t4_translation_gender.csv")
    assert {r["verdicts_about"] for r in rows} == {"these runs"}
    for metric in ("delta_g", "delta_s"):
        assert any(r[metric] and r[f"change_{metric}_low"] for r in rows), metric
    forest = records(out / "forest.csv")
    assert {r["unit"] for r in forest} == {"rows"}
    assert {"n_right_to_wrong", "n_right_to_wrong_between_runs"} <= set(forest[0])
