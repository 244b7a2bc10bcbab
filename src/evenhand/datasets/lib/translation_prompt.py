"""Prompts of translation tasks, parsed at their slots."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.datasets.lib.prompts.templates import SLOT

#: Default text between a source text and its translation.
SEPARATOR = "\n"


@dataclass(frozen=True)
class TranslationPrompt:
    """Text around a source text and its translation; `Translations` documents each part."""

    separator: str = SEPARATOR
    prefix: str = ""
    blank: str = ""


def parse_prompt(prompt: str) -> TranslationPrompt:
    """Parse a prompt with the slots {text} and {translation}.

    Raises:
        ValueError: the slots are not {text} and then {translation}, once each; text follows the translation;
            or nothing but blanks is between the two.
    """
    slots = SLOT.findall(prompt)
    example = "'Turkish: {text} English: {translation}'"
    if slots != ["text", "translation"]:
        present = ", ".join(f"{{{slot}}}" for slot in slots) or "none"
        raise ValueError(
            f"prompt: got {prompt!r} with the slots {present}; it must have {{text}} and then "
            f"{{translation}}, once each, such as {example}"
        )
    prefix, rest = prompt.split("{text}")
    between, after = rest.split("{translation}")
    if after:
        raise ValueError(
            f"prompt: got {prompt!r}; nothing may follow {{translation}}, which a model writes, such as "
            f"{example}"
        )
    separator = between.rstrip(" ")
    if not separator:
        raise ValueError(
            f"prompt: got {prompt!r}; text other than blanks must separate {{text}} and "
            f"{{translation}}, such as {example}"
        )
    return TranslationPrompt(separator, prefix, between[len(separator) :])
