"""`evenhand recipes`, and the recipes themselves."""

from __future__ import annotations

import re

import pytest

from evenhand.cli import main
from evenhand.spec.read import read_studies
from evenhand.spec.recipes import describe, recipe_names, recipe_path
from evenhand.study.plan import plan


def test_they_are_listed_with_what_they_show(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(recipe_names())
    assert "quickstart" in recipe_names()
    assert all(describe(line.split()[0]) in line for line in lines)


def test_one_is_printed_as_it_is(capsys, tmp_path):
    assert main(["recipes", "quickstart"]) == 0
    text = capsys.readouterr().out
    assert text == recipe_path("quickstart").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text)
    assert read_studies(tmp_path / "mine.yaml") == read_studies("quickstart")


def test_one_that_is_not_there(capsys):
    for name in ("quickstat", "../recipes/quickstart", "/etc/passwd"):
        assert main(["recipes", name]) == 2
        assert f"there is no recipe '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_right_and_says_what_it_shows(name):
    assert len(describe(name)) > 20
    assert read_studies(name)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/")])
def test_a_recipe_of_the_paper_says_what_it_reproduces_the_command_and_the_hours(name):
    """What it reproduces comes first; hours are an estimate until they are measured."""
    head = recipe_path(name).read_text(encoding="utf-8").partition("\nname:")[0]
    lines = [line.removeprefix("#").strip() for line in head.splitlines() if line.startswith("#")]
    assert lines[0].startswith(name.removeprefix("paper/").partition("_")[0].upper() + ": ")
    assert f"evenhand run {name}" in lines
    assert re.search(r"Estimate, not measured: .* hours? on one GPU of \d+ GB", " ".join(lines))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/e4_")])
def test_calibration_is_judged_on_the_runs_of_another_recipe(name):
    [study] = read_studies(name)
    [twin] = read_studies("paper/" + study.name.replace("-", "_"))
    assert name != "paper/" + twin.name.replace("-", "_")
    assert [p.run_id for p in plan(study)] == [p.run_id for p in plan(twin)]
    assert study.name == twin.name
    assert "expected_calibration_error" in study.audit.primary


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/e6_")])
def test_likelihood_ratios_are_taken_of_the_runs_of_another_recipe(name):
    [study] = read_studies(name)
    [twin] = read_studies(name.replace("e6_", "e5_"))
    assert study.name == twin.name
    own = {p.run_id for p in plan(twin)}
    assert len(own) == 10
    assert own < {p.run_id for p in plan(study)}
    assert len(plan(study)) == 10 + 2 * 16


def test_recipes_in_folders_have_nearest_names(capsys):
    assert main(["run", "paper/e1_religon_llama2"]) == 2
    assert "did you mean 'paper/e1_religion_llama2'?" in capsys.readouterr().err.lower()


def test_the_quickstart_compares_what_the_documents_promise():
    text, images = read_studies("quickstart")
    for study in (text, images):
        methods = [arm.method for arm in study.arms]
        assert methods == ["full", "head_only", "lora", "lora", "lora"]
        assert len(study.seeds) == 5
        assert study.audit.reference == "full"
        assert study.dataset.config.hard_groups
    assert (text.models[0].name, images.models[0].name) == ("tiny_text", "tiny_vision")
