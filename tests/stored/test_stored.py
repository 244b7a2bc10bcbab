"""What the commands gave when their documents were stored, they give now.

A change that moves a number on purpose stores them anew (`python -m tests.stored NAME...`) and says so in its
message. `python -m tests.stored --compare` looks at every word and every bit, for changes that may move none.
"""

from __future__ import annotations

import os

import pytest

from tests.stored.cases import AUDITS, CASES, STUDIES, TRAINED
from tests.stored.compare import DOCUMENTS, differences, lasting, processor, read

SLOW = ("quickstart",)
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_documents_are_as_stored(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAND_IN", raising=False)
    stored, where = read(name)
    found = lasting(CASES[name](lambda: "".join(capsys.readouterr())), tmp_path)
    same = name not in TRAINED or where == processor()
    lines = differences(stored, found, exact=False, numbers=same)
    assert not lines, "\n".join(lines[:20])


def test_every_case_is_stored():
    assert {p.name.removesuffix(".json.gz") for p in DOCUMENTS.iterdir()} == set(CASES)
    assert len(AUDITS) >= 15
    assert len(STUDIES) + len(TRAINED) >= 8


def test_differences_are_found():
    """A number, a key, a row, a name and a number within a sentence."""
    stored = {"value": 0.5, "name": "full", "says": "No harm in 3 of 9 groups.", "rows": [1, 2]}
    for change in ({"value": 0.5001}, {"name": "lora"}, {"says": "No harm in 4 of 9 groups."}, {"rows": [1]}):
        assert len(differences(stored, {**stored, **change}, exact=False)) == 1
    row = ["lora", "0.12320840303525882", "3"]
    assert not differences(row, ["lora", "0.12320840303525889", "3"], exact=False)
    assert len(differences(row, ["lora", "0.1233", "4"], exact=False)) == 2
    assert len(differences(row, ["lora", "", "3"], exact=False)) == 1
    assert differences(stored, {**stored, "more": 1}, exact=False) == ["/more: only found"]
    assert not differences(stored, {**stored, "says": "Harm was not found in 3 of 9 groups."}, exact=False)
    assert len(differences(stored, {**stored, "says": "No harm, 3 of 9 groups."}, exact=True)) == 1
    assert os.sep not in "".join(CASES)
