"""Prompts and their answers as tokens."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.datasets import Prompt, PromptTemplate


@dataclass(frozen=True)
class Choice:
    """A prompt with its answers, as token ids.

    Attributes:
        prompt: tokens before the answers; at least one.
        answers: tokens of each answer.
        cut: True if the text of the prompt was truncated.
    """

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    cut: bool = False


@dataclass(frozen=True, eq=False)
class Choices:
    """All prompts of a run.

    Attributes:
        questions: prompts in the order of the table.
        choices: the same as tokens.
        content_free: for every template that is filled in with test rows, the same with content-free texts.
    """

    questions: tuple[Prompt, ...]
    choices: tuple[Choice, ...]
    content_free: dict[PromptTemplate, tuple[Choice, ...]]
