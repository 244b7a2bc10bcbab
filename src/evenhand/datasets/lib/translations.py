"""Sentence pairs as examples of a translation task: references by rule, and units that no split cuts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from evenhand.datasets.lib.leaks import normalize_text
from evenhand.datasets.lib.schema import Examples, Translations
from evenhand.tables.answers.pronouns import GENDERS, RENDERINGS, pattern, render
from evenhand.tables.schema import Attribute

PREDISPOSITIONS, STEREOTYPES = ("male", "female", "none"), ("pro", "anti", "none")
_OPPOSITE = {"male": "female", "female": "male"}


def make_examples(
    ids: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    gold: Sequence[str],
    stereotype: Sequence[str],
    *,
    separator: str,
    new_tokens: int,
    remarks: Sequence[str] = (),
) -> Examples:
    """Build examples from sentence pairs.

    Args:
        ids: [n] names.
        pairs: [n] English sentence and its translation; a model reads the translation.
        gold: [n] gender of the person that the pronoun refers to.
        stereotype: [n] `pro` where the gender agrees with the stereotype of the occupation, `anti` where it
            contradicts it, or `none`.
        separator: text between a source text and its translation.
        new_tokens: maximum number of tokens of a generated translation.
        remarks: remarks on the data.

    Returns:
        Examples whose references are the English sentence and its versions with male, female and neutral
        pronouns: taken from another pair where one exists, else built by rule. Sentences that differ in
        pronouns only, and sentences with one translation, form a unit.
    """
    leaning = [
        "none" if s == "none" or g not in _OPPOSITE else (g if s == "pro" else _OPPOSITE[g])
        for g, s in zip(gold, stereotype, strict=True)
    ]
    attributes = (
        _attribute("gold_gender", GENDERS, gold),
        _attribute("predisposition", PREDISPOSITIONS, leaning),
        _attribute("stereotype", STEREOTYPES, stereotype),
    )
    twins = {(pattern(english), g): english for (english, _), g in zip(pairs, gold, strict=True)}
    references = [
        tuple(
            dict.fromkeys(
                [
                    e,
                    *(
                        twins.get((pattern(e), g)) or render(e, r)
                        for g, r in zip(GENDERS, RENDERINGS, strict=True)
                    ),
                ]
            )
        )
        for e, _ in pairs
    ]
    return Examples(
        "translation", list(ids), [source for _, source in pairs], np.zeros(len(pairs), np.int64), (),
        attributes, tuple(remarks), units=_units(pairs),
        translations=Translations(references, separator, new_tokens),
    )  # fmt: skip


def _attribute(name: str, every: Sequence[str], values: Sequence[str]) -> Attribute:
    """Build a partition into the groups that occur."""
    groups = [group for group in every if group in set(values)]
    codes = {group: i for i, group in enumerate(groups)}
    return Attribute(name, "partition", tuple(groups), codes=np.array([codes[v] for v in values], np.int64))


def _units(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Name the unit of each pair [n]: connected components of pairs that share a pattern or a translation.

    Computed by union-find with path halving; the smallest key of a component is its root, so that the names
    do not depend on the order of the pairs.
    """
    parent: dict[str, str] = {}

    def top(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for english, other in pairs:
        a, b = top(f"p{pattern(english)}"), top(f"t{normalize_text(other)}")
        parent[max(a, b)] = min(a, b)
    tops = [top(f"p{pattern(english)}") for english, _ in pairs]
    return [hashlib.sha256(key.encode()).hexdigest()[:16] for key in tops]
