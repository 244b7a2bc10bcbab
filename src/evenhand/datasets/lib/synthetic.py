"""Shared parts of the synthetic datasets: groups, true classes, noisy labels, and known best accuracies.

Every row has one of two true classes and shows it by signals. The signals of a *plain* row agree with its
class. A *turned* row has, besides, a mark that inverts the meaning of its signals: a classifier that reads
the signals one by one, without the mark, is wrong on exactly these rows. `hard_groups` gives the share of
turned rows by group; reading signals and mark together needs capacity, so methods with less of it lose
accuracy on these groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from evenhand.datasets.lib.config import Field, Frozen, Seed, Share
from evenhand.errors import nearest
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: A rate below one half: labels that are wrong more often than right would define another class.
Noise = Annotated[float, Field(ge=0, lt=0.5)]
MAX_GROUPS = 8


class World(Frozen):
    """Options of every synthetic dataset.

    Attributes:
        rows: number of examples.
        shares: share of the rows by group; groups that are not named get equal parts of the rest.
        base_rates: share of the true positive class, for all groups or by group (others: 0.5).
        label_noise: share of labels that are flipped, for all groups or by group (others: 0).
        difficulty: from 0 (every signal agrees with the true class) to 1 (signals are uninformative).
        hard_groups: share of turned rows by group (others: 0).
        seed: another seed is another draw from the same distribution.
    """

    rows: Annotated[int, Field(ge=8, le=1_000_000)] = 2000
    shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    base_rates: Share | dict[str, Share] = 0.5
    label_noise: Noise | dict[str, Noise] = 0.0
    difficulty: Share = 0.1
    hard_groups: dict[str, Share] = Field(default_factory=dict)
    seed: Seed = 0


def check_groups(world: World, names: tuple[str, ...]) -> None:
    """Check that options name existing groups only, and that shares can sum to 1.

    Raises:
        ValueError: every complaint at once.
    """
    complaints = [
        f"{option}: '{name}' is not one of the groups; {nearest(name, names)}"
        for option in ("shares", "base_rates", "label_noise", "hard_groups")
        if isinstance(option_values := getattr(world, option), dict)
        for name in option_values
        if name not in names
    ]
    total = math.fsum(world.shares.values())
    every = set(world.shares) >= set(names)
    if every and abs(total - 1) > 1e-9:
        complaints.append(f"shares: they sum to {total:g}; shares of all groups must sum to 1")
    if not every and total >= 1:
        complaints.append(f"shares: they sum to {total:g}, which leaves nothing for the other groups")
    if complaints:
        raise ValueError("; ".join(complaints))


@dataclass(frozen=True)
class Truth:
    """Expected rates of a group, and the best accuracies against its (noisy) labels.

    Attributes:
        share: share of the rows.
        base_rate: share of the true positive class.
        positive: share of positive labels.
        best_accuracy: best accuracy of a classifier that reads signals and mark together.
        plain_accuracy: best accuracy of a classifier that reads the signals and not the mark.
    """

    share: float
    base_rate: float
    positive: float
    best_accuracy: float
    plain_accuracy: float


@dataclass(frozen=True)
class DrawnRows:
    """Drawn rows of a synthetic dataset, before texts are written or pictures painted.

    Attributes:
        group: [n] index of the group of each row.
        truth: [n] true class, 0 or 1.
        label: [n] true class after label noise.
        turned: [n] True where a mark inverts the signals.
        shown: [n, signals] value of each signal, 0 or 1.
    """

    group: IntArray
    truth: IntArray
    label: IntArray
    turned: BoolArray
    shown: IntArray


def values_by_group(names: tuple[str, ...], setting: float | Mapping[str, float], other: float) -> FloatArray:
    """Expand a setting, one number or numbers by group, to [groups]; `other` is for groups without one."""
    if isinstance(setting, Mapping):
        return np.array([setting.get(name, other) for name in names], np.float64)
    return np.full(len(names), setting, np.float64)


def group_shares(world: World, names: tuple[str, ...]) -> FloatArray:
    """Compute the share of the rows of every group: [groups], with sum 1."""
    rest = [name for name in names if name not in world.shares]
    left = 1 - math.fsum(world.shares.values())
    return np.array([world.shares.get(name, left / max(1, len(rest))) for name in names], np.float64)


def draw_rows(world: World, names: tuple[str, ...], rng: np.random.Generator, *, signals: int) -> DrawnRows:
    """Draw groups (exact shares, shuffled), true classes, labels and signals.

    Args:
        world: the options.
        names: names of the groups.
        rng: source of randomness.
        signals: number of signals per row.
    """
    group = rng.permutation(
        np.repeat(np.arange(len(names)), _rows_per_group(group_shares(world, names), world.rows))
    )
    n = world.rows
    truth = (rng.random(n) < values_by_group(names, world.base_rates, 0.5)[group]).astype(np.int64)
    flipped = rng.random(n) < values_by_group(names, world.label_noise, 0.0)[group]
    turned = rng.random(n) < values_by_group(names, world.hard_groups, 0.0)[group]
    agrees = rng.random((n, signals)) >= world.difficulty / 2
    implied = truth ^ turned
    shown = np.where(agrees, implied[:, None], 1 - implied[:, None])
    return DrawnRows(group, truth, np.where(flipped, 1 - truth, truth), turned, shown)


def compute_truth(world: World, names: tuple[str, ...], *, signals: int) -> dict[str, Truth]:
    """Compute the expected rates and best accuracies of every group exactly.

    The best classifier knows the group's base rate, reads `signals` signals, each of them correct with
    probability 1 - difficulty / 2, and decides by the posterior (Bayes' rule). With k signals for the
    positive class, the joint probabilities of both classes are binomial terms, and their maximum is its
    accuracy. A classifier that ignores the mark reads turned rows with the signals' meaning inverted.
    """
    truths = {}
    right = 1 - world.difficulty / 2
    columns = (
        group_shares(world, names),
        values_by_group(names, world.base_rates, 0.5),
        values_by_group(names, world.label_noise, 0.0),
        values_by_group(names, world.hard_groups, 0.0),
    )
    for name, share, base, noise, hard in zip(names, *(c.tolist() for c in columns), strict=True):
        best = plain = 0.0
        for k in range(signals + 1):
            ways = math.comb(signals, k)
            yes = base * ways * right**k * (1 - right) ** (signals - k)
            no = (1 - base) * ways * (1 - right) ** k * right ** (signals - k)
            best += max(yes, no)
            turned_yes = base * ways * (1 - right) ** k * right ** (signals - k)
            turned_no = (1 - base) * ways * right**k * (1 - right) ** (signals - k)
            predicts_yes = yes >= no
            plain += (1 - hard) * max(yes, no) + hard * (turned_yes if predicts_yes else turned_no)
        noisy = [value * (1 - noise) + (1 - value) * noise for value in (base, best, plain)]
        truths[name] = Truth(share, base, *noisy)
    return truths


def _rows_per_group(group_shares: FloatArray, rows: int) -> IntArray:
    """Round shares [groups] to integers that sum to `rows` (largest remainder method)."""
    exact = group_shares * rows
    # The small addend keeps products such as 0.29 * 100 = 28.999999999999996 from losing a row.
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: rows - int(counts.sum())]] += 1
    return counts
