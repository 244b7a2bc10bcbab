"""The least number of groups that differ in one direction: closed testing over all sets of groups.

For a set of groups the hypothesis is that none of them is worse. All groups that are not worse form one such
set, which is rejected with a probability of at most the level. So with 1 - level no more groups are not worse
than the largest set has that is not rejected, and this holds among any selected groups, at once.

A set is rejected by one of two tests, at half of the level each. Groups are disjoint, so the rate over all
rows of a set is a mean of the groups' rates, and is worse only if that of a group is: *a set of groups is a
group*, and is compared like one, with its own variance over runs. The other test is the set's clearest group,
at the level divided by the set's size. Without the first test this is Holm's procedure.

Source: closed testing is Marcus, Peritz and Gabriel's (1976, Biometrika 63); the bound for selected
hypotheses is Goeman and Solari's (2011, Statistical Science 26).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.family import holm
from evenhand.judge.stats.moderated import RunCells
from evenhand.judge.stats.paired import ScorePaired
from evenhand.tables.schema import BoolArray, FloatArray

#: Groups up to which all sets are tested; there are 4,095 of twelve.
MAX_GROUPS = 12


def sets_of(groups: int) -> BoolArray:
    """[2^G - 1, G] all sets of groups but the empty one; the last is that of all groups."""
    code = np.arange(1, 2**groups)
    return np.asarray((code[:, None] >> np.arange(groups)) & 1 > 0)


def unite_cells(cells: RunCells, sets: BoolArray) -> RunCells:
    """Return the runs of all arms on the rows of each set of groups: a set is a column, and its group.

    Args:
        cells: the runs of the arms, with disjoint groups as columns.
        sets: [m, G] the groups of each set.
    """
    rows = sets @ cells.rows
    weight = np.where(sets, cells.rows, 0.0) / rows[:, None]
    values = [weight @ of_arm for of_arm in cells.values]
    flips, of_difference = (x @ (weight**2).T for x in (cells.flips, cells.flips_of_difference))
    groups = np.arange(len(rows))
    return RunCells(values, flips, rows, groups, cells.reference, cells.paired, of_difference)


def compare_sets(groups: ScorePaired, cells: RunCells | None, arm: int, sets: BoolArray) -> ScorePaired:
    """Compare an arm with the reference on all rows of each set of groups.

    Args:
        groups: [G] the comparisons of disjoint groups, whose rows are independent and have equal weights.
        cells: the runs of the arms, with the sets as columns; None where runs are too few.
        arm: of the cells.
        sets: [m, G] the groups of each set.
    """
    n = sets @ groups.n
    weight = np.where(sets, groups.n, 0.0) / n[:, None]
    united = ScorePaired(
        difference=weight @ groups.difference,
        absolute=weight @ groups.absolute,
        square=weight @ groups.square,
        n=n,
        variation=Variation(np.inf, np.zeros(len(n)), np.inf),
        better=sets @ groups.better,
        worse=sets @ groups.worse,
        pseudo_size=float(np.max(groups.pseudo_size)),
    )
    if cells is None:
        return united
    part = cells.differences(np.full(len(n), arm), np.arange(len(n)))
    rows = united.row_variance(float(cells.runs[[arm, cells.reference]].min()))
    return replace(united, variation=part.join(rows, np.full(len(n), np.inf)))


def all_groups(united: ScorePaired) -> ScorePaired:
    """[1] the comparison on the rows of all groups, from those of all sets."""
    moments = {
        f: getattr(united, f)[-1:] for f in ("difference", "absolute", "square", "n", "better", "worse")
    }
    columns = (np.broadcast_to(c, united.n.shape)[-1:] for c in united.variation.columns)
    return replace(united, **moments, variation=Variation(*columns))


def one_sided(difference: FloatArray, p_values: FloatArray, direction: int) -> FloatArray:
    """[k] one-sided p-values that the difference has a direction, from two-sided ones.

    Args:
        difference: [k].
        p_values: [k] two-sided.
        direction: +1 or -1.
    """
    return np.asarray(np.where(direction * difference > 0, p_values / 2, 1 - p_values / 2))


def count_selected(
    singles: FloatArray, rejected: BoolArray, sets: BoolArray, selected: BoolArray, level: float
) -> int:
    """Return the lower bound for the number of selected groups that differ.

    Args:
        singles: [G] one-sided p-values of the groups.
        rejected: [m] sets that are rejected at half of the level on all their rows.
        sets: [m, G] all sets of groups.
        selected: [G] groups, chosen in any way.
        level: of the statement.
    """
    clearest = np.where(sets, singles, 1.0).min(axis=1)
    left = ~(rejected | (clearest < level / 2 / sets.sum(axis=1)))
    return int(selected.sum() - (sets[left] & selected).sum(axis=1).max(initial=0))


def holm_selected(singles: FloatArray, selected: BoolArray, level: float) -> int:
    """Return the number of selected groups that Holm's procedure rejects, for groups that may overlap.

    Args:
        singles: [G] one-sided p-values of the groups.
        selected: [G] groups, chosen in any way.
        level: of the statement.
    """
    return int(np.sum((holm(singles) < level) & selected))
