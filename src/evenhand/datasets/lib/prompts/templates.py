"""Templates of questions about texts, read from a YAML file and expanded to all their variants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from evenhand.datasets.lib.config import Field, Frozen, model_validator
from evenhand.datasets.lib.reading.files import local_path
from evenhand.datasets.lib.schema import PromptTemplate
from evenhand.errors import InputError, nearest
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.document import from_file
from evenhand.spec.yaml.tree import Origin

DEFAULT = Path(__file__).with_name("templates.yaml")
#: Sets of templates in the package besides the default, by the name that is given in place of a file.
SETS = {"paper": Path(__file__).with_name("templates_paper.yaml")}
WORDS = "words"
#: Suffixes of inverted variants: meanings move while tokens stay; both move together.
INVERTED, INVERTED_SYMBOL = "_inverted", "_inverted_symbol"
#: Suffix of variants that ask about the other meaning, for templates with `both`.
OTHER = "_other"
_T = TypeVar("_T")
#: A slot in braces, with its name.
SLOT = re.compile(r"{([^{}]*)}")


class Template(Frozen):
    """One question; `templates.yaml` documents each key."""

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
                raise ValueError(f"{where} has an unknown slot {{{unknown[0]}}}; {_list_slots(allowed)}")
            lacking = sorted(needed - set(slots))
            if lacking:
                raise ValueError(f"{where} has no slot {{{lacking[0]}}}; {_list_slots(allowed)}")
            twice = [slot for slot in set(slots) if slots.count(slot) > 1]
            if twice:
                raise ValueError(f"{where} has the slot {{{twice[0]}}} more than once")
        if ("asked" in SLOT.findall(self.text)) != (self.asked is not None):
            raise ValueError("asked: is needed with the slot {asked} in text, and only then")
        if self.asked is not None and (len(self.answers) != 2 or set(self.asked) != set(self.answers)):
            raise ValueError("asked: needs exactly two answers, and a wording for the meaning of each")
        if self.both and (self.asked is None or self.inversion is None):
            raise ValueError("both: is for templates with `asked` and `inversion`")
        places = list(range(len(self.answers)))
        if self.inversion is not None and (
            sorted(self.inversion) != places or list(self.inversion) == places
        ):
            raise ValueError(
                f"inversion: got {list(self.inversion)}; it must list the positions {places} in another order"
            )
        if len(set(self.answers.values())) < len(self.answers) or not all(
            word.strip() for word in self.answers.values()
        ):
            raise ValueError("answers: the words of all answers must differ, and none may be empty")
        if self.text != self.text.rstrip():
            raise ValueError("text: ends with a blank; blanks must begin the answer instead: ' {token}'")
        return self


class Templates(Frozen):
    """A file of templates."""

    symbols: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    templates: dict[str, Template] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough_symbols(self) -> Templates:
        most = max(self.templates.values(), key=lambda template: len(template.answers)).answers
        for name, signs in self.symbols.items():
            if name == WORDS or name.endswith((INVERTED, INVERTED_SYMBOL, OTHER)):
                raise ValueError(f"symbols: the name '{name}' is taken")
            if len(signs) < len(most) or len(set(signs)) < len(signs) or not all(s.strip() for s in signs):
                raise ValueError(
                    f"symbols: '{name}' must have {len(most)} different signs or more, as many as a template "
                    "has answers"
                )
        known = variant_names(self)
        for name, template in self.templates.items():
            strange = [variant for variant in template.variants or () if variant not in known]
            if strange:
                raise ValueError(
                    f"templates.{name}: unknown variant '{strange[0]}'; {nearest(strange[0], known)}"
                )
        return self


def read_templates(path: str | None) -> Templates:
    """Read templates.

    Args:
        path: a file, or the name of a set in the package; None reads the default set.

    Raises:
        InputError: every complaint about the file, with its line.
    """
    file = DEFAULT if path is None else SETS.get(path) or local_path("dataset.bias.templates", path)
    if not file.is_file():
        raise InputError(
            f"dataset.bias.templates '{path}': no file and no set of this name was found; give a file or the "
            f"set {' or '.join(repr(name) for name in SETS)}, or leave it out for the default set."
        )
    complaints = Complaints()
    templates = validated(Templates, from_file(file, Origin(str(file))), complaints)
    complaints.raise_if_any()
    assert templates is not None
    return templates


def variant_names(templates: Templates) -> tuple[str, ...]:
    """List the names of all variants."""
    names = (WORDS, *templates.symbols)
    plain = tuple(name + how for name in names for how in ("", INVERTED, INVERTED_SYMBOL))
    other = plain if any(template.both for template in templates.templates.values()) else ()
    return (*plain, *(name + OTHER for name in other))


def expand_templates(
    templates: Templates, names: Sequence[str] | None, variants: Sequence[str] | None, *, permutations: bool
) -> tuple[PromptTemplate, ...]:
    """Expand templates to their variants.

    Args:
        templates: the templates that were read.
        names: names of the templates to expand; None expands all.
        variants: variants to keep; None keeps all. A template has only some of them: `words_inverted` exists
            where a question asks about one of two meanings, and `words_inverted_symbol` where its answers are
            listed. A template with `variants` has no others.
        permutations: also rotate the answers of variants with signs to every position, for PriDe (Zheng et
            al. 2024, https://arxiv.org/abs/2309.03882).

    Raises:
        InputError: a template or a variant is unknown, or no template has one of the variants.
    """
    complaints = [
        f"dataset.bias.{key}: unknown {what} '{template}'; {nearest(template, list(known))}"
        for key, what, requested, known in (
            ("families", "template", names, tuple(templates.templates)),
            ("variants", "variant", variants, variant_names(templates)),
        )
        for template in requested or ()
        if template not in known
    ]
    if complaints:
        raise InputError(complaints)
    forms = [
        form
        for name, template in templates.templates.items()
        if names is None or name in names
        for form in _expand(name, template, templates, permutations=permutations)
        if variants is None or form.variant in variants
    ]
    if not forms:
        raise InputError("dataset.bias: no template has one of the variants; name others, or leave them out.")
    return tuple(forms)


def _expand(
    name: str, template: Template, templates: Templates, *, permutations: bool
) -> list[PromptTemplate]:
    """Expand one template."""
    meanings = list(template.answers)
    subjects = list(template.asked.values()) if template.asked else ["", ""]
    forms = _expand_for_meaning(
        name, template, templates, (meanings, subjects), "", permutations=permutations
    )
    if template.both:
        turned = (_rotate(meanings, 1), _rotate(subjects, 1))
        forms += _expand_for_meaning(name, template, templates, turned, OTHER, permutations=False)
    if template.variants is None:
        return forms
    return [form for form in forms if form.variant.removesuffix(OTHER) in template.variants]


def _expand_for_meaning(
    name: str,
    template: Template,
    templates: Templates,
    about: tuple[list[str], list[str]],
    suffix: str,
    *,
    permutations: bool,
) -> list[PromptTemplate]:
    """Expand one template for one subject of its question.

    Args:
        name: name of the template.
        template: the template.
        templates: all templates, with the signs of the variants.
        about: meanings of the answers, and subjects of the question, the subject to ask about first.
        suffix: suffix of the variants' names.
        permutations: also rotate answers with signs to every position.
    """
    meanings, (subject, other) = about[0], about[1][:2]
    words = list(template.answers.values())
    first = 0 if permutations else None
    asks_about_other = bool(template.asked) and template.inversion is None
    forms = [_make_variant(name, WORDS + suffix, template, words, words, meanings, subject)]
    if asks_about_other:
        forms.append(
            _make_variant(name, WORDS + INVERTED, template, words, words, _invert(template, meanings), other)
        )
    if template.listed and "{options}" in template.text:
        forms.append(
            _make_variant(name, WORDS + INVERTED_SYMBOL + suffix, template, words, words, meanings, subject)
        )
    if "{options}" not in template.text:
        return forms
    for kind, signs in templates.symbols.items():
        tokens = list(signs[: len(words)])
        forms.append(
            _make_variant(name, kind + suffix, template, tokens, words, meanings, subject, permutation=first)
        )
        moved, about_it = (words, other) if asks_about_other else (_invert(template, words), subject)
        inverted = _invert(template, meanings)
        forms.append(
            _make_variant(name, kind + INVERTED + suffix, template, tokens, moved, inverted, about_it)
        )
        forms.append(
            _make_variant(name, kind + INVERTED_SYMBOL + suffix, template, tokens, words, meanings, subject)
        )
        if permutations:
            forms += [
                _make_variant(
                    name,
                    kind,
                    template,
                    tokens,
                    _rotate(words, p),
                    _rotate(meanings, p),
                    subject,
                    permutation=p,
                )
                for p in range(1, len(words))
            ]
    return forms


def _make_variant(
    name: str,
    variant: str,
    template: Template,
    tokens: Sequence[str],
    words: Sequence[str],
    meanings: Sequence[str],
    subject: str,
    *,
    permutation: int | None = None,
) -> PromptTemplate:
    """Build one variant from the subject of its question, and the words and the meaning of each token."""
    kind = variant.removesuffix(OTHER)
    order = list(range(len(tokens)))
    if kind.endswith(INVERTED_SYMBOL):
        order = _invert(template, order)
    spelled = kind.removesuffix(INVERTED_SYMBOL).removesuffix(INVERTED) == WORDS
    if spelled:
        listing = f"Options: {', '.join(words[i] for i in order)}." if template.listed else ""
    else:
        listing = "\n".join(
            SLOT.sub(lambda slot, i=i: tokens[i] if slot[1] == "token" else words[i], template.option)  # type: ignore[misc]
            for i in order
        )
    text = template.text
    if not listing:
        text = re.sub(r"{options}\n?", "", text)
    before, _, after = text.partition("{snippet}")
    slots = {"options": listing, "asked": subject}
    before, after = (SLOT.sub(lambda slot: slots[slot[1]], part) for part in (before, after))
    return PromptTemplate(
        template=name,
        variant=variant,
        before=before,
        after=after,
        answers=tuple(SLOT.sub(lambda _, t=token: t, template.answer) for token in tokens),  # type: ignore[misc]
        tokens=tuple(tokens),
        meanings=tuple(meanings),
        permutation=permutation,
    )


def _rotate(values: Sequence[_T], by: int) -> list[_T]:
    """Rotate values: the first `by` of them become the last."""
    return [*values[by:], *values[:by]]


def _invert(template: Template, values: Sequence[_T]) -> list[_T]:
    """Put values of the answers in the order of an inverted variant."""
    return _rotate(values, 1) if template.inversion is None else [values[i] for i in template.inversion]


def _list_slots(slots: set[str]) -> str:
    return "it may have " + ", ".join(f"{{{slot}}}" for slot in sorted(slots))
