"""What a model is asked: forms filled in with rows that it has not learnt from, and questions as they are."""

from __future__ import annotations

from evenhand.datasets.lib.schema import Examples, Parts, Prompt


def build_prompts(examples: Examples, parts: Parts) -> list[Prompt]:
    """List the questions: each form about each of the first test rows, then those that stand for themselves.

    Args:
        examples: all rows.
        parts: their split. No question is about a row that is trained or validated on.
    """
    wanted = examples.asked
    if wanted is None:
        return []
    rows = parts.test[: wanted.snippets].tolist()
    filled = [Prompt(examples.ids[r], str(examples.inputs[r]), form) for form in wanted.forms for r in rows]
    return [*filled, *wanted.questions]
