"""Questions and their answers in tokens."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.datasets import Prompt, PromptTemplate


@dataclass(frozen=True)
class Choice:
    """A question in tokens.

    Attributes:
        prompt: what comes before the answers; at least one token.
        answers: each of them.
        cut: whether the text had to be cut.
    """

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    cut: bool = False


@dataclass(frozen=True, eq=False)
class Choices:
    """All that a model is asked.

    Attributes:
        questions: in the order of the table.
        choices: the same in tokens.
        content_free: of every form in `questions` that is filled in with test rows, the same about texts that say
            nothing.
    """

    questions: tuple[Prompt, ...]
    choices: tuple[Choice, ...]
    content_free: dict[PromptTemplate, tuple[Choice, ...]]
