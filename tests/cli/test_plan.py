"""`evenhand plan`: every form of its input, its outputs, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.judge.test_moderated_audit import predictions
from tests.study.studies import ARMS, TRAINER, study

import evenhand
from evenhand.cli import main
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.study.run import run_study
from evenhand.tables.schema import Columns


def pilot(runs=5, arms=("full", "lora", "head"), primary=("accuracy",), **settings):
    settings = {"primary": primary, "metrics": primary, "reference": "full"} | settings
    table = predictions(runs=runs, arms=arms)
    return judge_predictions(table, Columns(), Settings(**settings)).to_dict()


def write(path, document):
    path.write_text(json.dumps(document))
    return str(path)


def planned(*words, path):
    """The plan that a call writes, with one model."""
    assert main(["plan", *map(str, words), "--json", str(path)]) == 0
    [model] = json.loads(path.read_text())["models"]
    return model


def shown(capsys):
    out = capsys.readouterr()
    return " ".join(out.out.split()), " ".join(out.err.split())


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished study of three seeds, whose runs took known times."""
    spec = study(arms=ARMS[:2], seeds=(1, 2, 3))
    return run_study(spec, tmp_path_factory.mktemp("output"), trainer=TRAINER, workers=2).folder.path


def test_a_result_gives_a_plan_a_page_and_json(tmp_path, capsys):
    source, out, page = (
        write(tmp_path / "pilot.json", pilot()),
        tmp_path / "plan.json",
        tmp_path / "plan.html",
    )
    assert main(["plan", source, "--difference", "0.05", "--json", str(out), "--html", str(page)]) == 0
    plan, (text, _) = json.loads(out.read_text()), shown(capsys)
    again = evenhand.plan(source, difference=0.05)
    assert {k: v for k, v in plan.items() if k != "created"} == {
        k: v for k, v in again.items() if k not in ("created", "source")
    } | {"source": plan["source"]}
    assert len(plan["models"][0]["rows"]) == 6
    assert all(word in text for word in ("80 %", "race=a", "never", str(out), str(page)))
    assert "race=a" in page.read_text()
    rows = plan["models"][0]["rows"]
    open_ended = [r for r in rows if r["rows_harm"] is not None and r["rows_harm_cautious"] is None]
    assert open_ended  # by the estimate rows suffice, by the upper limit of the runs' variance they do not
    assert "– never" in text
    asked = [r[f"runs_{q}_cautious"] for r in rows for q in ("harm", "harmless")]
    assert f"{asked.count(None)} of {len(asked)} are not decided by runs alone." in text
    assert any(row["runs_harm"] for row in plan["models"][0]["rows"])
    for row in plan["models"][0]["rows"]:
        # The curve passes 80 % where the number of runs is.
        curve = {at["runs"]: at["harm"] for at in row["by_runs"]}
        needed = row["runs_harm"]
        if needed is not None:
            assert all((power >= 0.8) == (runs >= needed) for runs, power in curve.items())
            assert row["runs_harm_cautious"] is None or row["runs_harm_cautious"] >= needed


def test_json_on_standard_output_is_alone_there(tmp_path, capsys):
    assert main(["plan", write(tmp_path / "pilot.json", pilot()), "--json", "-"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["schema"] == "evenhand.plan/1"
    assert "race=a" in out.err


def test_a_study_is_planned_from_its_folder_with_the_cost_of_its_runs(done, tmp_path, capsys):
    model = planned(done, "--difference", "0.1", path=tmp_path / "plan.json")
    result = json.loads((done / "result.json").read_text())
    costs = [row["seconds_total"] / row["runs"] for row in result["models"][0]["cost"]]
    one = next(x for x in model["next"] if (x["buy"], x["amount"]) == ("runs", 1))
    assert one["seconds"] == pytest.approx(sum(costs))
    assert model["model"] == result["models"][0]["model"]
    assert {row["runs"] for row in model["rows"]} == {3}
    from_file = planned(done / "result.json", "--difference", "0.1", path=tmp_path / "file.json")
    assert from_file == model
    assert shown(capsys)[0]


def test_one_run_foresees_no_runs(tmp_path, capsys):
    source = write(tmp_path / "pilot.json", pilot(runs=1))
    model = planned(source, "--difference", "0.05", path=tmp_path / "plan.json")
    text, _ = shown(capsys)
    assert "no number of runs can be foreseen" in text
    assert "not known" in text
    assert all(row["runs_harm"] is None and not row["by_runs"] for row in model["rows"])
    assert all(row["rows_harm"] > row["n"] for row in model["rows"])
    assert {x["buy"] for x in model["next"]} == {"nothing", "rows"}


def test_a_study_file_is_planned_from_stated_assumptions(tmp_path, capsys):
    file, out = tmp_path / "study.yaml", tmp_path / "plan.json"
    file.write_text(
        "name: small\nmodel: tiny_text\nmethods: {full: {}, lora: {rank: [1, 4]}}\nseeds: [1, 2, 3]\n"
        "dataset: {name: synthetic_posts, rows: 4000}\naudit: {reference: full, primary: [accuracy]}\n"
    )
    easy = planned(file, "--shift", "0.001", "--flips", "0.02", path=out)
    text, _ = shown(capsys)
    assert "Assumed, not measured" in text
    assert "2 % of the answers of an arm flip" in text
    document = json.loads(out.read_text())
    assert document["source"]["assumptions"] == {"disagreement": 0.05, "flips": 0.02, "shift": 0.001}
    assert {row["candidate"] for row in easy["rows"]} == {"lora[rank=1]", "lora[rank=4]"}
    groups = {row["group"]: row["n"] for row in easy["rows"]}
    assert len(groups) > 1
    assert sum(groups.values()) == 800  # the test rows of the split
    hard = planned(file, "--shift", "0.05", "--flips", "0.02", path=out)
    assert all(h["power_harm"] < e["power_harm"] for h, e in zip(hard["rows"], easy["rows"], strict=True))
    fewer = planned(file, "-o", "dataset.rows=2000", "--shift", "0.001", "--flips", "0.02", path=out)
    assert sum({row["group"]: row["n"] for row in fewer["rows"]}.values()) == 400


def test_a_recipe_of_several_studies_has_a_plan_for_each(tmp_path):
    out = tmp_path / "plan.json"
    assert main(["plan", "quickstart", "--json", str(out)]) == 0
    models = json.loads(out.read_text())["models"]
    assert len(models) == 2
    assert {row["group"] for row in models[1]["rows"]} == {"light", "tan", "brown", "dark"}


def earlier():
    document = pilot()
    for row in document["comparisons"]:
        del row["critical"]
    return document


RESULTS = {
    "one arm": (lambda: pilot(arms=("full",)), "nothing is compared"),
    "no primary comparisons": (
        lambda: {**pilot(), "comparisons": [r for r in pilot()["comparisons"] if r["family"] != "primary"]},
        "nothing is compared",
    ),
    "no interval": (lambda: pilot(min_group_size=10_000), "no primary comparison has an interval"),
    "another document": (lambda: {"schema": "evenhand.attack/1"}, "evenhand.audit/1"),
    "a list": (lambda: [1], "evenhand.audit/1"),
    "an earlier version": (earlier, "an earlier version"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_that_cannot_be_planned_are_refused(name, tmp_path, capsys):
    make, complaint = RESULTS[name]
    source, out = write(tmp_path / "pilot.json", make()), tmp_path / "plan.json"
    assert main(["plan", source, "--json", str(out)]) == 2
    assert not out.exists()
    text = shown(capsys)[1]
    assert complaint in text
    assert "pilot.json" in text


CALLS = {
    "a folder that is no study": (["."], "has no result.json"),
    "a missing file": (["missing.json"], "missing.json"),
    "a misspelt recipe": (["quickstrat"], "quickstart"),
    "no JSON": (["broken.json"], "not valid JSON"),
    "a table": (["table.csv"], "table.csv"),
    "a power in per cent": (["quickstart", "--power", "80"], "--power 80"),
    "no difference": (["quickstart", "--difference", "0"], "--difference 0"),
    "a difference below the margin": (["quickstart", "--difference", "0.001"], "below the margin"),
    "flips in per cent": (["quickstart", "--flips", "6"], "--flips 6"),
    "shift in points": (["quickstart", "--shift", "2"], "--shift 2"),
    "a word for a number": (["quickstart", "--shift", "much"], "much"),
    "assumptions of a result": (["pilot.json", "--flips", "0.1"], "--flips"),
    "an override of a result": (["pilot.json", "-o", "seeds=[1]"], "-o"),
    "an output over its input": (["pilot.json", "--json", "pilot.json"], "one of the inputs"),
    "a page on standard output": (["pilot.json", "--html", "-"], "--html -"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_cannot_be_meant_are_refused(name, tmp_path, monkeypatch, capsys):
    words, complaint = CALLS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "table.csv").write_text("example_id,label\n1,0\n")
    write(tmp_path / "pilot.json", pilot())
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["plan", *words]) == 2
    text = shown(capsys)[1]
    assert complaint in text
    assert "Traceback" not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_study_without_a_result_says_how_to_get_one(done, tmp_path, capsys):
    folder = tmp_path / "unjudged"
    shutil.copytree(done, folder)
    (folder / "result.json").unlink()
    assert main(["plan", str(folder)]) == 2
    assert "evenhand report" in shown(capsys)[1]
