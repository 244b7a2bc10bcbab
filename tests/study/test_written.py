"""Small studies of models that write, with the real trainer: judged, resumed, tuned."""

from __future__ import annotations

import json
import re

import pytest

from evenhand.cli import main
from evenhand.errors import InputError
from evenhand.finetune.estimate.standin import stand_in
from evenhand.spec.read import read_studies
from evenhand.study.data import load
from evenhand.study.run import run_study
from tests.datasets import sample
from tests.study.studies import contents

METHODS = {"full": {"epochs": 1}, "lora": {"rank": 2, "epochs": 1}, "none": {}}
TRAINING = {"max_length": 96}


def translation(**more):
    return {
        "name": "pairs",
        "dataset": {"name": "synthetic_pairs", "rows": 60, "new_tokens": 6},
        "model": str(stand_in("llama", "translation")),
        "methods": METHODS,
        "training": TRAINING,
        "seeds": [1],
        **more,
    }


def language(tmp_path, **more):
    texts = sample.write_csv(tmp_path / "texts.csv", sample.posts(40))
    bias = {"families": ["YN1"], "variants": ["letters", "letters_inverted"], "snippets": 4}
    return {
        "name": "texts",
        "dataset": {"name": "text_snippets", "path": texts, "by": ["group"], "bias": bias},
        "model": str(stand_in("gpt2", "language")),
        "methods": METHODS,
        "training": TRAINING,
        "seeds": [1],
        "audit": {"reference": "none"},
        **more,
    }


def done(spec, folder):
    [study] = read_studies(spec)
    return run_study(study, folder, executor="local")


def test_translations_are_judged_and_go_on_where_they_stopped(tmp_path):
    made = done(translation(), tmp_path / "a")
    assert made.failed == []
    [model] = made.result["models"]
    told = model["generative"]
    assert (model["audit"], told["schema"], told["kind"]) == (None, "evenhand.generative/1", "generations")
    assert {row["input"] for row in told["rates"]} == {"full", "lora", "none"}
    assert {row["attribute"] for row in told["rates"]} >= {None, "gold_gender", "stereotype"}
    assert made.verdict["sentence"]
    assert json.loads(json.dumps(made.result, allow_nan=False)) == made.result
    # One run is lost, as by a kill: it is done again, and comes out the same.
    before = contents(made.folder.path)
    lost = next(iter(sorted((made.folder.path / "runs").iterdir())))
    (lost / "generations.parquet").write_bytes(b"half")
    again = done(translation(), tmp_path / "a")
    after = contents(again.folder.path)
    kept = {name: value for name, value in after.items() if ".corrupt-" not in name}
    assert {n: v for n, v in kept.items() if n.endswith((".parquet", ".safetensors"))} == {
        n: v for n, v in before.items() if n.endswith((".parquet", ".safetensors"))
    }


def test_choices_are_judged(tmp_path):
    made = done(language(tmp_path), tmp_path / "a")
    assert made.failed == []
    told = made.result["models"][0]["generative"]
    assert told["kind"] == "likelihoods"
    assert {"raw", "pmi", "contextual", "batch", "pride"} <= {row["scoring"] for row in told["scorings"]}


def test_trials_are_chosen_by_loss(tmp_path):
    methods = {"full": {"epochs": 1, "tune": {"learning_rate": [1e-9, 1e-2]}}}
    made = done(translation(methods=methods), tmp_path)
    rows = made.result["models"][0]["tuning"]
    assert [row["accuracy"] for row in rows] == [None, None]
    assert [row["chosen"] for row in rows] == [False, True]
    assert rows[1]["loss"] < rows[0]["loss"]


def test_every_seed_of_a_translation_may_have_rows_of_its_own(tmp_path):
    made = done(translation(resplit=True, seeds=[1, 2]), tmp_path)
    assert made.failed == []
    told = made.result["models"][0]["generative"]
    assert told["settings"]["resplit"] is True
    assert {row["unit"] for row in told["comparisons"]} == {"rows"}
    parts = [made.folder.read_data()["splits"][seed]["parts"]["test"] for seed in "12"]
    union = set(parts[0]) | set(parts[1])
    assert len(union) > len(parts[0]) == len(parts[1])
    [whole] = {row["n"] for row in told["rates"] if row["attribute"] is None and row["metric"] == "chrf"}
    assert whole == len(union)
    assert all("rows by run" in row["interval"] for row in told["comparisons"] if row["interval"])


def test_what_a_translation_cannot_be_asked():
    with pytest.raises(InputError, match="'accuracy' is not measured for the task translation"):
        read_studies(translation(audit={"primary": ["accuracy"]}))


def test_answers_are_compared_on_the_same_texts(tmp_path):
    with pytest.raises(
        InputError, match=r"resplit: the task 'language' compares answers about the same texts"
    ):
        read_studies(language(tmp_path, resplit=True))


def test_classes_are_not_judged_by_what_is_measured_of_texts():
    spec = {**translation(audit={"primary": ["token_followed"]}), "dataset": {"name": "synthetic_posts"}}
    with pytest.raises(InputError, match="is not a metric or disparity"):
        read_studies(spec)


def test_what_is_asked_belongs_to_the_rows(tmp_path):
    """Other templates are other rows: runs that were asked otherwise do not count as the same."""
    [one] = read_studies(language(tmp_path))
    digests = set()
    for words in ("a man", "a boy"):
        (tmp_path / "t.yaml").write_text(
            'templates: {YN1: {text: "{snippet} Is it {asked}?", asked: {m: ' + words + ", f: a woman},"
            " answers: {m: x, f: y}}}"
        )
        bias = one.dataset.config.bias.model_copy(
            update={"templates": str(tmp_path / "t.yaml"), "variants": ("words",)}
        )
        config = one.dataset.config.model_copy(update={"bias": bias})
        digests.add(load(one.dataset.model_copy(update={"config": config})).facts["sha256"])
    assert len(digests) == 2


def dry_steps(out):
    """Steps of a run, by arm, as a dry run prints them."""
    return dict(re.findall(r"^  (\S+) +\d+ +\d+ +\S+ +\S+ %? *((?:about )?[\d,]+) ", out, re.M))


def test_a_dry_run_counts_the_blocks_of_packed_text(tmp_path, capsys):
    methods = {"full": {"epochs": 2}, "lora": {"rank": 2, "epochs": 3}, "none": {}}
    spec = language(tmp_path, methods=methods, training={"max_length": 80, "batch_size": 2})
    (tmp_path / "study.yaml").write_text(json.dumps(spec))
    call = ["run", str(tmp_path / "study.yaml"), "--output", str(tmp_path / "runs")]
    assert main([*call, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert main([*call, "--executor", "local"]) == 0
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs" / "texts" / "runs").glob("*/run.json")]
    done_steps = {r["arm"]: r["facts"]["steps"] for r in records}
    assert dry_steps(told) == {arm: str(steps) for arm, steps in done_steps.items()}
    rows = int(re.search(r"rows: (\d+) train", told)[1])
    assert done_steps["full"] != 2 * -(-rows // 2)  # what rows alone would say
    assert re.search(r"packed in blocks of 80 tokens: \d+ train, \d+ validation$", told, re.M)


def test_without_a_tokenizer_blocks_are_said_to_be_estimates(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spec = language(tmp_path, model="mistralai/Mistral-7B-v0.1", training={"max_length": 24, "batch_size": 4})
    (tmp_path / "study.yaml").write_text(json.dumps(spec))
    assert main(["run", str(tmp_path / "study.yaml"), "--output", str(tmp_path / "runs"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert (
        "Its tokenizer is not on this machine: blocks and steps are estimated from 4 characters per token"
        in told
    )
    texts = list(load(read_studies(spec)[0].dataset).of(1).examples.inputs)
    steps = dry_steps(told)
    assert steps["none"] == "0"
    assert steps["full"] == steps["lora"]
    about = int(steps["full"].removeprefix("about "))
    characters = 0.7 * sum(map(len, texts))
    assert about == pytest.approx(characters / 4 / 24 / 4, rel=0.3)
