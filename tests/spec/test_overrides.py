"""`-o key=value`."""

from __future__ import annotations

import pytest

from evenhand.spec.read import read_studies
from tests.spec.sample import GOOD, MANY, complaints, plain, written


def read(*overrides, text=None, folder=None):
    return read_studies(written(folder, text) if text else plain(), overrides=overrides)


def test_values_go_before_those_of_the_file():
    (one,) = read(
        "methods.lora.rank=[2,4]", "seeds=[1]", "dataset.rows=50", "training.batch_size=8", "name=other",
        "methods.full.learning_rate=1e-3", "methods.none=", "audit.margin={accuracy: 0.05}", "model=a/b",
    )  # fmt: skip
    assert one.name == "other"
    assert [a.name for a in one.arms] == ["full", "lora[rank=2]", "lora[rank=4]", "none"]
    assert one.arms[0].learning_rate == 1e-3
    assert (one.seeds, one.dataset.config.rows, one.training.batch_size) == ((1,), 50, 8)
    assert one.audit.margin == {"accuracy": 0.05}
    assert one.models[0].name == "a/b"


def test_the_last_of_two_wins_and_equals_signs_belong_to_the_value():
    (one,) = read("seeds=[1]", "seeds=[2]", "description='a=b'")
    assert one.seeds == (2,)
    assert one.description == "a=b"


def test_options_of_what_is_given_by_its_name_only():
    (one,) = read("dataset=synthetic_posts", "dataset.rows=60", "model.revision=v1")
    assert one.dataset.config.rows == 60
    assert one.models[0].options == {"revision": "v1"}


def test_items_of_lists_by_their_number():
    (one,) = read("seeds.1=7", "methods.lora.rank.0=2")
    assert one.seeds == (13, 7)
    assert [a.name for a in one.arms][1:] == ["lora[rank=2]", "lora[rank=8]"]


def test_for_every_study_or_for_one(tmp_path):
    found = read("studies.1.seeds=[9]", "seeds=[5]", "studies.0.dataset.rows=70", text=MANY, folder=tmp_path)
    assert [s.seeds for s in found] == [(5,), (9,), (5,)]
    assert [s.dataset.config.rows for s in found] == [70, 200, 2000]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("methods.lora.rank=-1", "-o methods.lora.rank=-1: got -1; must be an integer of at least 1."),
        (
            "methods.lora.rank=[1,-1]",
            "-o methods.lora.rank=[1,-1], methods.lora.rank.1: got -1; must be an integer of at least 1.",
        ),
        ("dataset.rws=5", "-o dataset.rws=5: unknown key. Did you mean 'rows'?"),
        ("sedes=[1]", "-o sedes=[1]: unknown key. Did you mean 'seeds'?"),
        ("training.epochs=5", "-o training.epochs=5: unknown key."),
        (
            "methods.lara.rank=5",
            "-o methods.lara.rank=5: 'lara' is none of the methods: did you mean 'lora'?",
        ),
        ("seeds", "-o seeds: write key=value, as in -o methods.lora.rank=[1,8]."),
        ("=5", "-o =5: write key=value"),
        ("a..b=5", "-o a..b=5: write key=value"),
        ("seeds=[1", "-o seeds=[1: invalid YAML"),
        ("seeds.5=1", "-o seeds.5=1: '5' is not one of the items 0 to 1 of [13, 1337]."),
        ("seeds.x=1", "-o seeds.x=1: 'x' is not one of the items"),
        ("name.x=1", "-o name.x=1: 'small' has no key 'x'."),
        ("studies.0.seeds=[1]", "is not a key of a study in this file; it has no 'studies'."),
        ("studies=[]", "is not a key of a study"),
        ("name=" + "x" * 500, "got 'xxx"),
    ],
)
def test_complaints_name_the_option(override, told):
    (found,) = complaints(plain(), override)
    assert told in found


def test_numbers_of_studies_that_are_not_there(tmp_path):
    path = written(tmp_path, MANY)
    for override in ("studies.3.seeds=[1]", "studies.x.seeds=[1]", "studies.-1.seeds=[1]", "studies.1=x"):
        (told,) = complaints(path, override)
        assert "it has studies.0 to studies.2" in told


def test_all_complaints_of_file_and_options_are_told_the_file_first(tmp_path):
    path = written(tmp_path, GOOD.replace("rows: 100", "rows: 1"))
    told = complaints(path, "seeds=[x]", "methods.lora.rank=0", "oops")
    assert [line.partition(":")[0] for line in told] == [
        str(path), "-o seeds=[x], seeds.0", "-o methods.lora.rank=0", "-o oops",
    ]  # fmt: skip


def test_a_value_that_is_put_right_is_no_mistake_any_more(tmp_path):
    path = written(tmp_path, GOOD.replace("rows: 100", "rows: 1"))
    assert complaints(path)
    assert not complaints(path, "dataset.rows=100")
