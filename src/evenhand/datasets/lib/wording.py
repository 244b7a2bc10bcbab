"""How a text and its translation stand together: a prompt taken apart at its slots."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.datasets.lib.prompts.templates import SLOT

#: What stands between a text and its translation where a study says nothing.
SEPARATOR = "\n"


@dataclass(frozen=True)
class Wording:
    """What stands around a text and its translation; `Translations` says what each part is for."""

    separator: str = SEPARATOR
    prefix: str = ""
    blank: str = ""


def wording_of(prompt: str) -> Wording:
    """Take a prompt with the slots {text} and {translation} apart.

    Raises:
        ValueError: it has other slots, lacks one, or the translation cannot be written after all the rest.
    """
    slots = SLOT.findall(prompt)
    example = "'Turkish: {text} English: {translation}'"
    if slots != ["text", "translation"]:
        present = ", ".join(f"{{{slot}}}" for slot in slots) or "none"
        raise ValueError(
            f"prompt: got {prompt!r} with the slots {present}; it has {{text}} and then {{translation}}, "
            f"once each, such as {example}"
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
            f"prompt: got {prompt!r}; something besides blanks must stand between {{text}} and "
            f"{{translation}}, such as {example}"
        )
    return Wording(separator, prefix, between[len(separator) :])
