"""Studies for tests, as text."""

from __future__ import annotations

import textwrap

from evenhand.errors import SpecError
from evenhand.spec.read import read_studies

GOOD = """\
name: small
dataset: {name: synthetic_posts, rows: 100}
model: owner/checkpoint
methods:
  full: {learning_rate: 1e-5, epochs: 2}
  lora:
    rank: [1, 8]
seeds: [13, 1337]
"""


MANY = """\
dataset: {name: synthetic_posts, rows: 100}
model: owner/checkpoint
methods:
  full: {}
  lora: {rank: [1, 8]}
seeds: [1, 2]
studies:
  - name: first
  - name: second
    dataset: {rows: 200}
    methods:
      lora: {rank: 4}
      none: {}
    seeds: [3]
  - name: third
    dataset: synthetic_portraits
    model: {revision: v1}
"""


def plain():
    """The same study from Python."""
    return {
        "name": "small",
        "dataset": {"name": "synthetic_posts", "rows": 100},
        "model": "owner/checkpoint",
        "methods": {"full": {"learning_rate": 1e-5, "epochs": 2}, "lora": {"rank": [1, 8]}},
        "seeds": [13, 1337],
    }


def study(**changes):
    """The study, with other keys."""
    (one,) = read_studies({**plain(), **changes})
    return one


def written(folder, text, name="study.yaml"):
    """A file, and how complaints call it."""
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def complaints(source, *overrides):
    """What is wrong with a study; nothing when nothing is."""
    try:
        read_studies(source, overrides=overrides)
    except SpecError as error:
        return list(error.complaints)
    return []


def wrong(**changes):
    """What is wrong with the good study when these keys are changed."""
    return complaints({**plain(), **changes})
