"""Prompts for a trained model: templates filled in with test rows, and complete questions."""

from __future__ import annotations

from evenhand.datasets.lib.schema import Examples, Parts, Prompt


def build_prompts(examples: Examples, parts: Parts) -> list[Prompt]:
    """Fill each template with each of the first test rows, and append the complete questions.

    Args:
        examples: all rows.
        parts: their split; rows for training and validation are not used in prompts.
    """
    prompts = examples.prompts
    if prompts is None:
        return []
    rows = parts.test[: prompts.snippets].tolist()
    filled = [Prompt(examples.ids[r], str(examples.inputs[r]), form) for form in prompts.forms for r in rows]
    return [*filled, *prompts.questions]
