"""Columns with a fixed vocabulary: the gender of a text, and its agreement with a stereotype.

Case, blanks, hyphens and underscores do not matter; the usual words and letters for a gender are read as that
gender. Every other value is refused, since numbers and words of other languages are ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from evenhand.errors import plural
from evenhand.tables.reader.checks import MAX_GROUPS, Reader, Rule
from evenhand.tables.reader.distinct import Distinct, distinct
from evenhand.tables.values import Unreadable

#: Names of the columns.
GOLD_GENDER, PREDISPOSITION, STEREOTYPE = "gold_gender", "predisposition", "stereotype"
PREDICTED_GENDER = "predicted_gender"

_MALE = ("male", "males", "m", "man", "men", "boy", "masculine", "masc", "he", "him", "his")
_FEMALE = ("female", "females", "f", "woman", "women", "girl", "feminine", "fem", "she", "her", "hers")
_UNKNOWN = ("unknown", "unspecified", "not known")
_NEITHER = ("none", "neither", "neutral", "no stereotype", "not applicable")

_GENDERS = {
    "male": _MALE,
    "female": _FEMALE,
    "neutral": ("neutral", "neuter", "nonbinary", "they", "them", "their"),
    "unknown": _UNKNOWN,
}

#: By column: its words, and their spellings.
VOCABULARY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    GOLD_GENDER: _GENDERS,
    PREDICTED_GENDER: _GENDERS,
    PREDISPOSITION: {"male": _MALE, "female": _FEMALE, "none": (*_NEITHER, *_UNKNOWN)},
    STEREOTYPE: {
        "pro": ("pro", "prostereotype", "prostereotypical", "prostereotyped", "stereotypical"),
        "anti": ("anti", "antistereotype", "antistereotypical", "antistereotyped"),
        "none": (*_NEITHER, *_UNKNOWN),
    },
}


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).casefold()


_READ = {
    column: {_plain(spelling): word for word, spellings in words.items() for spelling in spellings}
    for column, words in VOCABULARY.items()
}


def word_of(column: str, text: str) -> str | None:
    """Return the word of a column's vocabulary that a text spells; None if it spells none."""
    return _READ[column].get(_plain(text))


def allowed(column: str) -> str:
    """List the words of a column for a sentence."""
    *first, last = VOCABULARY[column]
    return f"{', '.join(first)} or {last}"


def respelt(column: str, texts: Iterable[str]) -> list[str]:
    """Remark on spellings that are read as another word."""
    changed = [f"'{text}' as {word}" for text in texts if (word := word_of(column, text)) not in {None, text}]
    return [f"Column '{column}' is read with {', '.join(changed)}."] if changed else []


def read_words(reader: Reader, name: str) -> Distinct:
    """Read the distinct values of a column with a vocabulary; complain of other words."""
    missing = reader.table.columns[name].missing_sql
    each = f"each is one of {allowed(name)}"
    try:
        values = distinct(reader.db, reader.table, name, MAX_GROUPS)
    except Unreadable as error:
        reader.complain(name, f"has {error}; {each}.")
        return Distinct("", {}, 0)
    strange = {text: n for text, n in values.counts.items() if word_of(name, text) is None}
    if strange:
        listed = ", ".join(f"'{text}' in {plural(n, 'row')}" for text, n in list(strange.items())[:10])
        reader.complain(name, f"is {listed}; each value is one of {allowed(name)}.")
    if values.missing:
        none = [*VOCABULARY[name]][-1]
        what = f"has no value in {{rows}}; {each} (write '{none}' if there is none)."
        reader.check([Rule(name, missing, what)])
    return values
