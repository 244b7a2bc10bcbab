"""`evenhand validate`."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest

from evenhand.cli import main
from evenhand.finetune.methods import lora

GOOD = """\
name: small
dataset: {name: synthetic_posts, rows: 100}
model: [owner/a, owner/b]
methods:
  full: {}
  lora: {rank: [1, 8]}
seeds: [13, 1337]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(GOOD)
    return tmp_path / "study.yaml"


def test_a_good_study_is_one_line(file, capsys):
    assert main(["validate", "study.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "small: 12 runs = 3 arms (full, lora[rank=1], lora[rank=8]) x 2 models (owner/a, owner/b) x 2 seeds, "
        "on synthetic_posts; compared with full\n"
    )
    assert said.err == ""


def test_options_count(file, capsys):
    assert main(["validate", "study.yaml", "-o", "seeds=[1]", "-o", "methods.lora.rank=4"]) == 0
    assert "4 runs = 2 arms (full, lora) x 2 models (owner/a, owner/b) x 1 seed," in capsys.readouterr().out


def test_attacks_and_what_they_take_are_told(file, capsys):
    attacks = "[loss, {lira: {mode: offline}}]"
    assert main(["validate", "study.yaml", "-o", f"privacy={{attacks: {attacks}, references: 4}}"]) == 0
    assert "attacked by loss, lira[mode=offline] with 30 more runs on halves of" in capsys.readouterr().out
    offline = "{attacks: [loss], protocol: offline}"
    assert main(["validate", "study.yaml", "-o", f"privacy={offline}"]) == 0
    assert "x 2 seeds, attacked by loss, on synthetic_posts;" in capsys.readouterr().out


def test_every_problem_is_shown_and_the_exit_code_is_2(file, capsys):
    file.write_text(
        GOOD.replace("rank: [1, 8]", "rank: -1, alfa: 2").replace("13,", "x,") + "audit: {by: [sex]}\n"
    )
    assert main(["validate", "study.yaml", "-o", "trainin.batch_size=2"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "evenhand: 5 problems",
        "  - study.yaml:6, methods.lora.rank: got -1; must be an integer of at least 1.",
        "  - study.yaml:6, methods.lora.alfa: unknown key. Did you mean 'alpha'? "
        f"Known: {', '.join(lora.Config.model_fields)}, learning_rate, epochs, method, tune, match.",
        "  - study.yaml:7, seeds.0: got 'x'; must be an integer of at least 0.",
        "  - study.yaml:8, audit.by.0: 'sex' is not an attribute of this dataset. Known: group.",
        "  - -o trainin.batch_size=2: unknown key. Did you mean 'training'? "
        "Known: name, description, dataset, model, methods, training, seeds, resplit, audit, privacy.",
    ]


def test_a_recipe_by_its_name(capsys):
    assert main(["validate", "quickstart"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["text", "images"]


def test_a_file_that_is_not_there(capsys):
    assert main(["validate", "quickstat"]) == 2
    assert "Did you mean 'quickstart'?" in capsys.readouterr().err


def test_the_schema(capsys):
    assert main(["validate", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "evenhand study"


@pytest.mark.parametrize("call", [[], ["study.yaml", "--schema"], ["--schema", "-o", "a=1"]])
def test_calls_that_are_wrong(call, capsys):
    assert main(["validate", *call]) == 2
    assert "--schema" in capsys.readouterr().err


def test_it_needs_no_torch(file):
    code = (
        "import sys\nfrom evenhand.cli import main\n"
        "assert main(['validate', 'study.yaml']) == 0\n"
        "assert main(['validate', '--schema']) == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'duckdb', 'scipy', 'rich', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_trials_and_splits_are_counted(file, capsys):
    file.write_text(GOOD.replace("full: {}", "full: {tune: {epochs: [1, 2, 3]}}") + "resplit: true\n")
    assert main(["validate", "study.yaml"]) == 0
    said = capsys.readouterr().out
    assert "small: 20 runs = 3 arms in 5 trials (full: 3 trials, lora[rank=1], lora[rank=8])" in said
    assert "2 seeds, each with its own split, on synthetic_posts" in said
