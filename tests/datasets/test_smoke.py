"""Made-up rows have the form of the real ones."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand import datasets, registry
from evenhand.datasets import dlab_hate_speech as dlab
from evenhand.datasets import table, text_snippets, utkface, winomt

CONFIGS = {
    "utkface": [utkface.Config(path="nowhere", target=target) for target in ("gender", "age")],
    "dlab_hate_speech": [dlab.Config(attribute=name) for name in (*dlab.GROUPS, "all")],
    "table": [
        table.Config(path="nowhere", text="words", by=("sex",), memberships=("target_race_*",)),
        table.Config(path="nowhere", image="face", by=("sex", "race")),
    ],
    "winomt": [winomt.Config(path="nowhere")],
    "text_snippets": [text_snippets.Config(path="nowhere", by=("sex",))],
    "synthetic_pairs": [registry.load("evenhand.datasets", "synthetic_pairs").Config(rows=900)],
    "synthetic_posts": [registry.load("evenhand.datasets", "synthetic_posts").Config(rows=9000)],
    "synthetic_portraits": [registry.load("evenhand.datasets", "synthetic_portraits").Config(rows=9000)],
}


@pytest.mark.parametrize("name", registry.names("evenhand.datasets"))
def test_every_dataset_can_be_tried_out_without_its_files(name):
    module = registry.load("evenhand.datasets", name)
    for config in CONFIGS[name]:
        rows = module.smoke(config)
        n = len(rows.ids)
        assert n <= 1000
        assert len(set(rows.ids)) == len(rows.inputs) == len(rows.labels) == n
        assert module.INFO.task in (rows.task, "either")
        known = set(module.INFO.attributes)
        assert not known or {a.name for a in rows.attributes} <= known
        for attribute in rows.attributes:
            held = [attribute.in_group(i).sum() for i in range(len(attribute.groups))]
            assert min(held) >= 20
        for seed in (13, 1337, 42, 666, 888):
            parts = datasets.split(rows.ids, train=0.7, validation=0.1, test=0.2, seed=seed, units=rows.units)
            assert datasets.check_split(rows, parts).complaints == ()
            assert not datasets.find_leaks(rows, parts)


def test_the_same_rows_every_time():
    one, two = (dlab.smoke(dlab.Config()) for _ in range(2))
    assert list(one.inputs) == list(two.inputs)
    assert np.array_equal(one.attributes[0].flags, two.attributes[0].flags)


def test_names_are_those_of_the_real_rows():
    faces = utkface.smoke(utkface.Config(path="nowhere", target="age"))
    assert faces.classes == utkface.AGE_BINS
    assert [a.name for a in faces.attributes] == ["race", "gender"]
    assert faces.attributes[0].groups == utkface.RACES
    posts = dlab.smoke(dlab.Config(attribute="gender"))
    assert [(a.name, a.groups, a.kind) for a in posts.attributes] == [
        ("target_gender", dlab.GROUPS["gender"], "memberships")
    ]
    rows = table.smoke(CONFIGS["table"][0])
    assert [(a.name, a.kind) for a in rows.attributes] == [
        ("sex", "partition"),
        ("target_race", "memberships"),
    ]
