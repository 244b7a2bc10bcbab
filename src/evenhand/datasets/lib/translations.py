"""Pairs of a sentence and its translation as examples: references by rule, units that no split cuts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from evenhand.datasets.lib.leaks import normal
from evenhand.datasets.lib.schema import Examples, Translations
from evenhand.tables.answers.pronouns import GENDERS, RENDERINGS, pattern, render
from evenhand.tables.schema import Attribute

PREDISPOSITIONS, STEREOTYPES = ("male", "female", "none"), ("pro", "anti", "none")
_OTHER = {"male": "female", "female": "male"}


def examples_of(
    ids: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    gold: Sequence[str],
    stereotype: Sequence[str],
    *,
    separator: str,
    new_tokens: int,
    remarks: Sequence[str] = (),
) -> Examples:
    """Examples of pairs.

    Args:
        ids: [n] names.
        pairs: [n] English sentence, and its translation, which is what a model reads.
        gold: [n] gender of the person who is meant.
        stereotype: [n] whether that agrees with the stereotype of the occupation: pro, anti, or none.
        separator: what stands between a text and its translation.
        new_tokens: most tokens of a translation.
        remarks: on the data.

    Returns:
        Examples whose references are the sentence, then the same about him, her and them: as another pair
        says it, or by rule. Sentences that differ in nothing else are of one unit, as are those of one
        translation.
    """
    leaning = [
        "none" if s == "none" or g not in _OTHER else (g if s == "pro" else _OTHER[g])
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
    """A partition into the groups that occur."""
    groups = [group for group in every if group in set(values)]
    place = {group: i for i, group in enumerate(groups)}
    return Attribute(name, "partition", tuple(groups), codes=np.array([place[v] for v in values], np.int64))


def _units(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """[n] what each pair belongs to: pairs that share a pattern or a translation, directly or by others."""
    parent: dict[str, str] = {}

    def top(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for english, other in pairs:
        a, b = top(f"p{pattern(english)}"), top(f"t{normal(other)}")
        parent[max(a, b)] = min(a, b)
    tops = [top(f"p{pattern(english)}") for english, _ in pairs]
    return [hashlib.sha256(key.encode()).hexdigest()[:16] for key in tops]
