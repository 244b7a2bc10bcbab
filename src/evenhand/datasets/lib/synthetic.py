"""What the procedural worlds share: who is in which group, what is true, what the labels say.

Every row has one of two truths and shows it by signals. A *plain* row's signals agree with its truth. A
*turned* row carries, besides, a mark that turns the meaning of its signals around: whoever reads signals one
by one, without the mark, is wrong on exactly these rows. `hard_groups` says how many rows of a group are
turned; reading both together needs capacity, so methods with less of it lose on these groups.
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

#: A rate below one half: labels that are wrong more often than right would be other labels.
Noise = Annotated[float, Field(ge=0, lt=0.5)]
MOST_GROUPS = 8


class World(Frozen):
    """Options of every procedural world.

    Attributes:
        rows: how many examples.
        shares: share of the rows by group; groups that are not named get equal parts of the rest.
        base_rates: share of positive truths, for all groups or by group (others: 0.5).
        label_noise: share of labels that are flipped, for all groups or by group (others: 0).
        difficulty: from 0 (every signal agrees with the truth) to 1 (signals say nothing).
        hard_groups: share of turned rows by group (others: 0).
        seed: another seed is another draw from the same world.
    """

    rows: Annotated[int, Field(ge=8, le=1_000_000)] = 2000
    shares: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    base_rates: Share | dict[str, Share] = 0.5
    label_noise: Noise | dict[str, Noise] = 0.0
    difficulty: Share = 0.1
    hard_groups: dict[str, Share] = Field(default_factory=dict)
    seed: Seed = 0


def refuse(world: World, names: tuple[str, ...]) -> None:
    """Complain of options that name other groups than these, or whose shares cannot be.

    Raises:
        ValueError: every complaint at once.
    """
    complaints = [
        f"{option}: '{name}' is none of the groups; {nearest(name, names)}"
        for option in ("shares", "base_rates", "label_noise", "hard_groups")
        if isinstance(given := getattr(world, option), dict)
        for name in given
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
    """What the best readers of a group's rows reach, in expectation, against its (noisy) labels.

    Attributes:
        share: of the rows.
        base_rate: share of positive truths.
        positive: share of positive labels.
        best_accuracy: who reads signals and mark together.
        plain_accuracy: who reads signals and not the mark.
    """

    share: float
    base_rate: float
    positive: float
    best_accuracy: float
    plain_accuracy: float


@dataclass(frozen=True)
class Drawn:
    """The rows of a world before they are written or painted.

    Attributes:
        group: [n] group of each row.
        truth: [n] 0 or 1.
        label: [n] truth after noise.
        turned: [n] whether a mark turns the signals around.
        shown: [n, signals] what each signal says: 0 or 1.
    """

    group: IntArray
    truth: IntArray
    label: IntArray
    turned: BoolArray
    shown: IntArray


def by_group(names: tuple[str, ...], given: float | Mapping[str, float], other: float) -> FloatArray:
    """[groups] a number for every group."""
    if isinstance(given, Mapping):
        return np.array([given.get(name, other) for name in names], np.float64)
    return np.full(len(names), given, np.float64)


def shares(world: World, names: tuple[str, ...]) -> FloatArray:
    """[groups] share of the rows of every group; sums to 1."""
    rest = [name for name in names if name not in world.shares]
    left = 1 - math.fsum(world.shares.values())
    return np.array([world.shares.get(name, left / max(1, len(rest))) for name in names], np.float64)


def draw(world: World, names: tuple[str, ...], rng: np.random.Generator, *, signals: int) -> Drawn:
    """Draw groups (exact shares, shuffled), truths, labels and signals.

    Args:
        world: the options.
        names: of the groups.
        rng: source of randomness.
        signals: how many signals a row shows.
    """
    group = rng.permutation(np.repeat(np.arange(len(names)), _quotas(shares(world, names), world.rows)))
    n = world.rows
    truth = (rng.random(n) < by_group(names, world.base_rates, 0.5)[group]).astype(np.int64)
    flipped = rng.random(n) < by_group(names, world.label_noise, 0.0)[group]
    turned = rng.random(n) < by_group(names, world.hard_groups, 0.0)[group]
    agrees = rng.random((n, signals)) >= world.difficulty / 2
    said = truth ^ turned
    shown = np.where(agrees, said[:, None], 1 - said[:, None])
    return Drawn(group, truth, np.where(flipped, 1 - truth, truth), turned, shown)


def truth_of(world: World, names: tuple[str, ...], *, signals: int) -> dict[str, Truth]:
    """What is true of every group, by arithmetic.

    A reader of `signals` signals, each right with probability 1 - difficulty / 2, who knows the group's base
    rate, decides by the posterior; turned rows are read the other way round by whoever misses the mark.
    """
    told = {}
    right = 1 - world.difficulty / 2
    columns = (
        shares(world, names),
        by_group(names, world.base_rates, 0.5),
        by_group(names, world.label_noise, 0.0),
        by_group(names, world.hard_groups, 0.0),
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
            said_yes = yes >= no
            plain += (1 - hard) * max(yes, no) + hard * (turned_yes if said_yes else turned_no)
        noisy = [value * (1 - noise) + (1 - value) * noise for value in (base, best, plain)]
        told[name] = Truth(share, base, *noisy)
    return told


def _quotas(wanted: FloatArray, rows: int) -> IntArray:
    """[groups] whole numbers of rows that sum to `rows`, nearest to the shares (largest remainders)."""
    exact = wanted * rows
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: rows - int(counts.sum())]] += 1
    return counts
