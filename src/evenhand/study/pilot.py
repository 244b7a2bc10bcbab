"""Assumed pilots of a study that has not run: the sizes of its groups are read, variances are assumed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenhand.errors import CallError
from evenhand.judge.planning.assumed import ROWS_BEHIND, Assumptions, GroupSize, assume_pilot
from evenhand.judge.planning.forecast import Pilot
from evenhand.spec.study import Study
from evenhand.study.data import Loaded, load
from evenhand.study.results.document import settings_of

PILOT = "run a pilot of a few seeds, and plan from its result."

#: Tasks whose answers are right or wrong.
TASKS = ("text", "image")


def assume_pilots(study: Study, assumptions: Assumptions) -> list[Pilot]:
    """Build a pilot for each model of a study, from its rows, arms and seeds, and from assumed variances.

    Args:
        study: the study.
        assumptions: the variances.

    Raises:
        InputError: the rows cannot be loaded, or nothing of the study can be planned without a pilot.
    """
    settings = settings_of(study.audit)
    if not set(settings.declared) & set(ROWS_BEHIND):
        raise CallError(
            f"{study.name}: none of its primary metrics ({', '.join(settings.declared)}) can be planned from "
            f"assumptions, only {', '.join(ROWS_BEHIND)}; {PILOT}"
        )
    names = [arm.name for arm in study.arms]
    candidates = [name for name in names if name != study.audit.reference]
    if not candidates:
        raise CallError(f"{study.name}: it has one arm, so nothing is compared; give it a second method.")
    loaded = load(study.dataset, study.seeds if study.resplit else ())
    if loaded.examples.task not in TASKS:
        raise CallError(
            f"{study.name}: the task {loaded.examples.task} cannot be planned from assumptions; {PILOT}"
        )
    if len(loaded.examples.classes) > 2:
        # Rates of single classes need the label of every row, which the sizes below do not have.
        settings = replace(settings, primary=("accuracy",))
    groups = _count_groups(study, loaded)
    return [
        assume_pilot(model.label, candidates, groups, len(study.seeds), settings, assumptions)
        for model in study.models
    ]


def _count_groups(study: Study, loaded: Loaded) -> list[GroupSize]:
    """Count the test rows of every group that is judged."""
    examples = loaded.examples
    test = next(iter(loaded.splits.values())).parts.test
    positive = examples.labels[test] == len(examples.classes) - 1
    by = study.audit.by
    sizes = []
    for attribute in examples.attributes:
        if by is not None and attribute.name not in by:
            continue
        judged = attribute.at(test)
        for index, name in enumerate(judged.groups):
            inside = judged.in_group(index)
            sizes.append(GroupSize(judged.name, name, int(inside.sum()), int(np.sum(inside & positive))))
    return sizes
