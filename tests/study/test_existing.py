"""Arms of models that exist already, beside arms that a study trains."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.cli import main
from tests.finetune import worlds

SEEDS = [1, 2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, a table, and a finished study of full fine-tuning and LoRA."""
    place = tmp_path_factory.mktemp("studies")
    base = worlds.folder_of(place, "bert")
    examples = worlds.texts()
    group = examples.attributes[0]
    columns = {
        "id": examples.ids,
        "text": examples.inputs,
        "label": [examples.classes[y] for y in examples.labels],
        "group": [group.groups[g] for g in group.codes],
    }
    pq.write_table(pa.table(columns), place / "posts.parquet")
    assert study(place, base, "first", {"full": RATES, "lora": {**RATES, "rank": 2}}) == 0
    return place, base


RATES = {"epochs": 1, "learning_rate": 0.01}


def study(place, base, name, methods, **more):
    dataset = {"name": "table", "path": str(place / "posts.parquet"), "text": "text", "positive": "yes"}
    dataset |= {"by": ["group"], "id": "id", "leaks": "tell"}
    spec = {"name": name, "dataset": dataset, "model": base, "methods": methods, "seeds": SEEDS} | more
    path = place / f"{name}.json"
    path.write_text(json.dumps(spec))
    return main(["run", str(path), "--output", str(place / name), "--executor", "local"])


def records(place, name):
    """The records of a study's runs by arm and seed, with their folders."""
    found = {}
    for path in (place / name).rglob("run.json"):
        record = json.loads(path.read_text())
        found[record["arm"], record["seed"]] = record, path.parent
    return found


def adapters(place):
    runs = records(place, "first")
    return [str(runs["lora", seed][1] / "adapter") for seed in SEEDS]


def test_ready_arms_meet_trained_ones(place, capsys):
    folder, base = place
    methods = {"full": RATES, "theirs": {"existing": adapters(folder)}}
    assert study(folder, base, "second", methods) == 0
    told = capsys.readouterr()
    assert "theirs" in told.out
    first, second = records(folder, "first"), records(folder, "second")
    for seed in SEEDS:
        record, run = second["theirs", seed]
        own = pq.read_table(first["lora", seed][1] / "predictions.parquet")
        found = pq.read_table(run / "predictions.parquet")
        for column in ("example_id", "split", "label", "prediction", "score"):
            assert found.column(column).equals(own.column(column))
        assert record["facts"]["trainable_parameters"] == 0
        assert record["facts"]["existing"]["kind"] == "LORA"
        assert record["base"]["files"]["adapter_model.safetensors"]
    result = json.loads(next((folder / "second").rglob("result.json")).read_text())
    comparisons = result["models"][0]["audit"]["comparisons"]
    assert {c["candidate"] for c in comparisons} == {"theirs"}
    # A second call changes nothing; a changed adapter is refused.
    assert study(folder, base, "second", methods) == 0


def test_a_model_that_changes_is_refused(place, capsys):
    folder, base = place
    copies = [shutil.copytree(path, folder / f"copy{i}") for i, path in enumerate(adapters(folder))]
    methods = {"full": RATES, "theirs": {"existing": [str(path) for path in copies]}}
    assert study(folder, base, "third", methods) == 0
    weights = Path(copies[0]) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    capsys.readouterr()
    assert study(folder, base, "third", methods) == 2
    assert "have changed since this study began" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("block", "more", "told"),
    [
        ({"existing": ["a/b"]}, {}, "has 1 model, and the study 2 seeds"),
        ({"existing": "a/b"}, {"seeds": [1]}, "'a/b': not found"),
        ({"method": "existing"}, {}, "models"),
        ({"existing": ["a/b", "a/c"], "rank": 3}, {}, "unknown key"),
        (
            {"existing": ["a/b", "a/c"]},
            {"privacy": {"attacks": ["loss"], "references": 2}},
            "cannot be attacked",
        ),
    ],
)
def test_wrong_blocks(block, more, told, place, tmp_path, capsys):
    folder, base = place
    assert study(folder, base, "wrong", {"full": RATES, "theirs": block}, **more) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_a_smoke_run_leaves_them_out(place, capsys):
    folder, base = place
    study(folder, base, "tried", {"full": RATES, "theirs": {"existing": ["a/b", "a/c"]}})
    capsys.readouterr()
    output = str(folder / "smoke")
    assert main(["run", str(folder / "tried.json"), "--smoke", "--output", output]) == 0
    assert "theirs: existing models are left out of a smoke run" in capsys.readouterr().err
    spec = json.loads((folder / "tried.json").read_text()) | {"audit": {"reference": "theirs"}}
    (folder / "tried.json").write_text(json.dumps(spec))
    assert main(["run", str(folder / "tried.json"), "--smoke", "--output", output]) == 2
    assert "is a model that exists already" in capsys.readouterr().err.replace("\n", " ")


def test_a_dry_run_knows_what_trains(place, capsys):
    folder, base = place
    assert study(folder, base, "dry", {"full": RATES, "theirs": {"existing": ["a/b", "a/c"]}}) == 2
    capsys.readouterr()
    assert main(["run", str(folder / "dry.json"), "--dry-run"]) == 0
    assert "theirs" in capsys.readouterr().out
