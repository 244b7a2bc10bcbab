"""Hints about ids that occur twice: what differs between their rows, and whether ids were rounded."""

from __future__ import annotations

import pytest

from evenhand.errors import TableError
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

BY = Columns(by=("team",))


def refusal(rows, columns=BY, **more):
    names = ("example_id", "label", "prediction", "team")
    given = {name: [row[i] for row in rows] for i, name in enumerate(names)} | more
    with pytest.raises(TableError) as caught:
        load(given, columns, need_scores=False)
    [told] = caught.value.complaints
    return told


def test_rows_that_differ_in_their_group_only_lead_to_memberships():
    rows = [
        ("p", 1, 1, "red"),
        ("p", 1, 1, "blue"),
        ("q", 0, 0, "red"),
        ("r", 1, 0, "red"),
        ("r", 1, 0, "green"),
    ]
    told = refusal(rows)
    assert "2 values of 'example_id' (--id) occur more than once in one run (first: 'p')" in told
    assert "the rows of an id differ in 'team' (--by: 'blue', 'green', 'red') only" in told
    assert "with a column of 0 and 1 for every group, as --memberships 'team_*'" in told
    assert "alike" not in told


def test_a_column_that_nobody_named_goes_before_one_of_by():
    rows = [("p", 1, 1, "red"), ("p", 1, 1, "blue"), ("q", 0, 0, "red")]
    told = refusal(rows, batch=["x", "y", "x"])
    assert "the rows of an id differ in 'batch' ('x', 'y'): keep one with --where batch=x" in told
    assert "team" not in told


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("p", 1, 1, "red"), ("p", 1, 0, "red")], "'prediction' (--prediction: '0', '1') only"),
        ([("p", 1, 1, "red"), ("p", 0, 1, "red")], "'label' (--label: '0', '1') only"),
        (
            [("p", 1, 1, "red"), ("p", 1, 0, "blue")],
            "'prediction' (--prediction: '0', '1') and 'team' (--by: 'blue', 'red') only",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_said_to(rows, said):
    told = refusal([*rows, ("q", 0, 0, "red"), ("r", 1, 1, "red")])
    assert f"the rows of an id differ in {said}; give each id once" in told
    assert "pass it as --arm or --run" in told


@pytest.mark.parametrize(
    "ids", [("1e5", "2f3"), ("1e5", "7"), ("7e10", "12e3"), ("1e99", "ab1"), ("3E08", "4")]
)
def test_texts_that_look_like_powers_of_ten_were_not_rounded(ids):
    first, second = ids
    told = refusal([(first, 1, 1, "red"), (first, 1, 1, "red"), (second, 0, 0, "red")])
    assert f"(first: '{first}')" in told
    assert "rounded" not in told
    assert "give each once" in told


@pytest.mark.parametrize("first", ["1e+17", "1.5E+16", "9.00720E+11", "2e16", "9007199254740994.0"])
def test_texts_that_were_rounded_are_said_to(first):
    told = refusal([(first, 1, 1, "red"), (first, 1, 1, "red"), ("4", 0, 0, "red")])
    assert f"were rounded to floats (first: '{first}')" in told


def test_a_number_with_all_its_digits_was_not_rounded():
    told = refusal([("1.2345678E7", 1, 1, "red"), ("1.2345678E7", 1, 1, "red"), ("4", 0, 0, "red")])
    assert "rounded" not in told
