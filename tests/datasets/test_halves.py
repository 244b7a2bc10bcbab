"""Draws for membership inference: random halves, and the rows that are attacked."""

from __future__ import annotations

import numpy as np

from evenhand.datasets import Parts, draw_attack_rows, draw_half, reference_pool, split

IDS = [f"row {i}" for i in range(301)]
ROWS = np.arange(7, 300)


def drawn(count, rows=ROWS, ids=IDS, seed=13):
    """[halves, n] which rows are in which half."""
    found = np.zeros((count, len(ids)), bool)
    for number in range(count):
        found[number, draw_half(ids, rows, seed=seed, number=number)] = True
    return found


def test_a_half_is_a_half_and_a_row_is_in_about_half_of_them():
    found = drawn(64)
    assert set(found.sum(1).tolist()) == {147}
    assert not np.delete(found, ROWS, axis=1).any()
    counts = found[:, ROWS].sum(0)  # binomial: mean 32.1, deviation 4
    assert abs(counts.mean() - 32.1) < 0.01
    assert 3.5 < counts.std() < 4.5
    assert (counts > 15).all()
    assert (counts < 49).all()


def test_halves_are_independent_of_each_other():
    """Two share as many rows as chance has it: 73.7, deviation 4.3."""
    found = drawn(40).astype(int)
    both = (found @ found.T)[~np.eye(40, dtype=bool)]
    expected = 147 * 147 / 293
    deviation = np.sqrt(147 * 147 * 146 * 146 / (293**2 * 292))
    assert abs(both.mean() - expected) < 0.5
    assert np.abs(both - expected).max() < 4.5 * deviation
    assert 0.85 * deviation < both.std() < 1.15 * deviation


def test_models_that_give_nothing_away_are_not_told_from_their_halves():
    """How often a row is in the other halves does not tell whether it is in one."""
    from scipy.stats import rankdata

    found = drawn(8, np.arange(2000), [f"r{i}" for i in range(2000)])
    areas = []
    for own in found:
        rank = rankdata(found.sum(0) - own)
        areas.append((rank[own].sum() - 1000 * 1001 / 2) / 1e6)
    assert abs(np.mean(areas) - 0.5) < 0.02


def test_the_order_of_the_rows_changes_nothing():
    rng = np.random.default_rng(1)
    order = rng.permutation(len(IDS))
    other = [IDS[i] for i in order]
    place = np.argsort(order)
    for number in range(3):
        one = [IDS[i] for i in draw_half(IDS, ROWS, seed=5, number=number)]
        two = draw_half(other, rng.permutation(place[ROWS]), seed=5, number=number)
        assert one == [other[i] for i in two]


def test_more_halves_and_other_seeds():
    assert (drawn(16)[:4] == drawn(4)).all()
    assert (drawn(2, seed=14) != drawn(2)).any()


def test_these_halves_stay_as_they_are():
    """Two known draws: when one moves, finished runs of users are no longer what they say."""
    assert draw_half(list("abcdefgh"), np.arange(8), seed=13, number=0).tolist() == KNOWN[0]
    assert draw_half(list("abcdefgh"), np.arange(8), seed=13, number=3).tolist() == KNOWN[1]


KNOWN = ([2, 6, 1, 5], [7, 6, 1, 4])


def test_attacked_rows_are_half_members_and_no_reference_learns_from_them():
    parts = split(IDS, train=0.7, validation=0.1, test=0.2, seed=1)
    members, others = draw_attack_rows(IDS, parts, seed=13)
    assert len(members) == len(others) == len(parts.test) // 2 == 30
    assert set(members) <= set(parts.train)
    assert set(others) <= set(parts.test)
    left = reference_pool(IDS, parts, seed=13)
    assert set(left) == set(parts.train) - set(members)
    assert not set(draw_half(IDS, left, seed=13, number=1)) & {*members, *others}
    assert set(draw_attack_rows(IDS, parts, seed=14)[0]) != set(members)


def test_few_training_rows():
    parts = Parts(np.arange(5), np.arange(0), np.arange(5, 55))
    members, others = draw_attack_rows(IDS, parts, seed=13)
    assert len(members) == len(others) == 5
