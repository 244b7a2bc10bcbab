"""Resolve the schema that all tables share: arms and runs, classes, groups and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.errors import CallError, TableError
from evenhand.tables.predictions.classes import Classes, TableValues, resolve_classes
from evenhand.tables.predictions.scores import class_of_single, class_positions
from evenhand.tables.predictions.validate import ValidatedTable
from evenhand.tables.reader.runs import list_arm_runs, unlike_runs
from evenhand.tables.reader.shared import SharedGroups, share_groups
from evenhand.tables.schema import ArmRun, Columns


@dataclass(frozen=True)
class Plan:
    """The schema that all tables share.

    Attributes:
        columns: how columns are to be read.
        classes: the classes.
        groups: the groups.
        arm_runs: the run of each column `p0, p1, ...` of an example's row.
        scored: [runs] True if the run has scores; all False if no scores are needed.
        by_id: True if all tables have ids, by which rows are paired and sorted.
        weight_shift: weights are multiplied by 2 to this power, so that they can be squared and summed.
    """

    columns: Columns
    classes: Classes
    groups: SharedGroups
    arm_runs: tuple[ArmRun, ...]
    scored: tuple[bool, ...]
    by_id: bool
    weight_shift: int = 0

    @property
    def shared(self) -> dict[str, str]:
        """Columns of the aligned table on which arms must agree, and their names in complaints."""
        named = {"label": f"label ('{self.columns.label}')"}
        named |= {name: f"group ('{title}')" for name, title in self.groups.titles.items()}
        if self.columns.weight is not None:
            named["w"] = f"weight ('{self.columns.weight}')"
        if self.columns.cluster is not None:
            named["cluster"] = f"cluster ('{self.columns.cluster}')"
        return named

    def text_of(self, name: str, value: str) -> str:
        """Return the text of a value of a shared column, for complaints."""
        if name == "label":
            return self.classes.names[int(value)]
        if name == "w":
            return repr(math.ldexp(float(value), -self.weight_shift)).removesuffix(".0")
        return self.groups.text_of(name, value)


def resolve_schema(
    tables: Sequence[ValidatedTable], columns: Columns, *, need_scores: bool, class_names: Sequence[str] = ()
) -> Plan:
    """Resolve the common schema of the tables.

    Args:
        tables: validated tables.
        columns: how their columns are to be read.
        need_scores: True if a metric takes scores.
        class_names: names of the classes, where tables hold their numbers from 0; else empty.

    Raises:
        CallError: options do not fit the tables, for example the positive class.
        TableError: the tables disagree.
    """
    classes = resolve_classes([_table_values(checked) for checked in tables], columns.positive, class_names)
    complaints = list(classes) if isinstance(classes, list) else _complain_of_scores(tables, classes)
    selected = [checked.selected for checked in tables]
    groups, more = share_groups(selected, columns)
    arm_runs = list_arm_runs([table.runs for table in selected])
    complaints += more + (unlike_runs(arm_runs) if columns.resplit else [])
    by_id = all(checked.has_id for checked in tables)
    if complaints or isinstance(classes, list):
        about_call = all(complaint.startswith("--") for complaint in complaints)
        raise CallError(complaints) if about_call else TableError(complaints)
    unscored = {run.name for checked in tables if not checked.scores for run in checked.selected.runs}
    scored = tuple(need_scores and name not in unscored for name in arm_runs)
    return Plan(columns, classes, groups, arm_runs, scored, by_id)


def _table_values(checked: ValidatedTable) -> TableValues:
    predictions = None if checked.predictions is None else checked.predictions.counts
    return TableValues(checked.selected.title, checked.labels.counts, predictions, checked.scores)


def _complain_of_scores(tables: Sequence[ValidatedTable], classes: Classes) -> list[str]:
    """Complain of scores that are not one per class."""
    complaints = []
    for checked in tables:
        if checked.scores is None:
            continue
        if not checked.scores.single:
            positions = class_positions(checked.scores, classes.names, classes.positive)
            if isinstance(positions, str):
                complaints.append(checked.table.complaint(positions))
        elif classes.positive is not None:
            odd = class_of_single(checked.scores, classes.names, classes.positive)
            complaints += [checked.table.complaint(odd)] if odd else []
    return complaints
