"""Whatever a file, an option or a mapping holds: studies, or what is wrong with it, and nothing else."""

from __future__ import annotations

import copy
import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evenhand.errors import SpecError
from evenhand.spec.identity import run_id
from evenhand.spec.read import read_studies
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import GOOD, plain

_WORDS = """name description dataset model methods training seeds audit studies rows rank full lora none
    method learning_rate epochs targets split train shares by reference margin intersect metric accuracy
    synthetic_posts table tiny_text bert base_rates group revision path where memberships velm groups
    a/b . ~x x*"""
WORDS = tuple(_WORDS.split())
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
QUIET = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def holds(source, folder, *overrides):
    """Read it; what comes out can be stored, read back and named."""
    try:
        studies = read_studies(source, overrides=overrides)
    except SpecError as error:
        told = error.complaints
        studies = ()
    else:
        told = ()
        assert studies
    assert bool(told) != bool(studies)
    assert all(isinstance(c, str) and c.strip() for c in told)
    assert len(set(told)) == len(told)
    for study in studies:
        path = folder / "stored.json"
        path.write_text(json.dumps(as_plain(study)), encoding="utf-8")
        assert load(path) == study
        names = {run_id(study, m, a, s) for m in study.models for a in study.arms for s in study.seeds}
        assert len(names) == len(study.models) * len(study.arms) * len(study.seeds)


def paths(value, path=()):
    """Every place in a structure."""
    yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield from paths(inner, (*path, key))


RICH = {
    **plain(),
    "model": ["owner/a", {"name": "tiny_text", "pretraining": ["none", "weak"]}],
    "dataset": {"name": "synthetic_posts", "rows": 100, "split": {"train": 0.7}, "base_rates": {"velm": 0.4}},
    "methods": {
        "full": None,
        "lora": {"rank": [1, 8], "targets": [["mlp.up"]], "learning_rate": 1e-3},
        "again": {"method": "lora"},
    },
    "training": {"batch_size": 8},
    "audit": {"by": ["group"], "margin": {"accuracy": 0.1}, "reference": "full", "intersect": []},
}


@QUIET
@given(data=st.data())
def test_a_study_with_one_thing_changed(data, tmp_path_factory):
    changed = copy.deepcopy(RICH)
    path = data.draw(st.sampled_from([p for p in paths(RICH) if p]))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(VALUES)
    holds(changed, tmp_path_factory.getbasetemp())


@QUIET
@given(st.dictionaries(KEYS, VALUES, max_size=8))
@example({"studies": [{}]})
@example({"studies": [1], "name": None})
def test_any_mapping(tmp_path_factory, mapping):
    holds(mapping, tmp_path_factory.getbasetemp())


@QUIET
@given(st.text(max_size=60) | st.text(alphabet="{}[]:,-#&*!|>'\"%@` \n\tab1.~<?", max_size=60))
@example("{<<: {<<: *a}}")
@example("? ")
def test_any_text(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    holds(path, tmp_path_factory.getbasetemp())


@QUIET
@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
def test_a_damaged_file(tmp_path_factory, junk, at):
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes(GOOD.encode()[:at] + junk + GOOD.encode()[at:])
    holds(path, tmp_path_factory.getbasetemp())


@QUIET
@given(
    st.lists(KEYS, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["", "=", "=1", "=[", "=[1, 2]", "={a: 1}", "=x", "=null"]) | st.text(max_size=10),
)
def test_any_override(tmp_path_factory, key, value):
    holds(plain(), tmp_path_factory.getbasetemp(), key + value)
    holds({**plain(), "studies": [{}]}, tmp_path_factory.getbasetemp(), "studies.0." + key + value)
