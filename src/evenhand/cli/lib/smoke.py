"""`evenhand run --smoke`: a small version of the study that takes seconds and needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from evenhand.spec.base import Frozen
    from evenhand.spec.study import Arm, Model, Study

#: Values of one list; fewer when several lists are combined.
_MAX_VALUES, _MAX_COMBINED_VALUES = 3, 2
_MAX_SEEDS = 2
#: With more arms than this, each is tried with one trial and one seed.
_MANY_ARMS = 8
_MAX_REFERENCES = 3
_MAX_NAME_LENGTH = 100
SUFFIX = "-smoke"


def shrink_study(study: Study) -> Study:
    """Shrink a study: made-up rows, tiny stand-ins for its models, float32, 1 epoch, few seeds and values.

    Args:
        study: the full study.

    Returns:
        The same methods on the same model families, under its own name.

    Raises:
        InputError: a model's family is unknown or has no stand-in; all complaints together.
    """
    from evenhand.study.matching import task_of  # noqa: PLC0415  (numpy)

    study = _without_match(_without_ready_arms(study))
    models, widths = _stand_ins(study.models[:_MAX_VALUES], task_of(study.dataset))
    width = min(widths, default=None)
    selected = _select_arms(study.arms, study.audit.reference)
    many = len(selected) > _MANY_ARMS
    trials, seeds = (1, 1) if many else (_MAX_VALUES, _MAX_SEEDS)
    arms = tuple(_shorten(arm, width, trials) for arm in selected)
    if len(arms) < len(study.arms):
        click.echo(f"{study.name}: {len(arms)} of {len(study.arms)} arms are tried.", err=True)
    capped = [arm.name for arm in study.arms if width is not None and _rank(arm.config) > width]
    if set(capped) & {arm.name for arm in arms}:
        click.echo(
            f"{study.name}: ranks above {width}, the width of the stand-in, are reduced to {width}.", err=True
        )
    privacy = study.privacy
    if privacy is not None:
        references = min(privacy.references, _MAX_REFERENCES)
        privacy = privacy.model_copy(update={"references": references})
    return study.model_copy(
        update={
            "name": study.name[: _MAX_NAME_LENGTH - len(SUFFIX)] + SUFFIX,
            "dataset": study.dataset.model_copy(update={"smoke": True}),
            "models": tuple(models),
            "arms": arms,
            "seeds": study.seeds[:seeds],
            "privacy": privacy,
            # One forward pass per step: the made-up texts are short. On a CPU, matrices this small take
            # six times as long in bfloat16.
            "training": study.training.model_copy(
                update={"micro_batch": study.training.batch_size, "precision": "float32"}
            ),
        }
    )


def _without_ready_arms(study: Study) -> Study:
    """Leave out the arms of models that exist already: made-up rows would say nothing about them."""
    from evenhand.spec.sections.existing import EXISTING  # noqa: PLC0415

    ready = [arm.name for arm in study.arms if arm.method == EXISTING]
    if not ready:
        return study
    if study.audit.reference in ready:
        raise InputError(
            f"{study.name}: the reference, {study.audit.reference}, is a model that exists already, and a "
            "smoke run trains tiny stand-ins on made-up rows; give another audit.reference to try the study."
        )
    click.echo(f"{study.name}: {', '.join(ready)}: existing models are left out of a smoke run.", err=True)
    return study.model_copy(update={"arms": tuple(arm for arm in study.arms if arm.method != EXISTING)})


def _without_match(study: Study) -> Study:
    """Leave the sizes of matched arms at their defaults: a stand-in has too few parameters for most goals."""
    matched = [arm.name for arm in study.arms if arm.match is not None]
    if matched:
        click.echo(
            f"{study.name}: {', '.join(matched)}: match is left out of a smoke run: its models are tiny.",
            err=True,
        )
    return study.model_copy(
        update={"arms": tuple(arm.model_copy(update={"match": None}) for arm in study.arms)}
    )


def _stand_ins(models: Sequence[Model], task: str) -> tuple[list[Model], list[int]]:
    """Replace models by stand-ins for their families; return these and their widths."""
    from evenhand.finetune import Model as BaseModel  # noqa: PLC0415
    from evenhand.finetune.estimate.standin import declared_family, stand_in, width  # noqa: PLC0415
    from evenhand.spec.sections.models import builtin_models  # noqa: PLC0415

    stand_ins: list[Model] = []
    widths: list[int] = []
    complaints: list[str] = []
    for model in models:
        if model.name in builtin_models():
            options = {key: "none" if key == "pretraining" else v for key, v in model.options.items()}
            stand_ins.append(model.model_copy(update={"options": options}))
            continue
        try:
            family = declared_family(BaseModel(model.name, model.options), task)
            stand_ins.append(model.model_copy(update={"name": str(stand_in(family, task)), "options": {}}))
            widths.append(width(family))
        except (InputError, UnknownNameError) as error:
            complaints += error.complaints
    if complaints:
        raise InputError(dict.fromkeys(complaints))
    return stand_ins, widths


def _select_arms(arms: Sequence[Arm], reference: str) -> list[Arm]:
    """Select the arms with the first values of every list; the reference is always included."""
    selected = []
    names = [arm.entry for arm in arms]
    swept = len({name for name in names if names.count(name) > 1})
    for arm in arms:
        block = [other for other in arms if other.entry == arm.entry]
        swept_values: dict[str, list[Any]] = {key: [] for key in arm.options}
        for other in block:
            for key, value in other.options.items():
                if value not in swept_values[key]:
                    swept_values[key].append(value)
        lists = sum(len(values) > 1 for values in swept_values.values())
        most = _MAX_VALUES if lists < 2 and swept < 2 else _MAX_COMBINED_VALUES
        first = all(value in swept_values[key][:most] for key, value in arm.options.items())
        if first or arm.name == reference:
            selected.append(arm)
    return selected


def _shorten(arm: Arm, width: int | None, most_trials: int) -> Arm:
    """Limit an arm to one epoch, a few trials, and ranks up to the width of the stand-in."""
    trials = tuple(
        trial.model_copy(update={"epochs": 1, "config": _cap_rank(trial.config, width)})
        for trial in arm.trials[:most_trials]
    )
    return arm.model_copy(update={"epochs": 1, "config": _cap_rank(arm.config, width), "trials": trials})


def _rank(config: Frozen) -> int:
    """Return the rank of a method, or 0 if it has none."""
    return int(getattr(config, "rank", 0))


def _cap_rank(config: Frozen, width: int | None) -> Frozen:
    """Limit the rank in a method's options to a width."""
    if width is None or _rank(config) <= width:
        return config
    return config.model_copy(update={"rank": width})
