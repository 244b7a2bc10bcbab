"""Sizes of methods: the value of an option whose number of trained parameters is nearest to a goal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Job, Model
from evenhand.finetune.estimate.meta import MetaModel, build_meta_model
from evenhand.finetune.methods import _peft
from evenhand.finetune.modeling.adapt import METHODS
from evenhand.finetune.modeling.checkpoint import is_copied_module
from evenhand.finetune.modeling.families import GENERATIVE_TASKS

#: Largest factor between two indices that are tried one after the other.
_LONGEST_STEP = 64
#: Tokens of a text; they have no effect on counts.
_TOKENS = 8


class ParameterCounter:
    """Counts the trained parameters of methods on one model, which has shapes but no weights."""

    def __init__(self, model: Model, task: str) -> None:
        """Build the model; parameters of its head are not counted, so the number of classes does not matter.

        Raises:
            InputError: the shape of the model is not available, or it is not for the task.
        """
        classes = 0 if task in GENERATIVE_TASKS else 2
        self._meta: MetaModel = build_meta_model(model, task, classes, _TOKENS, traced=False)
        self._counts: dict[str, int] = {}

    def count(self, job: Job) -> int:
        """Count the trained parameters of a job's adapted model, without those of its head.

        Raises:
            InputError: the method does not fit the model.
        """
        key = repr((job.method, sorted(job.options.items())))
        if key not in self._counts:
            if complaints := self._meta.misfits(job, weights=False):
                raise InputError(complaints)
            self._counts[key] = self._count(job)
        return self._counts[key]

    def nearest(self, job: Job, goal: int) -> tuple[int | float, int]:
        """Find the value of the method's size option whose count is nearest to a goal, as a ratio.

        Args:
            job: the method with its other options.
            goal: number of trained parameters without those of the head.

        Returns:
            The value, and its number of parameters.

        Raises:
            InputError: the method does not fit the model.
        """
        option = registry.load(METHODS, job.method).INFO.size
        values = self._values(job)

        def count(value: float) -> int:
            return self.count(replace(job, options={**job.options, option: value}))

        value = nearest_value(values, count, goal)
        return value, count(value)

    def _values(self, job: Job) -> Sequence[int | float]:
        """Return the values of the size option that fit the model, in order."""
        method = registry.load(METHODS, job.method)
        model, roles, config = self._meta.model, self._meta.roles, method.Config(**job.options)
        try:
            values: Sequence[int | float] = (
                method.sizes(model, roles, config)
                if hasattr(method, "sizes")
                else range(1, _peft.narrowest(model, roles, config) + 1)
            )
        except InputError as error:  # a role that the model lacks
            raise InputError(f"{job.arm}: {what}" for what in error.complaints) from None
        if not values:
            raise InputError(
                f"{job.arm}: no value of {method.INFO.size} fits the layers of '{job.model.name}'; choose "
                "other targets, or remove match."
            )
        return values

    def _count(self, job: Job) -> int:
        with torch.random.fork_rng(devices=[]):  # a random choice of layers, of which only the number counts
            torch.manual_seed(job.seed)
            model = self._meta.adapted(job)
        head = tuple(f"{part}." for part in self._meta.roles.head)
        return sum(
            p.numel()
            for name, p in model.named_parameters()
            if p.requires_grad and not is_copied_module(name) and not (head and name.startswith(head))
        )


def nearest_value(values: Sequence[float], count: Callable[[float], int], goal: int) -> int | float:
    """Search an ordered sequence for the value whose count is nearest to a goal, as a ratio.

    The count grows, or falls, along the values. Values are counted from the first one on, because a count of
    millions of entries takes long, in steps that interpolation suggests.

    Args:
        values: at least one.
        count: number of parameters of a value.
        goal: above 0.

    Returns:
        The value; of two that are equally near, the one with the smaller count.
    """
    last = len(values) - 1
    if last == 0:
        return values[0]

    def distance(index: int) -> tuple[float, int]:
        n = count(values[index])
        return max(n, goal) / max(min(n, goal), 1), n

    def between(low: int, high: int) -> int:
        """Interpolate the index at which the goal is reached."""
        at_low, at_high = count(values[low]), count(values[high])
        slope = (at_high - at_low) / (high - low)
        return low + math.ceil((goal - at_low) / slope) if slope else 2 * high

    rising = count(values[1]) >= count(values[0])
    low, high = 0, 1
    while high < last and (count(values[high]) < goal) == rising:
        low, high = high, min(last, max(high + 1, min(between(low, high), _LONGEST_STEP * high)))
    interpolate = True
    while high - low > 1:
        middle = between(low, high) if interpolate else (low + high) // 2
        middle, interpolate = min(max(middle, low + 1), high - 1), not interpolate
        low, high = (middle, high) if (count(values[middle]) < goal) == rising else (low, middle)
    best = min(range(max(0, low - 1), min(last, high + 1) + 1), key=distance)
    return values[_first_with_count(values, count, best)] if rising else values[best]


def _first_with_count(values: Sequence[float], count: Callable[[float], int], index: int) -> int:
    """Return the first index whose count is that of another: a rank above a width may add nothing."""
    n, low = count(values[index]), -1
    if index == 0 or count(values[index - 1]) < n:
        return index
    while index - low > 1:
        middle = (low + index) // 2
        low, index = (middle, index) if count(values[middle]) < n else (low, middle)
    return index
