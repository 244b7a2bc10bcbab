"""Rows that nobody put in a group: refused, or left out and counted."""

from __future__ import annotations

import csv
import json

import pytest

from evenhand.cli import main
from evenhand.datasets import table, text_snippets
from evenhand.errors import InputError
from evenhand.spec.identity import run_id
from evenhand.spec.read import read_studies
from evenhand.spec.stored import as_plain

ROWS = 90
LEFT_OUT = "which were left out (without_group: drop)."


def write(path, lacking_race=(), lacking_sex=()):
    """A table whose label can be learnt, in which some rows have no race or no sex."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "race", "sex", "name"])
        for i in range(ROWS):
            race = "" if i in lacking_race else "ab"[i % 2]
            sex = "nan" if i in lacking_sex else "FM"[i // 2 % 2]
            rows.writerow([f"{'awful' if i % 3 else 'lovely'} text {i}", int(i % 3 > 0), race, sex, f"r{i}"])
    return path


def options(path, **more):
    return {"path": str(path), "text": "text", "by": ["race", "sex"], "id": "name", **more}


def load(path, **more):
    return table.load(table.Config(**options(path, **more)))


def test_by_itself_a_row_without_a_group_is_refused_with_the_way_out(tmp_path):
    path = write(tmp_path / "t.csv", lacking_race=[3, 4])
    with pytest.raises(InputError) as error:
        load(path)
    assert error.value.complaints == (
        f"{path}: column 'race' (by) has no value in 2 of 90 rows (first: row 4); fill them, or leave out "
        "these rows (without_group: drop).",
    )


def test_rows_without_a_group_are_left_out_and_counted_by_column(tmp_path):
    path = write(tmp_path / "t.csv", lacking_race=[3, 4, 5], lacking_sex=[5, 6])
    found = load(path, without_group="drop")
    assert list(found.ids) == [f"r{i}" for i in range(ROWS) if i not in (3, 4, 5, 6)]
    assert [a.groups for a in found.attributes] == [("a", "b"), ("F", "M")]
    assert list(found.problems) == [
        f"{path}: column 'race' (by) has no value in 3 of 90 rows, {LEFT_OUT}",
        f"{path}: column 'sex' (by) has no value in 2 of 90 rows, {LEFT_OUT}",
        "In all, 4 of 90 rows were left out because they lack a group.",
    ]


def test_a_column_that_nobody_judges_leaves_no_row_out(tmp_path):
    path = write(tmp_path / "t.csv", lacking_race=[3, 4, 5], lacking_sex=[5, 6])
    found = load(path, without_group="drop", by=["race"])
    assert len(found.ids) == ROWS - 3
    assert len(found.problems) == 1


def test_where_every_row_has_a_group_the_option_says_nothing(tmp_path):
    path = write(tmp_path / "t.csv")
    plain, dropping = load(path), load(path, without_group="drop")
    assert (plain.ids, plain.problems) == (dropping.ids, dropping.problems)


def test_flags_of_memberships_count_as_groups(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"text {i},{i % 2},{'' if i < 2 else i % 3 % 2},{i % 2}" for i in range(20)]
    path.write_text("text,label,target_x,target_y\n" + "\n".join(lines) + "\n")
    found = table.load(
        table.Config(path=str(path), text="text", memberships=("target_*",), without_group="drop")
    )
    assert len(found.ids) == 18
    assert (
        "column 'target_x' (memberships) has no value in 2 of 20 rows, which were left out"
        in found.problems[0]
    )


def test_a_column_without_any_value_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", lacking_race=range(ROWS))
    with pytest.raises(InputError, match=r"column 'race' \(by\) has no value in any of 90 rows"):
        load(path, without_group="drop")
    path = write(tmp_path / "u.csv", lacking_race=range(40), lacking_sex=range(40, ROWS))
    with pytest.raises(InputError, match="no row has a value in each of 'race' and 'sex'"):
        load(path, without_group="drop")


def test_texts_and_questions_have_the_option_too(tmp_path):
    path = write(tmp_path / "t.csv", lacking_race=[3, 4, 5])
    texts = text_snippets.Config(path=str(path), by=("race",), id="name", without_group="drop")
    found = text_snippets.load(texts)
    assert len(found.ids) == ROWS - 3
    assert any(
        "'race' (by) has no value in 3 of 90 rows, which were left out" in line for line in found.problems
    )
    questions = {
        "path": str(path), "prompt": "Is this so: {text}", "answers": {"yes": " yes", "no": " no"},
        "by": ("race",), "without_group": "drop",
    }  # fmt: skip
    asked = text_snippets.load(text_snippets.Config(path=str(path), questions=questions))
    assert len(asked.prompts.questions) == ROWS - 3
    assert any(
        "'race' (by) has no value in 3 of 90 rows, which were left out" in line for line in asked.problems
    )


def described(path, **more):
    """A study of such a table."""
    [study] = read_studies(
        {
            "name": "groups",
            "dataset": {"name": "table", **options(path, **more)},
            "model": {"name": "tiny_text", "pretraining": "none"},
            "methods": {"full": {"epochs": 1}, "head_only": {"epochs": 1}},
            "seeds": [1],
        }
    )
    return study


def test_a_study_that_does_not_use_it_keeps_its_runs(tmp_path):
    def first(one):
        return run_id(one, one.models[0], one.arms[0], 1)

    plain, said = described("t.csv"), described("t.csv", without_group="refuse")
    assert first(plain) == first(said) == "1-83a3af18a7531773"
    assert first(described("t.csv", without_group="drop")) != first(plain)


def test_the_folder_of_an_older_study_is_gone_on_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "t.csv", lacking_race=[3, 4, 5])
    study = described("t.csv", without_group="drop")
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps({
        "name": "groups", "dataset": {"name": "table", **options("t.csv", without_group="drop")},
        "model": {"name": "tiny_text", "pretraining": "none"},
        "methods": {"full": {"epochs": 1}, "head_only": {"epochs": 1}}, "seeds": [1],
    }))  # fmt: skip
    assert main(["run", "study.yaml", "--executor", "local"]) == 0
    told = (
        "t.csv: column 'race' (by) has no value in 3 of 90 rows, which were left out (without_group: drop)."
    )
    assert " ".join(told.split()) in " ".join(capsys.readouterr().out.split())
    folder = tmp_path / "evenhand-runs" / "groups"
    result = json.loads((folder / "result.json").read_bytes())
    assert result["dataset"]["problems"] == [told]
    assert result["dataset"]["rows"] == ROWS - 3
    assert "has no value in 3 of 90 rows, which were left out" in (folder / "report.html").read_text()
    # A study that was stored before there was such an option means `refuse`.
    stored = as_plain(study)
    del stored["dataset"]["config"]["without_group"]
    (folder / "study.json").write_text(json.dumps(stored))
    capsys.readouterr()
    assert main(["run", "study.yaml", "--dry-run", "--speed", "1"]) == 2
    assert "dataset.config.without_group: drop (was refuse)" in capsys.readouterr().err
    write(path)
    assert main(["run", "study.yaml", "--dry-run", "--speed", "1", "-o", "dataset.without_group=refuse"]) == 2
    assert "contains a different study" not in capsys.readouterr().err  # only its rows are others
