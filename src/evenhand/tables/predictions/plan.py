"""Resolve the schema that all tables share: arms and runs, classes, groups and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.errors import CallError, TableError
from evenhand.tables.groups import oversized_intersections
from evenhand.tables.predictions.classes import Classes, TableValues, resolve_classes
from evenhand.tables.predictions.scores import class_of_single, class_positions
from evenhand.tables.predictions.validate import ValidatedTable, group_columns
from evenhand.tables.schema import Columns
from evenhand.tables.values import in_order


@dataclass(frozen=True)
class Plan:
    """The schema that all tables share.

    Attributes:
        columns: how columns are to be read.
        classes: the classes.
        groups: group names of each partition column.
        members: columns of each membership pattern, in the order of the first table.
        places: the (arm, run) of each column `p0, p1, ...` of an example's row.
        scored: [places] True if the run has scores; all False if no scores are needed.
        by_id: True if all tables have ids, by which rows are paired and sorted.
        weight_shift: weights are multiplied by 2 to this power, so that they can be squared and summed.
    """

    columns: Columns
    classes: Classes
    groups: dict[str, list[str]]
    members: dict[str, tuple[str, ...]]
    places: tuple[tuple[str, str], ...]
    scored: tuple[bool, ...]
    by_id: bool
    weight_shift: int = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """All membership columns, each once."""
        return tuple(dict.fromkeys(name for names in self.members.values() for name in names))

    @property
    def shared(self) -> dict[str, str]:
        """Columns of the aligned table on which arms must agree, and their names in complaints."""
        named = {"label": f"label ('{self.columns.label}')"}
        named |= {f"g{i}": f"group ('{name}')" for i, name in enumerate(self.groups)}
        named |= {f"f{i}": f"group ('{name}')" for i, name in enumerate(self.flags)}
        if self.columns.weight is not None:
            named["w"] = f"weight ('{self.columns.weight}')"
        if self.columns.cluster is not None:
            named["cluster"] = f"cluster ('{self.columns.cluster}')"
        return named


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
    groups = {
        name: in_order(value for checked in tables for value in checked.groups[name].counts)
        for name in group_columns(columns)
    }
    complaints += oversized_intersections(columns, groups)
    flags = _flags(tables[0])
    for checked in tables[1:]:
        odd = ", ".join(sorted(set(_flags(checked)) ^ set(flags)))
        if odd:
            first = tables[0].table.source.title
            complaints.append(
                checked.table.say(f"--memberships matches other columns than in {first}: {odd}.")
            )
    arm_runs = list_arm_runs([_arm_runs(checked) for checked in tables])
    complaints += unlike_runs(arm_runs) if columns.resplit else []
    by_id = all(checked.has_id for checked in tables)
    if complaints or isinstance(classes, list):
        about_call = all(complaint.startswith("--") for complaint in complaints)
        raise CallError(complaints) if about_call else TableError(complaints)
    scored = tuple(
        need_scores and all(c.scores for c in tables if arm_run in _arm_runs(c)) for arm_run in arm_runs
    )
    return Plan(columns, classes, groups, tables[0].memberships, tuple(arm_runs), scored, by_id)


def _table_values(checked: ValidatedTable) -> TableValues:
    predictions = None if checked.predictions is None else checked.predictions.counts
    return TableValues(checked.table.source.title, checked.labels.counts, predictions, checked.scores)


def _complain_of_scores(tables: Sequence[ValidatedTable], classes: Classes) -> list[str]:
    """Complain of scores that are not one per class."""
    complaints = []
    for checked in tables:
        if checked.scores is None:
            continue
        if not checked.scores.single:
            positions = class_positions(checked.scores, classes.names, classes.positive)
            if isinstance(positions, str):
                complaints.append(checked.table.say(positions))
        elif classes.positive is not None:
            odd = class_of_single(checked.scores, classes.names, classes.positive)
            complaints += [checked.table.say(odd)] if odd else []
    return complaints


def _flags(checked: ValidatedTable) -> list[str]:
    """Membership columns in order."""
    return list(dict.fromkeys(name for names in checked.memberships.values() for name in names))


def _arm_runs(checked: ValidatedTable) -> list[tuple[str, str]]:
    """List the (arm, run) pairs of a table."""
    return [(arm, run) for _, _, arm, run in checked.pairs]


def unlike_runs(arm_runs: Sequence[tuple[str, str]]) -> list[str]:
    """Complain of arms whose runs have other names than the first arm's, since runs are paired by name."""
    runs: dict[str, list[str]] = {}
    for arm, run in arm_runs:
        runs.setdefault(arm, []).append(run)
    (first, expected), *others = runs.items()
    return [
        f"--resplit pairs the runs of all arms by name, but '{first}' has {', '.join(expected[:10])} and "
        f"'{arm}' has {', '.join(names[:10])}; name the column of runs with --run."
        for arm, names in others
        if set(names) != set(expected)
    ]


def list_arm_runs(pairs: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """List every (arm, run): arms in the order of the tables, then as numbers or text, and so are runs.

    Args:
        pairs: the arms and runs of each table.
    """
    arms: dict[str, dict[str, None]] = {}
    for table_pairs in pairs:
        for arm in in_order(arm for arm, _ in table_pairs):
            arms.setdefault(arm, {}).update(dict.fromkeys(in_order(r for a, r in table_pairs if a == arm)))
    return [(arm, run) for arm, runs in arms.items() for run in runs]
