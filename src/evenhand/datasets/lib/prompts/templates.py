"""Templates of questions about texts, out of a YAML file: forms with their variants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from evenhand.datasets.lib.config import Field, Frozen, model_validator
from evenhand.datasets.lib.reading.files import place_of
from evenhand.datasets.lib.schema import PromptTemplate
from evenhand.errors import InputError, nearest
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.document import from_file
from evenhand.spec.yaml.tree import Origin

DEFAULT = Path(__file__).with_name("templates.yaml")
#: Sets that come with evenhand besides the default, by the name that stands in place of a file's.
SETS = {"paper": Path(__file__).with_name("templates_paper.yaml")}
WORDS = "words"
#: What an inverted variant is called: meanings move while tokens stay; both move together.
INVERTED, INVERTED_SYMBOL = "_inverted", "_inverted_symbol"
#: What the variant is called that asks about the other meaning, of templates with `both`.
OTHER = "_other"
_T = TypeVar("_T")
#: A place to be filled in, by its name.
SLOT = re.compile(r"{([^{}]*)}")


class Template(Frozen):
    """One question; `templates.yaml` says what each key means."""

    text: str
    answers: dict[str, str] = Field(min_length=2)
    asked: dict[str, str] | None = None
    listed: bool = True
    option: str = "{token}. {words}"
    answer: str = " {token}"
    variants: tuple[str, ...] | None = None
    inversion: tuple[int, ...] | None = None
    both: bool = False

    @model_validator(mode="after")
    def _can_be_meant(self) -> Template:
        for where, needed, allowed in (
            ("text", {"snippet"}, {"snippet", "options", "asked"}),
            ("option", {"token", "words"}, {"token", "words"}),
            ("answer", {"token"}, {"token"}),
        ):
            slots = SLOT.findall(getattr(self, where))
            unknown = sorted(set(slots) - allowed)
            if unknown:
                raise ValueError(f"{where} has an unknown slot {{{unknown[0]}}}; {_listed(allowed)}")
            lacking = sorted(needed - set(slots))
            if lacking:
                raise ValueError(f"{where} has no slot {{{lacking[0]}}}; {_listed(allowed)}")
            twice = [slot for slot in set(slots) if slots.count(slot) > 1]
            if twice:
                raise ValueError(f"{where} has the slot {{{twice[0]}}} more than once")
        if ("asked" in SLOT.findall(self.text)) != (self.asked is not None):
            raise ValueError("asked: belongs to a text with the slot {asked}, and the slot to it")
        if self.asked is not None and (len(self.answers) != 2 or set(self.asked) != set(self.answers)):
            raise ValueError("asked: needs two answers, and a wording for the meaning of each")
        if self.both and (self.asked is None or self.inversion is None):
            raise ValueError("both: belongs to a template with `asked` and `inversion`")
        places = list(range(len(self.answers)))
        if self.inversion is not None and (
            sorted(self.inversion) != places or list(self.inversion) == places
        ):
            raise ValueError(
                f"inversion: got {list(self.inversion)}; it lists the places {places} in another order"
            )
        if len(set(self.answers.values())) < len(self.answers) or not all(
            word.strip() for word in self.answers.values()
        ):
            raise ValueError("answers: the words of all answers must differ, and none be empty")
        if self.text != self.text.rstrip():
            raise ValueError("text: ends with a blank, which belongs to the answer (answer: ' {token}')")
        return self


class Templates(Frozen):
    """A file of templates."""

    symbols: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    templates: dict[str, Template] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough_symbols(self) -> Templates:
        most = max(self.templates.values(), key=lambda one: len(one.answers)).answers
        for name, signs in self.symbols.items():
            if name == WORDS or name.endswith((INVERTED, INVERTED_SYMBOL, OTHER)):
                raise ValueError(f"symbols: the name '{name}' is taken")
            if len(signs) < len(most) or len(set(signs)) < len(signs) or not all(s.strip() for s in signs):
                raise ValueError(
                    f"symbols: '{name}' must have {len(most)} different signs or more, as many as a template "
                    "has answers"
                )
        known = variants_of(self)
        for name, one in self.templates.items():
            strange = [variant for variant in one.variants or () if variant not in known]
            if strange:
                raise ValueError(
                    f"templates.{name}: there is no variant '{strange[0]}'; {nearest(strange[0], known)}"
                )
        return self


def read_templates(path: str | None) -> Templates:
    """Read templates.

    Args:
        path: of a file, or the name of a set that comes with evenhand; None: evenhand's own.

    Raises:
        InputError: every complaint about the file, with its line.
    """
    file = DEFAULT if path is None else SETS.get(path) or place_of("dataset.bias.templates", path)
    if not file.is_file():
        raise InputError(
            f"dataset.bias.templates '{path}': there is no such file, and no set of this name; evenhand has "
            f"the set {' and '.join(repr(name) for name in SETS)}, and its own where nothing is given."
        )
    complaints = Complaints()
    made = validated(Templates, from_file(file, Origin(str(file))), complaints)
    complaints.refuse()
    assert made is not None
    return made


def variants_of(templates: Templates) -> tuple[str, ...]:
    """Names of all variants."""
    names = (WORDS, *templates.symbols)
    plain = tuple(name + how for name in names for how in ("", INVERTED, INVERTED_SYMBOL))
    other = plain if any(one.both for one in templates.templates.values()) else ()
    return (*plain, *(name + OTHER for name in other))


def forms_of(
    templates: Templates, names: Sequence[str] | None, variants: Sequence[str] | None, *, permutations: bool
) -> tuple[PromptTemplate, ...]:
    """All forms of templates.

    Args:
        templates: what was read.
        names: of those that are wanted; None: all.
        variants: those that are wanted; None: all. Templates have only some of them: `words` is inverted
            where a question asks about one of two, and its order is where its answers are listed. A
            template that names its variants has no others.
        permutations: whether variants with signs are also asked with their answers turned to every place,
            for PriDe (Zheng et al. 2024, https://arxiv.org/abs/2309.03882).

    Raises:
        InputError: there is no such template or variant.
    """
    complaints = [
        f"dataset.bias.{key}: there is no {what} '{one}'; {nearest(one, list(known))}"
        for key, what, given, known in (
            ("families", "template", names, tuple(templates.templates)),
            ("variants", "variant", variants, variants_of(templates)),
        )
        for one in given or ()
        if one not in known
    ]
    if complaints:
        raise InputError(complaints)
    forms = [
        form
        for name, one in templates.templates.items()
        if names is None or name in names
        for form in _forms(name, one, templates, permutations=permutations)
        if variants is None or form.variant in variants
    ]
    if not forms:
        raise InputError("dataset.bias: no template has one of the variants; name others, or leave them out.")
    return tuple(forms)


def _forms(name: str, one: Template, templates: Templates, *, permutations: bool) -> list[PromptTemplate]:
    """The forms of one template."""
    meanings = list(one.answers)
    asked = list(one.asked.values()) if one.asked else ["", ""]
    forms = _series(name, one, templates, (meanings, asked), "", permutations=permutations)
    if one.both:
        turned = (_turned(meanings, 1), _turned(asked, 1))
        forms += _series(name, one, templates, turned, OTHER, permutations=False)
    if one.variants is None:
        return forms
    return [form for form in forms if form.variant.removesuffix(OTHER) in one.variants]


def _series(
    name: str,
    one: Template,
    templates: Templates,
    about: tuple[list[str], list[str]],
    suffix: str,
    *,
    permutations: bool,
) -> list[PromptTemplate]:
    """The forms of one template about one meaning.

    Args:
        name: of the template.
        one: the template.
        templates: with the signs.
        about: meanings of the answers, and what is asked about, the one that is meant first.
        suffix: of the variants' names.
        permutations: whether answers with signs are also turned to every place.
    """
    meanings, (asked, other) = about[0], about[1][:2]
    words = list(one.answers.values())
    first = 0 if permutations else None
    asks_about_other = bool(one.asked) and one.inversion is None
    forms = [_form(name, WORDS + suffix, one, words, words, meanings, asked)]
    if asks_about_other:
        forms.append(_form(name, WORDS + INVERTED, one, words, words, _inverted(one, meanings), other))
    if one.listed and "{options}" in one.text:
        forms.append(_form(name, WORDS + INVERTED_SYMBOL + suffix, one, words, words, meanings, asked))
    if "{options}" not in one.text:
        return forms
    for kind, signs in templates.symbols.items():
        tokens = list(signs[: len(words)])
        forms.append(_form(name, kind + suffix, one, tokens, words, meanings, asked, permutation=first))
        moved, about_it = (words, other) if asks_about_other else (_inverted(one, words), asked)
        inverted = _inverted(one, meanings)
        forms.append(_form(name, kind + INVERTED + suffix, one, tokens, moved, inverted, about_it))
        forms.append(_form(name, kind + INVERTED_SYMBOL + suffix, one, tokens, words, meanings, asked))
        if permutations:
            forms += [
                _form(name, kind, one, tokens, _turned(words, p), _turned(meanings, p), asked, permutation=p)
                for p in range(1, len(words))
            ]
    return forms


def _form(
    name: str,
    variant: str,
    one: Template,
    tokens: Sequence[str],
    words: Sequence[str],
    meanings: Sequence[str],
    asked: str,
    *,
    permutation: int | None = None,
) -> PromptTemplate:
    """One form: what it asks about, and the words and the meaning of each token."""
    kind = variant.removesuffix(OTHER)
    places = list(range(len(tokens)))
    if kind.endswith(INVERTED_SYMBOL):
        places = _inverted(one, places)
    spelled = kind.removesuffix(INVERTED_SYMBOL).removesuffix(INVERTED) == WORDS
    if spelled:
        listing = f"Options: {', '.join(words[i] for i in places)}." if one.listed else ""
    else:
        listing = "\n".join(
            SLOT.sub(lambda slot, i=i: tokens[i] if slot[1] == "token" else words[i], one.option)  # type: ignore[misc]
            for i in places
        )
    text = one.text
    if not listing:
        text = re.sub(r"{options}\n?", "", text)
    before, _, after = text.partition("{snippet}")
    slots = {"options": listing, "asked": asked}
    before, after = (SLOT.sub(lambda slot: slots[slot[1]], part) for part in (before, after))
    return PromptTemplate(
        template=name,
        variant=variant,
        before=before,
        after=after,
        answers=tuple(SLOT.sub(lambda _, t=token: t, one.answer) for token in tokens),  # type: ignore[misc]
        tokens=tuple(tokens),
        meanings=tuple(meanings),
        permutation=permutation,
    )


def _turned(values: Sequence[_T], by: int) -> list[_T]:
    """The same values, the first `by` of them last."""
    return [*values[by:], *values[:by]]


def _inverted(one: Template, values: Sequence[_T]) -> list[_T]:
    """Values of the answers in the places that they have in an inverted variant."""
    return _turned(values, 1) if one.inversion is None else [values[i] for i in one.inversion]


def _listed(slots: set[str]) -> str:
    return "it may have " + ", ".join(f"{{{slot}}}" for slot in sorted(slots))
