"""Detect the gender of an English text by its whole-word pronouns, and render it with other pronouns.

A word is bounded by anything that is not a letter or digit: quotes, hyphens, underscores of markdown, the
apostrophe of "she's". Case does not matter. "s/he" and "(s)he" name both genders.
"""

from __future__ import annotations

import re
from typing import Literal

Gender = Literal["male", "female", "neutral"]
GENDERS: tuple[Gender, ...] = ("male", "female", "neutral")
#: All results of `gender_of`.
NAMED: tuple[Gender | Literal["unknown"], ...] = (*GENDERS, "unknown")

WORDS: dict[Gender, tuple[str, ...]] = {
    "male": ("he", "him", "his", "himself"),
    "female": ("she", "her", "hers", "herself"),
    "neutral": ("they", "them", "their", "theirs", "themselves", "themself"),
}
_BOTH = re.compile(r"(?<![^\W_])(?:s/he|\(s\)he)(?![^\W_])", re.IGNORECASE)


def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{longest_first})(?![^\W_])", re.IGNORECASE)


_PATTERNS = {gender: _word_pattern(words) for gender, words in WORDS.items()}
_GENDERED = _word_pattern((*WORDS["male"], *WORDS["female"]))


def genders(text: str) -> frozenset[Gender]:
    """Return the genders of a text's pronouns; beside *he* or *she*, *they* may refer to others."""
    if _BOTH.search(text):
        return frozenset(("male", "female"))
    named = frozenset(gender for gender in GENDERS if _PATTERNS[gender].search(text))
    return named - {"neutral"} or named


def gender_of(text: str) -> Gender | Literal["unknown"]:
    """Return the only gender of a text's pronouns; `unknown` for several or none."""
    named = genders(text)
    return next(iter(named)) if len(named) == 1 else "unknown"


Rendering = Literal["he", "she", "they"]
#: In the order of `GENDERS`.
RENDERINGS: tuple[Rendering, ...] = ("he", "she", "they")

#: By role: subject, object, possessive before a noun, possessive alone, reflexive.
_ROLES = ("subject", "object", "determiner", "possessive", "reflexive")
_FORMS: dict[Rendering, tuple[str, ...]] = {
    "he": ("he", "him", "his", "his", "himself"),
    "she": ("she", "her", "her", "hers", "herself"),
    "they": ("they", "them", "their", "theirs", "themselves"),
}
_ROLE_OF = {
    **dict.fromkeys(("he", "she", "they"), "subject"),
    **dict.fromkeys(("him", "them"), "object"),
    "their": "determiner",
    **dict.fromkeys(("hers", "theirs"), "possessive"),
    **dict.fromkeys(("himself", "herself", "themselves", "themself"), "reflexive"),
}

#: Words that do not begin a noun phrase: before them, *her* or *his* is not a determiner.
_NOT_A_NOUN = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "and", "or", "but", "because", "if", "when",
    "whenever", "while", "since", "as", "than", "so", "then", "to", "for", "from", "in", "into",
    "on", "onto", "at", "by", "with", "without", "about", "of", "off", "over", "under", "up",
    "down", "out", "around", "after", "before", "until", "during", "is", "was", "were", "are", "be",
    "been", "has", "have", "had", "does", "did", "do", "will", "would", "can", "could", "should",
    "may", "might", "must", "not", "never", "always", "again", "too", "either", "instead",
    "anywhere", "alone", "away", "some", "any", "it", "he", "she", "they", "we", "you", "i",
    "yesterday", "today", "tomorrow", "tonight", "here", "there", "who", "which", "what", "where",
    "how", "why",
})  # fmt: skip
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do", "isn't": "aren't", "wasn't": "weren't",
          "hasn't": "haven't", "doesn't": "don't", "'s": "'re"}  # fmt: skip
_PLURAL = {**_VERBS, **{s.replace("'", "’"): p.replace("'", "’") for s, p in _VERBS.items()}}
_SINGULAR = {p: s for s, p in _PLURAL.items()} | {"'ve": "'s", "’ve": "’s"}
#: After these, *'s* is short for has.
_DONE = frozenset(["been", "got", "had", "become", "gone", "done", "made"])
_NEXT = re.compile(r"\s+([^\W\d_]+(?:['’-][^\W\d_]+)*)")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CONTRACTED = re.compile(r"_['’](?:s|re|ve)(?![^\W_])")
_VERB = re.compile(r"(\s+[^\W\d_]+(?:['’]t)?|['’]s|['’]re|['’]ve)(?![^\W_])")


def render(text: str, rendering: Rendering) -> str:
    """Replace the pronouns of a text by *he*, *she* or *they*.

    Beside *he* or *she*, a *they* refers to others and remains, as in `gender_of`.

    The grammatical case is preserved: *her* is possessive before a noun and an object elsewhere, *his* a
    determiner before a noun and a possessive elsewhere. Directly after a subject, forms of be, have and do
    agree with it; other verbs remain unchanged.
    """
    text = _BOTH.sub(lambda match: _cased("she", match[0].strip("(")), text)
    pieces, at = [], 0
    for match in _pronouns_of(text).finditer(text):
        word, rest = match[0], text[match.end() :]
        role = _ROLE_OF.get(word.lower()) or _role(word.lower(), rest)
        new = _FORMS[rendering][_ROLES.index(role)]
        pieces += [text[at : match.start()], _cased(new, word)]
        at = match.end()
        verb = _VERB.match(rest) if role == "subject" else None
        changes = _PLURAL if rendering == "they" else _SINGULAR
        if verb and verb[1].strip().lower() in changes and (rendering == "they") != (word.lower() == "they"):
            space = verb[1][: len(verb[1]) - len(verb[1].lstrip())]
            pieces.append(space + _agreeing(verb[1].strip().lower(), rest[verb.end() :], changes))
            at += verb.end()
    return "".join((*pieces, text[at:]))


def pattern(text: str) -> str:
    """Return the pattern of a text without gender: the same for texts that differ only in pronouns.

    Case, digits, punctuation and blanks are ignored.
    """
    text = _BOTH.sub("she", text)
    plain = _CONTRACTED.sub("_'s", _pronouns_of(text).sub("_", text).lower())
    return " ".join(_WORD.sub(lambda match: _SINGULAR.get(match[0], match[0]), plain).split())


def _pronouns_of(text: str) -> re.Pattern[str]:
    """Return the pattern of the pronouns that count in a text: *they* only without *he* and *she*."""
    return _GENDERED if _GENDERED.search(text) else _PATTERNS["neutral"]


def _agreeing(verb: str, rest: str, changes: dict[str, str]) -> str:
    """Return a verb in its other number; *'s* is short for is or, before a participle, for has."""
    following = _NEXT.match(rest)
    if verb in ("'s", "’s") and following is not None and following[1].lower() in _DONE:
        return f"{verb[0]}ve"
    return changes[verb]


def _role(word: str, rest: str) -> str:
    """Return the role of *her* or *his*, by the next word."""
    following = _NEXT.match(rest)
    before_noun = following is not None and following[1].lower() not in _NOT_A_NOUN
    if word == "her":
        return "determiner" if before_noun else "object"
    return "determiner" if before_noun else "possessive"


def _cased(new: str, old: str) -> str:
    """Return the new word in the case of the old one."""
    if old.isupper():
        return new.upper()
    return new.capitalize() if old[0].isupper() else new
