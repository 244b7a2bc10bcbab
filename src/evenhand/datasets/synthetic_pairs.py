"""A made-up language without genders, and English: sentences whose pronoun only a stereotype can tell.

A sentence speaks of two occupations and a pronoun; the made-up language has one pronoun, `o`, for he and she.
How often an occupation goes with its stereotypical gender is planted, so that the share of stereotypical
pronouns that a model which learns the data well writes is known: `stereotype_share`.
"""

from __future__ import annotations

import hashlib

import numpy as np

from evenhand.datasets import DatasetInfo, Examples
from evenhand.datasets.lib.config import Field, Frozen, Limit, Seed, Share
from evenhand.datasets.lib.translations import examples_of
from evenhand.tables.schema import IntArray

INFO = DatasetInfo(
    title="Synthetic pairs",
    task="translation",
    labels="the English sentence",
    attributes=("gold_gender", "predisposition", "stereotype"),
    source="written by rule, by evenhand",
    licence="Apache-2.0",
    problems=("Made-up language: results say nothing about people, only about methods.",),
)
#: Occupations of people who do not exist, those of the first half called male, the others female.
OCCUPATIONS = (
    "lampwright", "stonecounter", "bridgekeeper", "wheelteller",
    "cloudmender", "reedsinger", "moonbaker", "snowreader",
)  # fmt: skip
_VERBS = ("met", "called", "thanked", "helped", "followed", "paid")
_TAILS = ("{p} was tired", "{p} was late", "{p} found the map", "{p} lost a coat", "{p} sang all night",
          "{p} knew the way")  # fmt: skip
_PRONOUNS = ("he", "she")
_SMOKE_ROWS = 160
#: As many as a sentence takes.
SMOKE_TOKENS = 24


class Config(Frozen):
    """Options.

    Attributes:
        rows: how many pairs.
        stereotype_share: how often the pronoun is the stereotypical one of the first occupation.
        separator: what stands between a text and its translation, for the model.
        new_tokens: most tokens of a translation that a model writes.
        seed: another seed is another draw.
    """

    rows: Limit = 600
    stereotype_share: Share = 0.8
    separator: str = Field(default="\n", min_length=1)
    new_tokens: int = Field(default=40, ge=1)
    seed: Seed = 0


def load(config: Config) -> Examples:
    """Write the pairs: of every sentence drawn, the one or both genders that the draws give, each once.

    Returns:
        Pairs with the attributes of WinoMT.
    """
    rng = np.random.default_rng([config.seed, 7])
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    tries = 0
    while len(pairs) < config.rows and tries < 50 * config.rows:
        tries += 1
        draw = rng.integers([len(OCCUPATIONS), len(OCCUPATIONS), len(_VERBS), len(_TAILS)])
        pro = bool(rng.random() < config.stereotype_share)
        if draw[0] == draw[1]:
            continue
        leaning = 0 if draw[0] < len(OCCUPATIONS) // 2 else 1
        gender = leaning if pro else 1 - leaning
        pair = _english(draw, gender), _foreign(draw)
        pairs.setdefault(pair, (("male", "female")[gender], "pro" if pro else "anti"))
    ids = [hashlib.sha256("\n".join(pair).encode()).hexdigest()[:16] for pair in pairs]
    told = list(pairs.values())
    return examples_of(
        ids, list(pairs), [gold for gold, _ in told], [kind for _, kind in told],
        separator=config.separator, new_tokens=config.new_tokens,
    )  # fmt: skip


def smoke(config: Config) -> Examples:
    """Fewer pairs of the same world."""
    return load(config.model_copy(update={"rows": min(config.rows, _SMOKE_ROWS)}))


def _english(draw: IntArray, gender: int) -> str:
    who, whom, verb, tail = draw.tolist()
    said = _TAILS[tail].format(p=_PRONOUNS[gender])
    return f"The {OCCUPATIONS[who]} {_VERBS[verb]} the {OCCUPATIONS[whom]} because {said}."


def _foreign(draw: IntArray) -> str:
    """The same in the made-up language: words turned around and ended otherwise, the verb last."""
    who, whom, verb, tail = draw.tolist()
    cause = _TAILS[tail].format(p="o").split()
    said = " ".join(["o", *(_turned(word) for word in cause[1:])])
    subject, object_, action = _turned(OCCUPATIONS[who]), _turned(OCCUPATIONS[whom]), _turned(_VERBS[verb])
    return f"{subject} {object_}i {action}di, {said} icin."


def _turned(word: str) -> str:
    return word[::-1]
