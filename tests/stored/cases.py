"""Calls of the command line whose documents are stored: one small example of each kind.

Each case writes what it needs into an empty folder, which is the working directory, and returns documents by
name. `AUDITS` judge files that exist; `STUDIES` train with a quick stand-in, equal on any machine
up to rounding; `TRAINED` train real models, whose numbers differ from processor to processor.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from evenhand.cli import main
from evenhand.finetune.estimate.standin import stand_in
from evenhand.spec.read import read_studies
from evenhand.spec.recipes import recipe_names
from evenhand.study.plan import plan
from evenhand.study.run import run_study
from tests.datasets import sample
from tests.stored import worlds
from tests.stored.compare import texts
from tests.study import studies
from tests.study.test_tune import ARMS as TUNED

NAMES = [n for name in ("full", "lora") for n in ("--name", name)]
YES = ["--positive", "yes"]
SCORES = ["--score", "score_*", *YES]
BOTH = ["--by", "race", "--by", "gender", *SCORES]


def judged(command, words, capture):
    """The JSON, the flat table and what the terminal says of one call."""
    code = main([command, *words, "--json", "result.json", "--csv", "rows.csv", "--html", "page.html"])
    said = capture()
    documents = {"code": code, "terminal": said}
    assert (code == 0) == (REFUSED not in words), said
    if Path("result.json").exists():
        documents["result"] = json.loads(Path("result.json").read_text())
        with Path("rows.csv").open(newline="") as handle:
            documents["csv"] = list(csv.reader(handle))
        documents["page"] = texts(Path("page.html").read_text())
    return documents


def pair(suffix, make=worlds.predictions, command="audit", words=BOTH):
    def case(capture):
        files = [worlds.write(Path(f"{name}{suffix}"), make(name)) for name in ("full", "lora")]
        return judged(command, [*files, *words], capture)

    return case


def one(suffix, columns, *words, command="audit"):
    def case(capture):
        return judged(command, [worlds.write(Path(f"all{suffix}"), columns()), *words], capture)

    return case


REFUSED = "rcae"
NAMED = ["--arm", "arm", "--run", "run"]
AUDITS = {
    "csv": pair(".csv"),
    "parquet": pair(".parquet"),
    "json-lines": pair(".jsonl"),
    "json": pair(".json", words=["--by", "gender", *YES]),
    "tab-separated": pair(".tsv", words=["--by", "race", "--intersect", "race,gender", *YES]),
    "weights": pair(".csv", words=["--by", "race", "--weight", "weight", *SCORES]),
    "clusters": pair(".csv", words=["--by", "race", "--cluster", "author", *SCORES]),
    "memberships": pair(".csv", words=["--memberships", "is_*", "--metric", "accuracy", *YES]),
    "single": one(".csv", lambda: worlds.predictions("full"), "--by", "race", *SCORES),
    "runs": one(".parquet", lambda: worlds.arms(runs=range(5)), "--by", "race", *NAMED, *SCORES),
    "few-runs": one(".parquet", lambda: worlds.arms(runs=range(3)), "--by", "race", *NAMED, *YES),
    "three-arms": one(
        ".csv", lambda: worlds.arms(("full", "lora", "dora")), "--by", "race", "--arm", "arm", *YES
    ),
    "three-classes": one(
        ".csv",
        lambda: worlds.arms(classes=("a", "b", "c"), runs=range(5)),
        *("--by", "gender", "--score", "score_*", *NAMED),
    ),
    "translations": pair(".jsonl", worlds.completions, words=[]),
    "likelihoods": pair(".parquet", worlds.likelihoods, words=["--by", "gender"]),
    "signals": one(
        ".parquet", worlds.signals, "--by", "race", "--permutations", "49", command="attack"
    ),
    "signals-lira": one(
        ".csv", worlds.signals, "--by", "race", "--attack", "lira[mode=offline]", "--permutations", "49",
        command="attack",
    ),
    "refused": pair(".csv", words=["--by", REFUSED, "--by", "gendr"]),
}  # fmt: skip


def schema(path):
    return [[field.name, str(field.type)] for field in pq.read_schema(path)]


def documents(made, capture):
    """Everything a study's folder holds, and what commands print of it."""
    root = made.folder.path
    found = {"result": json.loads((root / "result.json").read_text())}
    for name in ("study", "data", "prepared"):
        found[name] = json.loads((root / f"{name}.json").read_text())
    found["runs"] = {p.parent.name: json.loads(p.read_text()) for p in sorted(root.glob("runs/*/run.json"))}
    found["tables"] = {str(p.relative_to(root)): schema(p) for p in sorted(root.glob("runs/*/*.parquet"))}
    capture()
    for command in ("status", "report"):
        assert main([command, str(root)]) == 0
        found[command] = capture()
    found["page"] = texts((root / "report.html").read_text())
    found["files"] = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
    return found


def stood_in(**study):
    def case(capture):
        resplit = study.pop("resplit", False)
        spec = studies.study(**{"rows": 200, **study}).model_copy(update={"resplit": resplit})
        return documents(run_study(spec, Path(), trainer=studies.TRAINER, workers=2), capture)

    return case


SEEDS = tuple(range(1, 6))
STUDIES = {
    "classification": stood_in(arms=studies.ARMS[:3], seeds=SEEDS[:3], models=("words", "others")),
    "few-seeds": stood_in(seeds=(1, 2)),
    "privacy": stood_in(arms=studies.ARMS[:2], privacy=studies.attacked("loss", "lira", references=4)),
    "tuned": stood_in(arms=TUNED, seeds=(1, 2)),
    "resplit": stood_in(arms=studies.ARMS[:3], seeds=SEEDS, resplit=True),
}


def trained(make, family=None, task=None):
    def case(capture):
        sample.write_csv(Path("posts.csv"), sample.posts(40))
        if family:
            shutil.copytree(stand_in(family, task), "model")
        [study] = read_studies({"training": {"max_length": 96}, "seeds": [1, 2], "methods": METHODS, **make})
        return documents(run_study(study, Path(), executor="local"), capture)

    return case


METHODS = {"full": {"epochs": 1}, "lora": {"rank": [1, 2], "epochs": 1}, "none": {}}
TRAINED = {
    "texts": trained(
        {
            "name": "texts",
            "dataset": {"name": "synthetic_posts", "rows": 200},
            "model": {"name": "tiny_text", "pretraining": "none"},
            "methods": {**METHODS, "head_only": {"epochs": 1}},
        }
    ),
    "pictures": trained(
        {
            "name": "pictures",
            "dataset": {"name": "synthetic_portraits", "rows": 80},
            "model": {"name": "tiny_vision", "pretraining": "none"},
            "methods": {"full": {"epochs": 1}, "lora": {"epochs": 1, "initialisation": "pissa"}},
        }
    ),
    "written": trained(
        {
            "name": "written",
            "dataset": {"name": "synthetic_pairs", "rows": 60, "new_tokens": 6},
            "model": "./model",
        },
        "llama",
        "translation",
    ),
    "asked": trained(
        {
            "name": "asked",
            "dataset": {
                "name": "text_snippets",
                "path": "posts.csv",
                "by": ["group"],
                "bias": {"families": ["YN1"], "variants": ["letters", "letters_inverted"], "snippets": 4},
            },
            "model": "./model",
            "audit": {"reference": "none"},
        },
        "gpt2",
        "language",
    ),
}


def quickstart(capture):
    return {
        study.name: documents(run_study(study, Path(), workers=2), capture)
        for study in read_studies("quickstart")
    }


def run_ids(capture):
    """The name of every run of every recipe."""
    found = {}
    for name in recipe_names():
        for study in read_studies(name):
            found[f"{name}: {study.name}"] = [f"{p.title}: {p.run_id}" for p in plan(study)]
    return found


TRAINED["quickstart"] = quickstart
CASES = {**AUDITS, **STUDIES, **TRAINED, "run-ids": run_ids}
