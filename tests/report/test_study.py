"""The page and the terminal summary of a study: all that it has is told, nothing that it says is run."""

from __future__ import annotations

import io
import json
import re

import pytest
import study_sample
from rich.console import Console
from test_page import NAMES, read

from evenhand.report.study import charts as study_charts
from evenhand.report.study import wording as study_wording
from evenhand.report.study.page import build_study_page, summarise_study


@pytest.fixture(scope="module")
def two():
    return build_study_page(study_sample.document())


@pytest.fixture(scope="module")
def one():
    return build_study_page(study_sample.one_model())


def sections(page):
    return [a["id"] for t, a in read(page).tags if t == "section"]


def words(page):
    return " ".join("".join(read(page).text).split())


def specs(page):
    blocks = re.findall(r'<script type="application/json" class="spec">(.*?)</script>', page, re.DOTALL)
    return [json.loads(s) for s in blocks]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(name, two):
    page = build_study_page(study_sample.hostile(name))
    reader = read(page)
    assert {t for t, _ in reader.tags} <= {t for t, _ in read(two).tags}
    assert all(not k.startswith("on") for _, attrs in reader.tags for k in attrs)
    tags = [a for t, a in reader.tags if t == "script"]
    run = [s for a, s in zip(tags, reader.scripts, strict=True) if a.get("type") != "application/json"]
    assert len(run) == 2
    assert not any(name in script for script in run)
    assert name in "".join(reader.text)
    assert any(name in json.dumps(s, ensure_ascii=False).replace('\\"', '"') for s in specs(page))


def test_nothing_is_loaded_from_outside(two):
    reader = read(two)
    resources = ("src", "href", "action", "data", "srcset")
    addresses = [v for _, attrs in reader.tags for k, v in attrs.items() if k in resources]
    assert addresses
    assert all(a.startswith("#") for a in addresses)
    assert not [t for t, _ in reader.tags if t in ("link", "iframe", "object", "embed", "base", "img")]
    assert "default-src 'none'" in two


def test_every_section_is_there_and_linked(one, two):
    assert sections(one) == [
        "verdict", "study", "differences", "trends", "comparisons", "disparities", "rates", "training",
        "cost", "data", "how",
    ]  # fmt: skip
    of_models = [
        f"{s}-{i}"
        for i in (1, 2)
        for s in ("differences", "trends", "comparisons", "disparities", "rates", "training", "cost")
    ]
    assert sections(two) == ["verdict", "study", *of_models, "bases", "failed", "data", "how"]
    for page in (one, two):
        ids = [a["id"] for _, a in read(page).tags if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for t, a in read(page).tags if t == "a"} <= set(ids)


def test_verdicts_come_first(one, two):
    document = study_sample.document()
    text = words(two)
    at = [text.index(document["verdict"]["sentence"])]
    at += [text.index(m["audit"]["verdict"]["sentence"]) for m in document["models"]]
    assert at == sorted(at)
    assert at[-1] < text.index("Short posts about groups") < text.index("Differences by group ·")
    sentence = study_sample.one_model()["verdict"]["sentence"]
    assert words(one).count(sentence) == 1, "one model's sentence is not repeated"


def test_every_part_of_a_study_is_reported(two):
    text = words(two)
    for page_text in (
        "Does the rank of LoRA matter to small groups?",
        "30,000 rows (21,000 train, 3,000 validation, 6,000 test)",
        "50 runs of 5 arms",
        "1 run did not finish",
        "OutOfMemoryError: 2.1 GB",
        "12 rows have no race and are in no group of race.",
        "lora[rank=64]: run 7 failed and is left out.",
        "×0.038",
        "0.254 %",
        "2 min 37 s",
        "points per doubling of rank",
        "race=Other",
    ):
        assert page_text in text, page_text
    assert "nan" not in text.lower().split()
    assert "None" not in re.sub(r"None: every", "", text)


def test_curves_along_the_rank_have_the_audits_numbers():
    model = study_sample.document()["models"][0]
    (series,) = model["series"]
    blocks = study_charts.option_curves(model["audit"], series, model["trends"])
    assert [b.title.split(",")[0] for b in blocks] == [
        "Accuracy",
        "True positive rate",
        "False positive rate",
    ]
    panel = next(p for p in blocks[0].panels if p.title.startswith("race=Black"))
    assert blocks[0].panels[0].title == "all rows (6,000 rows)"
    assert panel.note.startswith("grows by ")
    row = next(
        r
        for r in model["audit"]["comparisons"]
        if (r["candidate"], r["group"], r["metric"]) == ("lora[rank=8]", "Black", "accuracy")
    )
    points = panel.spec["datasets"]["points"]
    assert [p["value"] for p in points] == [1, 8, 64]
    middle = points[1]
    for key in ("difference", "low", "high"):
        assert middle[key] == pytest.approx(100 * row[key])
    assert middle["verdict"] == row["verdict"]
    scales = {json.dumps(layer["encoding"]["x"]["scale"]) for layer in panel.spec["layer"][2:]}
    assert all('"type": "log"' in s for s in scales)


def test_the_reference_in_a_series_lies_at_zero():
    model = study_sample.document()["models"][0]
    audit = model["audit"]
    rows = [
        r | {"reference": "lora[rank=8]"} for r in audit["comparisons"] if r["candidate"] != "lora[rank=8]"
    ]
    (series,) = model["series"]
    panel = study_charts.option_curves(audit | {"comparisons": rows}, series, [])[0].panels[0]
    points = panel.spec["datasets"]["points"]
    assert [p["difference"] == 0 for p in points] == [False, True, False]
    assert points[1]["low"] is None
    assert panel.note == ""


def test_groups_are_limited_to_the_clearest_with_a_note():
    model = study_sample.document()["models"][0]
    for rows in (model["audit"]["comparisons"], model["trends"]):
        rows += [
            r | {"group": f"g{i}", "p_value": 1.0} for i in range(30) for r in rows if r["group"] == "White"
        ]
    (series,) = model["series"]
    block = study_charts.option_curves(model["audit"], series, model["trends"])[0]
    assert len(block.panels) == study_charts.MOST_GROUPS
    assert block.note.startswith("12 of 35 groups are shown")
    assert any(p.title.startswith("race=Black") for p in block.panels)


def test_groups_of_which_no_difference_has_an_interval_are_not_drawn_along_the_rank():
    model = study_sample.document()["models"][0]
    (series,) = model["series"]
    groups = len(study_charts.option_curves(model["audit"], series, model["trends"])[0].panels)
    for row in model["audit"]["comparisons"]:
        if row["group"] == "White":
            row |= {"low": None, "high": None, "status": "too_small"}
    block = study_charts.option_curves(model["audit"], series, model["trends"])[0]
    assert not any(p.title.startswith("race=White") for p in block.panels)
    assert len(block.panels) == groups - 1
    assert "groups are shown; the table of slopes has all" in block.note


def test_training_curves_are_means_over_runs():
    curves = study_sample.document()["models"][0]["curves"]
    panels = study_charts.training_curves(curves)
    assert [p.title for p in panels] == ["training loss", "validation accuracy", "validation loss"]
    means = mean_points(panels[1], "head_only")
    of_arm = [c["validation"] for c in curves if c["arm"] == "head_only"]
    for epoch, value in means.items():
        runs = [v["accuracy"] for run in of_arm for v in run if v["epoch"] == epoch]
        assert len(runs) == 5
        assert value == pytest.approx(sum(runs) / 5)
    assert len(mean_points(panels[0], "head_only")) == study_charts.MOST_POINTS < 240


def mean_points(panel, arm):
    rows = [r for data in panel.spec["datasets"].values() for r in data if "run" not in r and r["arm"] == arm]
    return {r["epoch"]: r["value"] for r in rows}


def test_many_runs_are_drawn_as_means_with_a_note():
    means = study_sample.document()["models"][0]["curves"]
    curves = [c | {"run": f"{c['run']}-{i}"} for i in range(4) for c in means]
    panel = study_charts.training_curves(curves)[0]
    assert panel.note.startswith("60 of 100 single runs are shown")
    assert study_charts.training_curves([{"arm": "none", "run": "1", "points": [], "validation": []}]) == []


def sample_of(model):
    return model | {"audit": study_sample.document()["models"][0]["audit"]}


def test_a_study_without_arms_to_compare_still_makes_a_page():
    document = study_sample.one_model()
    (model,) = document["models"]
    model["audit"] |= {"comparisons": [], "disparities": []}
    model |= {"trends": []}
    assert study_wording.NO_TRENDS in words(build_study_page(document | {"models": [sample_of(model)]}))
    model |= {"curves": [], "cost": []}
    assert sections(build_study_page(document)) == ["verdict", "study", "rates", "data", "how"]
    model["audit"] = None
    document["verdict"]["sentence"] = "No run has finished."
    assert sections(build_study_page(document)) == ["verdict", "study", "data", "how"]
    assert study_wording.NOTHING_FINISHED in shown(document)


def shown(document, width=80, written=None):
    stream = io.StringIO()
    summarise_study(document, Console(file=stream, width=width), written)
    return stream.getvalue()


def test_the_answer_at_80_columns():
    document = study_sample.document()
    text = shown(document, written={"report": "runs/x/report.html", "result": "runs/x/result.json"})
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert flat.startswith(document["verdict"]["sentence"])
    for model in document["models"]:
        assert f"{model['model']}: {model['audit']['verdict']['sentence']}" in flat
    for page_text in (
        "▼ 9 harm",
        "lora, race=Black: accuracy grows by",
        "on tiny_text[pretraining=strong] than on tiny_text[pretraining=weak]",
        "1 run did not finish",
        "lora[rank=64], run 7: OutOfMemoryError: 2.1 GB",
        "report: runs/x/report.html",
        "12 rows have no race",
    ):
        assert page_text in flat, page_text


def test_one_model_says_its_sentence_once():
    document = study_sample.one_model()
    flat = " ".join(shown(document).split())
    assert flat.count(document["verdict"]["sentence"]) == 1
    assert "did not finish" not in flat


def test_markup_and_escapes_are_shown_not_obeyed():
    text = shown(study_sample.hostile("[bold]x[/bold]\x1b[31m"), width=300)
    assert "[bold]x[/bold]�[31m" in text
    assert "\x1b" not in text


ROW = {
    "attribute": "race", "group": "Black", "class": None, "metric": "accuracy", "method": "lora",
    "parameter": "rank", "values": [1, 8, 64], "slope": 0.012, "low": 0.003, "high": 0.021, "level": 0.95,
    "interval": "t", "p_value": 0.01, "p_adjusted": 0.03, "n": 800, "runs": 5, "unit": "rows and runs",
    "status": "ok", "reason": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({}, "grows by 1.20 points per doubling of rank (0.30 to 2.10), for the better"),
        (
            {"slope": -0.012, "low": -0.021, "high": -0.003},
            "falls by 1.20 points per doubling of rank (0.30 to 2.10), for the worse",
        ),
        (
            {"metric": "false_positive_rate"},
            "grows by 1.20 points per doubling of rank (0.30 to 2.10), for the worse",
        ),
        ({"metric": "selection_rate"}, "grows by 1.20 points per doubling of rank (0.30 to 2.10)"),
        ({"low": -0.004}, "no detectable trend with rank (−0.40 to +2.10 points per doubling)"),
        ({"metric": "log_loss"}, "grows by 0.0120 per doubling of rank (0.0030 to 0.0210), for the worse"),
        (
            {"status": "too_small", "reason": "6 rows, fewer than 10", "low": None, "high": None},
            "no slope: too small (6 rows, fewer than 10)",
        ),
        (
            {"status": "undefined", "reason": "no rows", "slope": None, "low": None, "high": None},
            "no slope: undefined (no rows)",
        ),
    ],
)  # fmt: skip
def test_what_a_slope_says(change, finding):
    assert study_wording.trend_finding(ROW | change) == finding


def test_what_all_slopes_say():
    none = [ROW | {"low": -0.004, "group": str(i)} for i in range(3)]
    assert study_wording.trend_summary(none) == [
        "lora: no detectable trend with rank in any of 3 slopes by group and metric."
    ]
    some = study_wording.trend_summary([*none, ROW])
    assert some[0] == (
        "lora, race=Black: accuracy grows by 1.20 points per doubling of rank (0.30 to 2.10), for the better."
    )
    assert some[1] == "lora: 3 of 4 slopes show no detectable trend."
    clear = [ROW | {"group": str(i), "p_adjusted": 0.001 * (9 - i)} for i in range(6)]
    summary = study_wording.trend_summary(clear)
    assert [t.split(":")[0] for t in summary[:4]] == [f"lora, race={i}" for i in (5, 4, 3, 2)]
    assert summary[4] == "lora: 2 more slopes differ from 0."
    assert study_wording.trend_summary([]) == []


BASES = {k: v for k, v in ROW.items() if k not in ("slope", "method", "parameter", "values")} | {
    "arm": "lora", "reference": "full", "model_low": "weak", "model_high": "strong", "difference": 0.031,
    "low": 0.010, "high": 0.052,
}  # fmt: skip


def test_what_a_base_model_changes():
    finding = study_wording.interaction_finding
    assert finding(BASES) == "higher by 3.1 points on strong than on weak (1.0 to 5.2), for the better"
    lower = BASES | {"difference": -0.031, "low": -0.052, "high": -0.010}
    assert finding(lower) == "lower by 3.1 points on strong than on weak (1.0 to 5.2), for the worse"
    open_ = BASES | {"low": -0.01}
    assert finding(open_) == "no detectable dependence on the base model (−1.0 to +5.2 points)"
    assert study_wording.interaction_summary([BASES, open_]) == [
        "Accuracy of race=Black, lora − full: higher by 3.1 points on strong than on weak (1.0 to 5.2), "
        "for the better."
    ]
    one = study_wording.interaction_summary([open_])[0]
    assert one.startswith("The one comparison shows no method effect that differs between base models")
    assert study_wording.interaction_summary([]) == []


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (study_wording.duration, (4.24,), "4.2 s"),
        (study_wording.duration, (185,), "3 min 5 s"),
        (study_wording.duration, (59.97,), "1 min 0 s"),
        (study_wording.duration, (7800,), "2 h 10 min"),
        (study_wording.duration, (None,), "–"),
        (study_wording.memory, (512_300_000,), "512 MB"),
        (study_wording.memory, (1_440_000_000,), "1.4 GB"),
        (study_wording.share, (514, 1_208_834), "0.0425 %"),
        (study_wording.share, (0, 0), "–"),
        (study_wording.times, (0.3, 1), "×0.3"),
        (study_wording.times, (1, None), "–"),
        (study_wording.times, (250, 2), "×125"),
    ],
)
def test_figures(function, arguments, text):
    assert function(*arguments) == text
