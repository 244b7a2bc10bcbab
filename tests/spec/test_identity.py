"""Which changes make another run, and that a stored study is the study."""

from __future__ import annotations

import json

import pytest

from evenhand.errors import SpecError
from evenhand.spec.identity import run_id
from evenhand.spec.read import read_studies
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import plain, study

TABLE = {"name": "table", "path": "rows.csv", "text": "t", "where": {"lang": ["en", 1]}, "by": ["sex"]}


def ids(one, seed=13):
    return [run_id(one, one.models[0], arm, seed) for arm in one.arms]


def first(**changes):
    return ids(study(**changes))[0]


# These two are what the words meant in version 1. When one of them moves without a change of what a run
# computes, finished runs of users are done again: raise VERSION only where results change.
def test_two_known_ids():
    assert first() == "1-de7ee0f474d647b3"
    other = study(
        dataset=TABLE, model={"name": "a/b", "revision": "v1"}, training={"precision": "bfloat16"},
        methods={"lora": {"rank": 4, "targets": ["mlp.up"], "learning_rate": 3e-4}},
    )  # fmt: skip
    assert ids(other, 1337) == ["1-ab9908c10de99ed5"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"description": "words"},
        {"seeds": [1, 2, 3]},
        {"audit": {"reference": "lora[rank=8]", "margin": 0.1, "alpha": 0.1, "by": ["group"]}},
        {"methods": {"mine": {"method": "full", "learning_rate": 1e-5, "epochs": 2}, "none": {}}},
        {"methods": {"full": {"epochs": 2, "learning_rate": 0.00001}}},
        {"model": ["owner/checkpoint", "owner/other"]},
        {"model": {"name": "owner/checkpoint", "family": "llama"}},
        {"dataset": {"rows": 100, "name": "synthetic_posts"}},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "leaks": "tell"}},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "difficulty": 0.1}},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "label_noise": 0}},
        {"training": {"batch_size": 32, "clip": 1}},
        {"training": {"parallel": "data", "gradient_checkpointing": True}},
    ],
)
def test_what_cannot_change_a_result_keeps_the_id(changes):
    assert first(**changes) == first()


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "synthetic_posts"},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "seed": 1}},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "hard_groups": {"velm": 0.1}}},
        {"dataset": {"name": "synthetic_posts", "rows": 100, "split": {"seed": 14}}},
        {"dataset": {"name": "synthetic_portraits", "rows": 100}},
        {"model": "owner/other"},
        {"model": {"name": "owner/checkpoint", "revision": "v1"}},
        {"methods": {"full": {"learning_rate": 1e-5, "epochs": 3}}},
        {"methods": {"full": {"learning_rate": 1.1e-5, "epochs": 2}}},
        {"methods": {"full": {"method": "head_only", "learning_rate": 1e-5, "epochs": 2}}},
        {"training": {"batch_size": 16}},
        {"methods": {"lora": {"layer_fraction": 0.5}}},
        {"training": {"micro_batch": 8}},
        {"training": {"precision": "bfloat16"}},
        {"training": {"flip": False}},
        {"training": {"parallel": "fsdp"}},
    ],
)
def test_what_can_change_a_result_makes_another_id(changes):
    assert first(**changes) != first()


def test_seeds_ranks_and_models_have_ids_of_their_own():
    one = study(model=["a/b", "a/c"])
    every = {run_id(one, model, arm, seed) for model in one.models for arm in one.arms for seed in one.seeds}
    assert len(every) == 2 * 3 * 2


def test_equal_numbers_are_equal():
    assert ids(study(methods={"lora": {"alpha": 8}})) == ids(study(methods={"lora": {"alpha": 8.0}}))
    one = study()
    built = one.models[0].model_copy(update={"options": {"x": 1}})
    same = one.models[0].model_copy(update={"options": {"x": 1.0}})
    truth = one.models[0].model_copy(update={"options": {"x": True}})
    assert run_id(one, built, one.arms[0], 1) == run_id(one, same, one.arms[0], 1)
    assert run_id(one, built, one.arms[0], 1) != run_id(one, truth, one.arms[0], 1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dataset": TABLE, "audit": {"by": ["sex"], "margin": {"f1": 0.1}, "intersect": []}},
        {"model": ["owner/a", {"name": "tiny_text", "pretraining": ["none", "weak"]}]},
        {"methods": {"lora": {"targets": [["mlp.up"], ["mlp.down", "mlp.up"]], "alpha": 3e-7}}},
        {"dataset": {"name": "synthetic_posts", "base_rates": {"velm": 1}, "shares": {"orrin": 0.1}}},
        {"description": "ünïcode \u2028 'and' \"quotes\""},
    ],
)
def test_a_stored_study_is_the_study(changes, tmp_path):
    one = study(**changes)
    path = tmp_path / "study.json"
    path.write_text(json.dumps(as_plain(one)), encoding="utf-8")
    back = load(path)
    assert back == one
    assert as_plain(back) == as_plain(one)
    assert type(back.dataset.config) is type(one.dataset.config)
    assert [ids(back, seed) for seed in back.seeds] == [ids(one, seed) for seed in one.seeds]


def test_a_file_that_is_no_stored_study_is_refused(tmp_path):
    path = tmp_path / "study.json"
    good = as_plain(study())

    def refused(content):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(SpecError) as caught:
            load(path)
        return caught.value.complaints[0]

    assert "is not valid JSON" in refused("{")
    assert "got schema None" in refused([])
    assert "got schema 'evenhand.spec/9'" in refused({**good, "schema": "evenhand.spec/9"})
    assert "is not a study" in refused({"schema": "evenhand.spec/1"})
    assert "is not a study" in refused({**good, "arms": [3]})
    assert "'gone' is none of the datasets" in refused(
        {**good, "dataset": {**good["dataset"], "name": "gone"}}
    )
    assert "seeds" in refused({**good, "seeds": []})
    old = {**good["dataset"], "config": {"rws": 1}}
    assert "rws" in refused({**good, "dataset": old})
    path.unlink()
    with pytest.raises(SpecError, match="cannot be read"):
        load(path)


def test_reading_twice_gives_the_same():
    assert read_studies(plain()) == read_studies(plain())


def test_questions_keep_their_ids_and_later_options_count():
    """Ids from before a question could be several rows."""
    questions = {"path": "q.csv", "answers": {"more": "{a}", "less": "{b}"}, "by": ["kind"]}
    spec = {
        "name": "t",
        "dataset": {"name": "text_snippets", "path": "texts.csv", "questions": questions},
        "model": "someone/writes",
        "methods": {"full": {"epochs": 1}, "none": {}},
        "seeds": [1],
        "audit": {"reference": "none"},
    }
    [one] = read_studies(spec)
    assert ids(one, 1) == ["1-2c0888d3270bab74", "1-1aad01ee2e4db687"]
    questions |= {"meaning": "whose", "together": ["pair"]}
    [one] = read_studies(spec)
    assert not set(ids(one, 1)) & {"1-2c0888d3270bab74", "1-1aad01ee2e4db687"}
