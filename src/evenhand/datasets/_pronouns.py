"""English pronouns of the third person: whom a sentence speaks of, and the same sentence about others."""

from __future__ import annotations

import re
from typing import Literal

Gender = Literal["male", "female", "neutral"]
#: Subject, object, before a noun, alone, reflexive.
FORMS: dict[Gender, tuple[str, ...]] = {
    "male": ("he", "him", "his", "his", "himself"),
    "female": ("she", "her", "her", "hers", "herself"),
    "neutral": ("they", "them", "their", "theirs", "themselves"),
}
_OBJECT, _BEFORE, _ALONE = 1, 2, 3
_GENDERS: dict[str, Gender] = {form: gender for gender, forms in FORMS.items() for form in forms}
_GENDERS["themself"] = "neutral"
#: What a verb after `they` is called after `he` or `she`: the verbs that change without a rule.
_VERBS = {"was": "were", "is": "are", "has": "have", "does": "do"}
#: After `her` as an object comes one of these, no word, or the end of a clause.
_NO_NOUN = frozenset((
    "a", "about", "after", "alone", "an", "and", "around", "as", "at", "away", "because", "before", "by",
    "but", "down", "during", "for", "from", "if", "in", "into", "it", "of", "off", "on", "onto", "or", "out",
    "over", "so", "some", "than", "that", "the", "there", "to", "today", "tomorrow", "tonight", "until", "up",
    "when", "whenever", "where", "while", "why", "with", "without", "yesterday",
))  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def genders(sentence: str) -> frozenset[Gender]:
    """Genders of the pronouns of a sentence, by whole words; beside he or she, they are others."""
    words = (word.lower() for word in _WORD.findall(sentence))
    found = frozenset(_GENDERS[word] for word in words if word in _GENDERS)
    return found - {"neutral"} or found


def pattern(sentence: str) -> str:
    """What sentences share that differ only in whom they speak of: no pronouns, verbs, cases or blanks."""
    plural = {many: one for one, many in _VERBS.items()}
    meant = genders(sentence)

    def said(found: re.Match[str]) -> str:
        word = found[0].lower()
        return "_" if _GENDERS.get(word) in meant else plural.get(word, word)

    return " ".join(_WORD.sub(said, sentence).split())


def about(sentence: str, gender: Gender) -> str:
    """The same sentence about somebody of another gender.

    `her` counts as an object where no noun can follow. After `they` the verbs was, is, has and does are put
    in the plural, and the other way round; other verbs stay as they are.
    """
    pieces: list[str] = []
    meant = genders(sentence)
    end, after_subject = 0, False
    for found in _WORD.finditer(sentence):
        word = found[0].lower()
        said = found[0]
        if _GENDERS.get(word) in meant:
            said = _like(FORMS[gender][_case(word, sentence[found.end() :])], found[0])
            after_subject = said.lower() in ("he", "she", "they")
        elif after_subject:
            said = _agreeing(found[0], plural=gender == "neutral")
            after_subject = False
        pieces += [sentence[end : found.start()], said]
        end = found.end()
    return "".join([*pieces, sentence[end:]])


def _case(word: str, after: str) -> int:
    """Which form of a pronoun it is."""
    if word == "themself":
        return len(FORMS["neutral"]) - 1
    forms = FORMS[_GENDERS[word]]
    places = [i for i, form in enumerate(forms) if form == word]
    if len(places) == 1:
        return places[0]
    following = re.match(r"\s+([^\W\d_]+)", after)
    noun = following is not None and following[1].lower() not in _NO_NOUN
    return _BEFORE if noun else (_OBJECT if _OBJECT in places else _ALONE)


def _agreeing(word: str, *, plural: bool) -> str:
    """A verb after `they`, or after `he` or `she`."""
    known = _VERBS if plural else {many: one for one, many in _VERBS.items()}
    return _like(known[word.lower()], word) if word.lower() in known else word


def _like(word: str, given: str) -> str:
    """A word with a capital where another one has it."""
    return word.capitalize() if given[:1].isupper() else word
