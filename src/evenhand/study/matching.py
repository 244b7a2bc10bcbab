"""Choose the sizes of arms that are matched by their number of trained parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evenhand.errors import Complaint, InputError, MissingExtraError
from evenhand.spec.plugins import DATASETS, plugin
from evenhand.spec.study import Arm, Dataset, Match, Model, Reached, Study
from evenhand.study.plan import job_of

if TYPE_CHECKING:
    from evenhand.finetune.estimate.match import ParameterCounter

#: Largest factor between a matched arm's number of parameters and its goal.
MAX_FACTOR = 1.5


def choose_sizes(study: Study) -> Study:
    """Choose the size option of every matched arm, for every model, and return the study with these values.

    Models have shapes but no weights here. A run's identity contains the chosen value as if it were written
    in the study.

    Raises:
        InputError: a goal cannot be approached within a factor of 1.5, a method does not fit, or the shape of
            a model is not available; all complaints together.
        MissingExtraError: the packages for training are not installed.
    """
    if all(arm.match is None or arm.match.reached for arm in study.arms):
        return study
    try:
        from evenhand.finetune.estimate.match import ParameterCounter  # noqa: PLC0415  (torch)
    except ImportError as error:
        raise MissingExtraError(
            f"match counts parameters with the packages for training ({error}): pip install 'evenhand[train]'"
        ) from None
    complaints: dict[str, None] = {}
    sizes: dict[str, list[Reached]] = {arm.name: [] for arm in study.arms}
    task = task_of(study.dataset)
    for model in study.models:
        try:
            counter = ParameterCounter(job_of(study, model, study.arms[0]).model, task)
        except InputError as error:
            complaints |= dict.fromkeys(error.complaints)
            continue
        for arm in study.arms:
            if arm.match is None:
                continue
            try:
                sizes[arm.name].append(_reach(study, model, arm, arm.match, counter))
            except InputError as error:
                complaints |= dict.fromkeys(_located(arm, error.complaints))
    if complaints:
        raise InputError(complaints)
    return study.model_copy(update={"arms": tuple(_sized(arm, sizes[arm.name]) for arm in study.arms)})


def rows_of_sizes(arms: Sequence[Arm], model: str) -> list[dict[str, Any]]:
    """List the matched arms on a model as rows: option, value, number of parameters, goal and their ratio."""
    return [
        {
            "arm": arm.name,
            "option": arm.match.option,
            "value": reached.value,
            "parameters": reached.parameters,
            "goal": reached.goal,
            "goal_arm": arm.match.parameters if isinstance(arm.match.parameters, str) else None,
            "ratio": reached.ratio,
        }
        for arm in arms
        if arm.match is not None
        for reached in arm.match.reached
        if reached.model == model
    ]


def sentence_of_size(row: Mapping[str, Any]) -> str:
    """Write how far a matched arm is from its goal."""
    of = f", that of {row['goal_arm']}" if row["goal_arm"] else ""
    return (
        f"{row['arm']} is matched by parameters: {row['option']} {row['value']} trains {row['parameters']:,} "
        f"besides the head; the goal is {row['goal']:,}{of} ({_difference(row['ratio'])})."
    )


def task_of(dataset: Dataset) -> str:
    """Return the task of a study: text, image, translation or language."""
    task = plugin(DATASETS, dataset.name).INFO.task
    if task == "either":
        return "text" if getattr(dataset.config, "text", None) is not None else "image"
    return str(task)


def _reach(study: Study, model: Model, arm: Arm, match: Match, counter: ParameterCounter) -> Reached:
    """Choose the size of an arm on one model.

    Raises:
        InputError: it cannot come near its goal.
    """
    goal = _goal(study, model, match.parameters, counter)
    value, reached = counter.nearest(job_of(study, model, arm), goal)
    size = Reached(model=model.label, value=value, parameters=max(reached, 1), goal=goal)
    ratio = max(size.ratio, 1 / size.ratio)
    if ratio > MAX_FACTOR:
        raise InputError(
            f"{arm.name} on '{model.name}': the goal is {goal:,} trained parameters besides the head, and "
            f"the nearest that it comes to by {match.option} ({value}) is {reached:,}, a factor of "
            f"{ratio:.2f} {'above' if size.ratio > 1 else 'below'}; matched arms come within a factor of "
            f"{MAX_FACTOR:g}. Give another goal, other targets or options of the method, or remove match."
        )
    _one_size(study, model, arm.with_option(match.option, value), counter.count)
    return size


def _goal(study: Study, model: Model, parameters: int | str, counter: ParameterCounter) -> int:
    """Return the number of parameters to reach: a number, or that of an arm.

    Raises:
        InputError: the arm trains nothing besides the head, or its trials differ in their numbers.
    """
    if isinstance(parameters, int):
        return parameters
    arm = next(arm for arm in study.arms if arm.name == parameters)
    _one_size(study, model, arm, counter.count)
    count = counter.count(job_of(study, model, _first(arm)))
    if not count:
        raise InputError(f"the arm '{parameters}' trains nothing besides the head on '{model.name}'.")
    return count


def _one_size(study: Study, model: Model, arm: Arm, count: Callable[[Any], int]) -> None:
    """Check that all trials of an arm have the same number of parameters.

    Raises:
        InputError: they differ.
    """
    counts = {count(job_of(study, model, arm.with_trial(trial))) for trial in arm.trials}
    if len(counts) > 1:
        raise InputError(
            f"{arm.name}: its trials differ in their number of trained parameters ({min(counts):,} to "
            f"{max(counts):,} on '{model.name}'), so that it has no single size; take the options that "
            "change it out of tune."
        )


def _first(arm: Arm) -> Arm:
    return arm.with_trial(arm.trials[0]) if arm.trials else arm


def _sized(arm: Arm, sizes: Sequence[Reached]) -> Arm:
    """Return an arm with its sizes; its own options are those for the first model."""
    if arm.match is None:
        return arm
    match = arm.match.model_copy(update={"reached": tuple(sizes)})
    return arm.model_copy(update={"match": match}).with_option(match.option, sizes[0].value)


def _located(arm: Arm, complaints: Sequence[str]) -> list[str]:
    """Add the place in the study to complaints about the size of an arm."""
    return [Complaint(what, "methods", arm.entry, "match", "parameters") for what in complaints]


def _difference(ratio: float) -> str:
    """Write a ratio as a difference in per cent."""
    if ratio == 1:
        return "the same"
    return f"{abs(ratio - 1):.1%} {'more' if ratio > 1 else 'less'}"
