"""A program that uses the package is checked by its types, as strictly as its author likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evenhand

CLIENT = """\
from pathlib import Path
from typing import Any

import numpy as np

import evenhand
from evenhand.metrics import equalized_odds_difference, true_positive_rate


def verdict(files: list[Path]) -> str:
    result = evenhand.audit(files, by=["race"], primary="accuracy", margin={"accuracy": 0.01})
    rows: list[dict[str, Any]] = result.rates
    return f"{result.verdict['sentence']} {len(rows)}"


def leaks(folder: str) -> dict[str, Any]:
    return evenhand.attack(folder, by="race", attack="loss").to_dict()


def pair(first: dict[str, list[int]], second: dict[str, list[int]]) -> str:
    try:
        return evenhand.compare(first, second, by=["race"]).to_json()
    except evenhand.InputError as error:
        return ", ".join(error.complaints)


def study(spec: dict[str, Any]) -> list[str]:
    return [str(made.verdict["sentence"]) for made in evenhand.run(spec, overrides=["seeds=[1]"])]


labels, answers = np.array([0, 1, 1]), [0, 1, 0]
rate: float = true_positive_rate(labels, answers)
gap: float = equalized_odds_difference(labels, answers, sensitive_features=["a", "b", "a"])
again: float = evenhand.metrics.accuracy(labels, answers)
"""


@pytest.fixture
def check(tmp_path):
    """Run mypy on a program outside the package, for which the package is an installed one."""

    def run(text):
        (tmp_path / "client.py").write_text(text)
        source = str(Path(evenhand.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "client.py"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_mark_of_a_typed_package_is_there():
    assert (Path(evenhand.__file__).parent / "py.typed").is_file()


def test_a_program_of_the_public_names_passes_a_strict_check(check):
    assert check(CLIENT) == (0, "Success: no issues found in 1 source file\n")


def test_what_is_wrong_in_a_program_is_found(check):
    code, told = check(
        "import evenhand\nevenhand.audit('a.csv', by=3)\nevenhand.audit('a.csv', bye='race')\n"
        "n: int = evenhand.metrics.accuracy([1], [1])\nevenhand.nothing()\n"
    )
    assert code == 1
    lines = [line.partition(" error:")[0] for line in told.splitlines() if " error:" in line]
    assert lines == ["client.py:2:", "client.py:3:", "client.py:4:", "client.py:5:"], told
