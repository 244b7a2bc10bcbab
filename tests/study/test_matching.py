"""Arms matched by their number of trained parameters: chosen, trained, recorded and said."""

import json

import pytest

from evenhand.cli import main
from evenhand.errors import InputError
from evenhand.spec.read import read_studies
from evenhand.study.matching import choose_sizes
from evenhand.study.plan import plan
from evenhand.study.run import run_study
from tests.finetune import worlds

SPEC = {
    "name": "equal",
    "dataset": {"name": "synthetic_posts", "rows": 120},
    "model": {"name": "tiny_text", "pretraining": "none"},
    "methods": {
        "lora": {"rank": 3, "epochs": 1},
        "loha": {"epochs": 1, "match": {"parameters": "lora"}},
        "c3a": {"epochs": 1, "match": {"parameters": 1500}},
    },
    "seeds": [1],
    "audit": {"metric": ["accuracy"], "primary": ["accuracy"], "reference": "lora"},
}


def study(**changes):
    (one,) = read_studies({**SPEC, **changes})
    return one


def test_the_runs_are_those_of_a_study_with_the_values_by_hand():
    one = choose_sizes(study())
    loha, c3a = (arm.match.reached[0] for arm in one.arms[1:])
    methods = {
        "lora": SPEC["methods"]["lora"],
        "loha": {"epochs": 1, "rank": loha.value},
        "c3a": {"epochs": 1, "block_size": c3a.value},
    }
    assert [run.run_id for run in plan(one)] == [run.run_id for run in plan(study(methods=methods))]
    assert choose_sizes(one) is one


def test_each_model_has_its_own_value(tmp_path):
    models = []
    for width in (32, 64):
        (tmp_path / str(width)).mkdir()
        change = {"hidden_size": width}
        models.append(worlds.folder_of(tmp_path / str(width), "bert", change=change))
    one = choose_sizes(study(model=models, methods={"loha": {"match": {"parameters": 1500}}}, audit={}))
    reached = one.arms[0].match.reached
    assert [each.model for each in reached] == [model.label for model in one.models]
    assert [each.value for each in reached] == [3, 2]
    jobs = [run.job for run in plan(one) if run.arm == "loha"]
    assert [job.options["rank"] for job in jobs] == [each.value for each in reached]


def test_goals_out_of_reach_are_refused_together():
    methods = {
        "lora": {"rank": 30},
        "ia3": {"match": {"parameters": "lora"}},
        "vera": {"match": {"parameters": 10}},
    }
    with pytest.raises(InputError) as refused:
        choose_sizes(study(methods=methods))
    below, above = refused.value.complaints
    assert "ia3 on 'tiny_text': the goal is" in below
    assert "below; matched arms come within a factor of 1.5" in below
    assert "vera on 'tiny_text': the goal is 10 trained parameters besides the head" in above
    assert below.option == ("methods", "ia3", "match", "parameters")


def test_trials_of_several_sizes_have_no_goal():
    tuned = {"rank": 3, "tune": {"targets": [["attention.query"], ["attention.query", "attention.value"]]}}
    with pytest.raises(InputError, match=r"lora: its trials differ in their number of trained parameters"):
        choose_sizes(study(methods={"lora": tuned, "loha": {"match": {"parameters": "lora"}}}))


def test_a_matched_study_from_file_to_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(json.dumps(SPEC))
    assert main(["validate", "study.yaml"]) == 0
    said = capsys.readouterr().out
    assert "loha is matched by parameters: rank " in said
    assert main(["run", "study.yaml", "--dry-run", "--speed", "1"]) == 0
    dry = capsys.readouterr().out
    assert "; the goal is 1,500 (" in dry
    result = run_study(study(), tmp_path / "runs", workers=1)
    assert not result.failed
    rows = {row["arm"]: row for row in result.result["models"][0]["matched"]}
    assert rows["loha"]["goal_arm"] == "lora"
    trained = {}
    for path in result.folder.path.glob("runs/*/run.json"):
        record = json.loads(path.read_text())
        trained[record["arm"]] = record["facts"]["trainable_parameters"]
        if record["arm"] in rows:
            row = rows[record["arm"]]
            assert record["job"]["options"][row["option"]] == row["value"]
    head = trained["lora"] - rows["loha"]["goal"]
    assert 0 < head < 1000
    for arm, row in rows.items():
        assert trained[arm] == row["parameters"] + head
        assert row["ratio"] == row["parameters"] / row["goal"]
        assert any(f"{arm} is matched by parameters" in what for what in result.result["problems"])
    stored = json.loads(result.folder.study.read_text())
    assert stored["arms"][1]["match"]["reached"][0]["value"] == rows["loha"]["value"]
    again = run_study(study(), tmp_path / "runs", workers=1)
    assert len(list(again.folder.path.glob("runs/1-*"))) == 3


def test_bad_goals_end_with_code_2_and_their_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = """name: equal
dataset: {name: synthetic_posts, rows: 120}
model: {name: tiny_text, pretraining: none}
methods:
  lora: {rank: 30}
  ia3: {match: {parameters: lora}}
seeds: [1]
"""
    (tmp_path / "study.yaml").write_text(text)
    for call in (["validate", "study.yaml"], ["run", "study.yaml", "--dry-run"], ["run", "study.yaml"]):
        assert main(call) == 2
        assert "study.yaml:6: methods.ia3.match.parameters" in capsys.readouterr().err.replace(", ", ": ")
    assert not (tmp_path / "evenhand-runs").exists()
    (tmp_path / "study.yaml").write_text(text.replace("parameters: lora", "parameters: lore"))
    assert main(["validate", "study.yaml"]) == 2
    assert "Did you mean 'lora'?" in capsys.readouterr().err


def test_a_smoke_run_leaves_match_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(json.dumps(SPEC))
    assert main(["run", "study.yaml", "--smoke", "--dry-run", "--speed", "1"]) == 0
    captured = capsys.readouterr()
    assert "loha, c3a: match is left out of a smoke run" in captured.err
    assert "is matched by" not in captured.out
