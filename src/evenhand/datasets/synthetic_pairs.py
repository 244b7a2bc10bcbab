"""An invented language without genders, and English: only a stereotype determines the pronoun of a sentence.

A sentence mentions two occupations and a pronoun; the invented language has one pronoun, `o`, for he and she.
The share of pronouns that agree with the stereotype of the occupation is planted (`stereotype_share`), so
that the share of stereotypical pronouns in the translations of a well-trained model is known.
"""

from __future__ import annotations

import hashlib

import numpy as np

from evenhand.datasets import DatasetInfo, Examples
from evenhand.datasets.lib.config import Field, Frozen, Limit, Seed, Share
from evenhand.datasets.lib.translations import make_examples
from evenhand.tables.schema import IntArray

INFO = DatasetInfo(
    title="Synthetic pairs",
    task="translation",
    labels="the English sentence",
    attributes=("gold_gender", "predisposition", "stereotype"),
    source="written by rule, by evenhand",
    licence="Apache-2.0",
    problems=("Invented language: results are about methods, not about people.",),
)
#: Invented occupations; the first half is stereotypically male, the other half female.
OCCUPATIONS = (
    "lampwright", "stonecounter", "bridgekeeper", "wheelteller",
    "cloudmender", "reedsinger", "moonbaker", "snowreader",
)  # fmt: skip
_VERBS = ("met", "called", "thanked", "helped", "followed", "paid")
_TAILS = ("{p} was tired", "{p} was late", "{p} found the map", "{p} lost a coat", "{p} sang all night",
          "{p} knew the way")  # fmt: skip
_PRONOUNS = ("he", "she")
_SMOKE_ROWS = 160
#: Enough tokens for a sentence.
SMOKE_TOKENS = 24


class Config(Frozen):
    """Options of the sentence pairs.

    Attributes:
        rows: number of pairs.
        stereotype_share: probability that the pronoun agrees with the stereotype of the first occupation.
        separator: text between a source text and its translation in the model's input.
        new_tokens: maximum number of tokens of a generated translation.
        seed: another seed is another draw.
    """

    rows: Limit = 600
    stereotype_share: Share = 0.8
    separator: str = Field(default="\n", min_length=1)
    new_tokens: int = Field(default=40, ge=1)
    seed: Seed = 0


def load(config: Config) -> Examples:
    """Write distinct pairs; a sentence may occur with one gender or with both.

    Returns:
        Pairs with the attributes of WinoMT.
    """
    rng = np.random.default_rng([config.seed, 7])
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    tries = 0
    while len(pairs) < config.rows and tries < 50 * config.rows:
        tries += 1
        indices = rng.integers([len(OCCUPATIONS), len(OCCUPATIONS), len(_VERBS), len(_TAILS)])
        pro = bool(rng.random() < config.stereotype_share)
        if indices[0] == indices[1]:
            continue
        leaning = 0 if indices[0] < len(OCCUPATIONS) // 2 else 1
        gender = leaning if pro else 1 - leaning
        pair = _write_english(indices, gender), _write_foreign(indices)
        pairs.setdefault(pair, (("male", "female")[gender], "pro" if pro else "anti"))
    ids = [hashlib.sha256("\n".join(pair).encode()).hexdigest()[:16] for pair in pairs]
    annotations = list(pairs.values())
    return make_examples(
        ids, list(pairs), [gold for gold, _ in annotations], [kind for _, kind in annotations],
        separator=config.separator, new_tokens=config.new_tokens,
    )  # fmt: skip


def smoke(config: Config) -> Examples:
    """Write fewer pairs of the same distribution."""
    return load(config.model_copy(update={"rows": min(config.rows, _SMOKE_ROWS)}))


def _write_english(indices: IntArray, gender: int) -> str:
    who, whom, verb, tail = indices.tolist()
    clause = _TAILS[tail].format(p=_PRONOUNS[gender])
    return f"The {OCCUPATIONS[who]} {_VERBS[verb]} the {OCCUPATIONS[whom]} because {clause}."


def _write_foreign(indices: IntArray) -> str:
    """Write a sentence in the invented language: words reversed, with case endings, and the verb last."""
    who, whom, verb, tail = indices.tolist()
    cause = _TAILS[tail].format(p="o").split()
    clause = " ".join(["o", *(_reverse(word) for word in cause[1:])])
    subject, object_, action = _reverse(OCCUPATIONS[who]), _reverse(OCCUPATIONS[whom]), _reverse(_VERBS[verb])
    return f"{subject} {object_}i {action}di, {clause} icin."


def _reverse(word: str) -> str:
    return word[::-1]
