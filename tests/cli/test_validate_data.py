"""`evenhand validate` looks at the data, and says what `--dry-run` and a run say of them."""

from __future__ import annotations

import csv
import random

import pytest

import evenhand
from evenhand.cli import main
from evenhand.datasets.lib.reading import files as _files
from evenhand.errors import InputError

STUDY = """\
name: posts
dataset:
  name: table
  path: posts.csv
  text: post
  label: verdict
  positive: hate
  by: [race, region]
  where: {lang: en}
  id: uid
  split_column: part
model: tiny_text
methods: {full: , lora: }
seeds: [1, 2]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study of a table, in the working directory."""
    draw = random.Random(3)
    with (tmp_path / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["post", "verdict", "race", "region", "lang", "uid", "part"])
        for i in range(120):
            bad = draw.random() < 0.4
            part = "test" if i % 3 == 0 else "train"
            text = f"{'awful' if bad else 'lovely'} text number {i}"
            group = draw.choice(["north", "south"])
            rows.writerow([text, "hate" if bad else "fine", draw.choice("ab"), group, "en", f"u{i}", part])
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(capsys):
    """What was refused, without the title."""
    return capsys.readouterr().err.partition("evenhand: ")[2].strip().splitlines()


def changed(folder, **lines):
    """Put other values in the study."""
    text = STUDY
    for key, value in lines.items():
        old = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        text = text.replace(old, f"{old.partition(':')[0]}: {value}")
    (folder / "study.yaml").write_text(text)


def test_data_in_order_pass(folder, capsys):
    assert main(["validate", "study.yaml"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("posts: 4 runs = 2 arms (full, lora)")


def test_every_column_is_looked_up_and_each_complaint_has_its_line(folder, capsys):
    changed(folder, label="verdct", by="[race, regin]", id="uidd")
    assert main(["validate", "study.yaml"]) == 2
    known = "Known: post, verdict, race, region, lang, uid, part."
    assert problems(capsys) == [
        "3 problems",
        "  - study.yaml:6, dataset.label: posts.csv: column 'verdct' (label) not found; did you mean "
        f"'verdict'? {known}",
        "  - study.yaml:8, dataset.by.1: posts.csv: column 'regin' (by) not found; did you mean "
        f"'region'? {known}",
        "  - study.yaml:10, dataset.id: posts.csv: column 'uidd' (id) not found; did you mean 'uid'? "
        f"{known}",
    ]


def test_values_are_looked_at_beside_columns_that_are_missing(folder, capsys):
    changed(folder, positive="hatefull", by="[race, regin]", split_column="lang")
    assert main(["validate", "study.yaml"]) == 2
    said = problems(capsys)
    assert [line.partition(": ")[0].removeprefix("  - ") for line in said[1:]] == [
        "study.yaml:7, dataset.positive",
        "study.yaml:8, dataset.by.1",
        "study.yaml:11, dataset.split_column",
    ]
    assert (
        "positive 'hatefull': is not one of the classes; did you mean 'hate'? Known: fine, hate." in said[1]
    )
    assert "80 rows with 'en'" not in said[3]
    assert "120 rows with 'en'" in said[3]


def test_the_rest_of_the_study_is_told_in_the_same_breath(folder, capsys):
    changed(folder, label="verdct", methods="{full: , lora: {rnk: 3}}")
    assert main(["validate", "study.yaml", "-o", "dataset.where={lang: de}"]) == 2
    said = problems(capsys)
    assert said[0] == "2 problems"
    assert said[1].startswith("  - study.yaml:6, dataset.label: posts.csv: column 'verdct'")
    assert said[2].startswith("  - study.yaml:13, methods.lora.rnk: unknown key. Did you mean 'rank'?")


def test_an_option_is_the_place_of_what_it_gives(folder, capsys):
    assert main(["validate", "study.yaml", "-o", "dataset.where={lang: eng}"]) == 2
    [said] = problems(capsys)
    assert said == (
        "-o dataset.where={lang: eng}, dataset.where.lang: posts.csv: column 'lang' (where) has no value "
        "'eng'; did you mean 'en'? Known: en."
    )


@pytest.mark.parametrize(
    "lines",
    [
        {"label": "verdct"},
        {"positive": "none"},
        {"path": "post.csv"},
        {"where": "{lang: fr}"},
        {"id": "race"},
        {"split_column": "verdict"},
    ],
)
def test_validate_a_dry_run_and_a_run_say_the_same(lines, folder, capsys):
    changed(folder, **lines)
    assert main(["validate", "study.yaml"]) == 2
    said = problems(capsys)
    assert any(line.removeprefix("  - ").startswith("study.yaml:") for line in said)
    assert main(["run", "study.yaml", "--dry-run", "--speed", "1"]) == 2
    assert problems(capsys) == said
    assert main(["run", "study.yaml"]) == 2
    assert problems(capsys) == said
    with pytest.raises(InputError) as error:
        evenhand.run("study.yaml", output="elsewhere")
    assert list(error.value.complaints) == [
        line.removeprefix("  - ") for line in said if "problems" not in line
    ]
    assert not (folder / "evenhand-runs").exists()


def test_parts_and_crossings_are_looked_at(folder, capsys):
    changed(folder, where="{uid: [u0, u1, u2, u3, u4, u6]}")
    with (folder / "study.yaml").open("a") as file:
        file.write("audit:\n  reference: full\n  intersect: [[race, gender]]\n")
    assert main(["validate", "study.yaml"]) == 2
    said = problems(capsys)
    assert "  - study.yaml:2, dataset table: The test part has 3 rows; it must have at least 4." in said
    assert said[-1].startswith("  - study.yaml:17, audit.intersect.0.1: 'gender' is not an attribute")


def test_data_of_a_hub_are_not_fetched_and_that_is_said(folder, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(_files, "_cached_tables", lambda hub, name, *_: asked.append(name) or [])
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info", lambda *_, **__: pytest.fail("the hub was asked")
    )
    changed(folder, path="owner/posts")
    assert main(["validate", "study.yaml"]) == 0
    said = capsys.readouterr()
    assert said.err == (
        "posts: the data were not checked: dataset.path 'owner/posts': file or folder not found, "
        "and no hub dataset of this name was downloaded to this machine.\n"
    )
    assert asked == ["owner/posts"]


def test_data_of_a_hub_that_were_downloaded_are_looked_at(folder, capsys, monkeypatch):
    monkeypatch.setattr(_files, "_cached_tables", lambda *_: [str(folder / "posts.csv")])
    changed(folder, path="owner/posts", label="verdct")
    assert main(["validate", "study.yaml"]) == 2
    [said] = problems(capsys)
    assert said.startswith("study.yaml:6, dataset.label: ")
    assert "did you mean 'verdict'?" in said


def test_of_several_studies_each_is_told_by_its_name(folder, capsys):
    (folder / "study.yaml").write_text(
        STUDY.replace(
            "name: posts\n", "studies:\n  - {name: one}\n  - {name: two, dataset: {label: verdct}}\n", 1
        )
    )
    assert main(["validate", "study.yaml"]) == 2
    [said] = problems(capsys)
    assert said.startswith("study.yaml:3, studies.1.dataset.label: two: posts.csv: column 'verdct' (label)")
    assert main(["run", "study.yaml"]) == 2
    assert problems(capsys) == [said]


def test_made_up_rows_are_looked_at_too(folder, capsys):
    (folder / "study.yaml").write_text(
        "name: tiny\ndataset: {name: synthetic_posts, rows: 12}\nmodel: tiny_text\nmethods: [full, lora]\n"
        "seeds: [1]\n"
    )
    assert main(["validate", "study.yaml"]) == 2
    said = problems(capsys)
    assert any("study.yaml:2, dataset synthetic_posts: The test part has 2 rows" in line for line in said)
