"""Draws for membership inference: random halves, and the rows that are attacked."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand.datasets import Parts, attack_rows, half, pool, split

IDS = [f"row {i}" for i in range(301)]
ROWS = np.arange(7, 300)


def drawn(count, rows=ROWS, ids=IDS, seed=13):
    """[halves, n] which rows are in which half."""
    found = np.zeros((count, len(ids)), bool)
    for number in range(count):
        found[number, half(ids, rows, seed=seed, number=number)] = True
    return found


@pytest.mark.parametrize("count", [2, 16])
def test_every_row_is_in_half_of_the_halves(count):
    found = drawn(count)
    assert (found[:, ROWS].sum(0) == count / 2).all()
    assert not np.delete(found, ROWS, axis=1).any()
    assert {int(n) for n in found.sum(1)} == {147, 146}
    assert (drawn(count + 1)[:, ROWS].sum(0) - count / 2 >= 0).all()


def test_pairs_are_independent_of_each_other():
    """Rows of one half are in a half of another pair as often as chance has it: 73.2, deviation 4.3."""
    found = drawn(40)[::2].astype(int)
    both = found @ found.T
    off = both[~np.eye(len(both), dtype=bool)]
    expected = 147 * 147 / 293
    deviation = np.sqrt(147 * 147 * 146 * 146 / (293**2 * 292))
    assert abs(off.mean() - expected) < 0.5
    assert np.abs(off - expected).max() < 4.5 * deviation
    assert 0.8 * deviation < off.std() < 1.2 * deviation


def test_the_order_of_the_rows_changes_nothing():
    rng = np.random.default_rng(1)
    order = rng.permutation(len(IDS))
    other = [IDS[i] for i in order]
    place = np.argsort(order)
    for number in range(3):
        one = [IDS[i] for i in half(IDS, ROWS, seed=5, number=number)]
        two = half(other, rng.permutation(place[ROWS]), seed=5, number=number)
        assert one == [other[i] for i in two]


def test_more_halves_and_other_seeds():
    assert (drawn(16)[:4] == drawn(4)).all()
    assert (drawn(2, seed=14) != drawn(2)).any()


def test_these_halves_stay_as_they_are():
    """Two known draws: when one moves, finished runs of users are no longer what they say."""
    assert half(list("abcdefgh"), np.arange(8), seed=13, number=0).tolist() == KNOWN[0]
    assert half(list("abcdefgh"), np.arange(8), seed=13, number=3).tolist() == KNOWN[1]


KNOWN = ([3, 2, 5, 7], [7, 2, 1, 4])


def test_attacked_rows_are_half_members_and_no_reference_learns_from_them():
    parts = split(IDS, train=0.7, validation=0.1, test=0.2, seed=1)
    members, others = attack_rows(IDS, parts, seed=13)
    assert len(members) == len(others) == len(parts.test) // 2 == 30
    assert set(members) <= set(parts.train)
    assert set(others) <= set(parts.test)
    left = pool(IDS, parts, seed=13)
    assert set(left) == set(parts.train) - set(members)
    assert not set(half(IDS, left, seed=13, number=1)) & {*members, *others}
    assert set(attack_rows(IDS, parts, seed=14)[0]) != set(members)


def test_few_training_rows():
    parts = Parts(np.arange(5), np.arange(0), np.arange(5, 55))
    members, others = attack_rows(IDS, parts, seed=13)
    assert len(members) == len(others) == 5
