"""Several studies in one file, and where a study comes from."""

from __future__ import annotations

import re

from evenhand.spec.read import read_studies
from tests.spec.sample import GOOD, MANY, complaints, plain, study, written


def test_studies_take_over_what_stands_beside_them(tmp_path):
    first, second, third = read_studies(written(tmp_path, MANY))
    assert first == study(name="first", methods={"full": {}, "lora": {"rank": [1, 8]}}, seeds=[1, 2])
    assert [a.name for a in second.arms] == ["full", "lora", "none"]
    assert second.arms[1].config.rank == 4
    assert (second.dataset.config.rows, second.seeds) == (200, (3,))
    assert (third.dataset.name, third.dataset.config.rows) == ("synthetic_portraits", 2000)
    assert third.models[0].options == {"revision": "v1"}


def test_a_mistake_that_studies_share_is_told_once_and_others_by_their_number(tmp_path):
    text = MANY.replace("seeds: [1, 2]", "seeds: [1, x]").replace("rows: 200", "rows: 2")
    path = written(tmp_path, text)
    assert complaints(path) == [
        f"{path}:6, seeds.1: got 'x'; must be an integer of at least 0.",
        f"{path}:10, studies.1.dataset.rows: got 2; must be an integer from 8 to 1,000,000.",
    ]


def test_two_studies_of_one_name_are_refused(tmp_path):
    (told,) = complaints(written(tmp_path, MANY.replace("second", "FIRST")))
    assert "studies.1.name: two studies are called 'first'" in told


def test_studies_inside_studies_are_no_studies(tmp_path):
    (told,) = complaints(written(tmp_path, MANY.replace("  - name: first", "  - {name: first, studies: []}")))
    assert re.search(r"studies\.0\.studies: unknown key", told)


# ---- where a study comes from


def test_a_name_is_a_file_or_else_a_recipe(tmp_path, monkeypatch):
    assert [s.name for s in read_studies("quickstart")] == ["text", "images"]
    monkeypatch.chdir(tmp_path)
    written(tmp_path, GOOD, "quickstart")
    assert [s.name for s in read_studies("quickstart")] == ["small"]


def test_a_recipe_is_called_a_recipe():
    (told,) = complaints("quickstart", "studies.0.seeds=[x]")
    assert told.startswith("-o studies.0.seeds=[x]")
    (told,) = complaints("quickstat")
    assert told.startswith(
        "quickstat: no file and no recipe of this name was found. Did you mean 'quickstart'? Known: "
    )


def test_a_folder_and_impossible_names_are_no_files(tmp_path):
    assert "this is a folder" in complaints(tmp_path)[0]
    for name in ("", "\0", "x" * 5000):
        (told,) = complaints(name)
        assert "no file and no recipe of this name was found" in told


def test_from_python_the_places_are_keys():
    (told,) = complaints({**plain(), "seeds": [1, -1]})
    assert told == "study, seeds.1: got -1; must be an integer of at least 0."
