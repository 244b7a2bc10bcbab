"""Plug-ins of other packages, found by their entry points."""

from __future__ import annotations

import json

import jsonschema
import pytest

from evenhand import registry
from evenhand.spec.plugins import METHODS, installed
from evenhand.spec.schema import json_schema
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import plain, study, wrong

METHOD = """
from typing import Any
from pydantic import Field
from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

INFO = MethodInfo(title="Shift", trained="one number", paper="", learning_rate=0.5, epochs=7)

class Config(Frozen):
    '''Options.

    Attributes:
        size: of the shift.
    '''
    size: int = Field(default=1, ge=1)
    names: tuple[str, ...] = ()
"""
ENTRIES = """\
[evenhand.methods]
shift = spec_foreign_shift
broken = spec_foreign_broken
bare = spec_foreign_bare
"""


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    info = tmp_path / "spec_foreign-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spec-foreign\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "spec_foreign_shift.py").write_text(METHOD)
    (tmp_path / "spec_foreign_broken.py").write_text("raise RuntimeError('no luck')\n")
    (tmp_path / "spec_foreign_bare.py").write_text("INFO = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._entry_points.cache_clear()
    yield tmp_path
    registry._entry_points.cache_clear()


def test_a_method_of_another_package(other_package):
    one = study(methods={"shift": {"size": [1, 2]}, "mine": {"method": "shift", "names": ["a"]}})
    assert [(a.name, a.learning_rate, a.epochs) for a in one.arms] == [
        ("shift[size=1]", 0.5, 7), ("shift[size=2]", 0.5, 7), ("mine", 0.5, 7),
    ]  # fmt: skip
    (other_package / "study.json").write_text(json.dumps(as_plain(one)))
    assert load(other_package / "study.json") == one
    assert "shift" in installed(METHODS)
    checker = jsonschema.Draft202012Validator(json_schema())
    assert checker.is_valid({**plain(), "methods": {"shift": {"size": [1, 2]}}})
    assert not checker.is_valid({**plain(), "methods": {"shift": {"size": 0}}})


@pytest.mark.parametrize(
    ("methods", "word"),
    [
        ({"shift": {"size": 0}}, "methods.shift.size: got 0; must be an integer of at least 1."),
        ({"shifd": {}}, "did you mean 'shift'?"),
        (
            {"broken": {}},
            "methods.broken: the plug-in 'broken' of another package cannot be imported: RuntimeError",
        ),
        ({"bare": {}}, "methods.bare: the plug-in 'bare' lacks INFO"),
    ],
)
def test_what_can_be_wrong_with_it(other_package, methods, word):
    (told,) = wrong(methods=methods)
    assert word in told
