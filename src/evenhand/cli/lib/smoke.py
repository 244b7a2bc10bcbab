"""`evenhand run --smoke`: the same study, so small that it takes seconds and needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from evenhand.spec.base import Frozen
    from evenhand.spec.study import Arm, Dataset, Model, Study

#: Of a list; fewer where several lists are combined.
_MOST_VALUES, _MOST_COMBINED = 3, 2
_SEEDS = 2
_REFERENCES = 3
_LONGEST_NAME = 100
SUFFIX = "-smoke"


def smaller(study: Study) -> Study:
    """Make a study small: made-up rows, tiny stand-ins of its models, float32, 1 epoch, few seeds and values.

    Args:
        study: the real one.

    Returns:
        The same methods on the same families, under a name of its own.

    Raises:
        InputError: a model's family is not known, or has no stand-in; every complaint at once.
    """
    models, widths = _stand_ins(study.models[:_MOST_VALUES], task_of(study.dataset))
    width = min(widths, default=None)
    arms = tuple(_quick(arm, width) for arm in _few(study.arms, study.audit.reference))
    if len(arms) < len(study.arms):
        click.echo(f"{study.name}: {len(arms)} of {len(study.arms)} arms are tried out.", err=True)
    capped = [arm.name for arm in study.arms if width is not None and _rank(arm.config) > width]
    if set(capped) & {arm.name for arm in arms}:
        click.echo(f"{study.name}: ranks above {width}, the width of the stand-in, are {width}.", err=True)
    return study.model_copy(
        update={
            "name": study.name[: _LONGEST_NAME - len(SUFFIX)] + SUFFIX,
            "dataset": study.dataset.model_copy(update={"smoke": True}),
            "models": tuple(models),
            "arms": arms,
            "seeds": study.seeds[:_SEEDS],
            "privacy": study.privacy
            and study.privacy.model_copy(update={"references": min(study.privacy.references, _REFERENCES)}),
            # One pass per step: the made-up texts are short. Matrices this small take a CPU six times as
            # long in bfloat16.
            "training": study.training.model_copy(
                update={"micro_batch": study.training.batch_size, "precision": "float32"}
            ),
        }
    )


def task_of(dataset: Dataset) -> str:
    """What the models of a study learn."""
    from evenhand.spec.plugins import DATASETS, plugin  # noqa: PLC0415

    task = plugin(DATASETS, dataset.name).INFO.task
    if task == "either":
        return "text" if getattr(dataset.config, "text", None) is not None else "image"
    return str(task)


def _stand_ins(models: Sequence[Model], task: str) -> tuple[list[Model], list[int]]:
    """The models as stand-ins of their families, and the widths of these."""
    from evenhand.finetune import Model as Wanted  # noqa: PLC0415
    from evenhand.finetune.estimate.standin import declared_family, stand_in, width  # noqa: PLC0415
    from evenhand.spec.sections.models import builtin_models  # noqa: PLC0415

    made: list[Model] = []
    widths: list[int] = []
    complaints: list[str] = []
    for model in models:
        if model.name in builtin_models():
            options = {key: "none" if key == "pretraining" else v for key, v in model.options.items()}
            made.append(model.model_copy(update={"options": options}))
            continue
        try:
            family = declared_family(Wanted(model.name, model.options), task)
            made.append(model.model_copy(update={"name": str(stand_in(family, task)), "options": {}}))
            widths.append(width(family))
        except (InputError, UnknownNameError) as error:
            complaints += error.complaints
    if complaints:
        raise InputError(dict.fromkeys(complaints))
    return made, widths


def _few(arms: Sequence[Arm], reference: str) -> list[Arm]:
    """Of the arms that lists made, those of the first values of every list; the reference is always there."""
    kept = []
    names = [_block(arm) for arm in arms]
    swept = len({name for name in names if names.count(name) > 1})
    for arm in arms:
        block = [other for other in arms if _block(other) == _block(arm)]
        seen: dict[str, list[Any]] = {key: [] for key in _values(arm)}
        for other in block:
            for key, value in _values(other).items():
                if value not in seen[key]:
                    seen[key].append(value)
        lists = sum(len(values) > 1 for values in seen.values())
        most = _MOST_VALUES if lists < 2 and swept < 2 else _MOST_COMBINED
        first = all(value in seen[key][:most] for key, value in _values(arm).items())
        if first or arm.name == reference:
            kept.append(arm)
    return kept


def _block(arm: Arm) -> str:
    """The name under which a study file has an arm."""
    return arm.name.partition("[")[0]


def _values(arm: Arm) -> dict[str, Any]:
    """Everything that a list can vary."""
    rates = {"learning_rate": arm.learning_rate, "epochs": arm.epochs}
    return {**arm.config.model_dump(mode="json"), **rates}


def _quick(arm: Arm, width: int | None) -> Arm:
    """An arm that takes one epoch, with few trials, and ranks that mean something."""
    trials = tuple(
        trial.model_copy(update={"epochs": 1, "config": _capped(trial.config, width)})
        for trial in arm.trials[:_MOST_VALUES]
    )
    return arm.model_copy(update={"epochs": 1, "config": _capped(arm.config, width), "trials": trials})


def _rank(config: Frozen) -> int:
    """The rank of a method that has one, else 0."""
    return int(getattr(config, "rank", 0))


def _capped(config: Frozen, width: int | None) -> Frozen:
    """Options whose rank is at most a width."""
    if width is None or _rank(config) <= width:
        return config
    return config.model_copy(update={"rank": width})
