"""Splits are drawn alike everywhere; what cannot be used is said; leaks are found."""

import hashlib

import numpy as np
import pytest

from evenhand.datasets import Examples, Parts, check_split, find_leaks, split, split_from_column
from evenhand.errors import InputError
from evenhand.tables.schema import Attribute

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def examples(texts, labels=None, *, ids=None, task="text", groups=None):
    n = len(texts)
    labels = np.array(labels if labels is not None else [i % 2 for i in range(n)], np.int64)
    made = () if groups is None else (Attribute("g", "partition", ("a", "b", "c"), codes=np.array(groups)),)
    return Examples(task, ids or [f"i{k}" for k in range(n)], texts, labels, ("no", "yes"), made)


def parts(train, validation, test):
    return Parts(*(np.array(rows, np.int64) for rows in (train, validation, test)))


def test_by_hand():
    ids = list("abcdefghij")
    order = sorted(range(10), key=lambda i: hashlib.sha256(f"13:{ids[i]}".encode()).hexdigest())
    drawn = split(ids, **SHARES, seed=13)
    assert [drawn.train.tolist(), drawn.validation.tolist(), drawn.test.tolist()] == [
        order[:7], order[7:8], order[8:],
    ]  # fmt: skip


def test_the_order_of_rows_makes_no_difference():
    ids = [f"row {i}" for i in range(500)]
    mixed = np.random.default_rng(1).permutation(500)
    a, b = split(ids, **SHARES, seed=1), split([ids[i] for i in mixed], **SHARES, seed=1)
    for (_, rows), (_, others) in zip(a.named(), b.named(), strict=True):
        assert [ids[i] for i in rows] == [ids[mixed[i]] for i in others]
    assert sorted(np.concatenate([rows for _, rows in a.named()])) == list(range(500))
    assert split(ids, **SHARES, seed=2).test.tolist() != a.test.tolist()


def test_no_validation_part_is_a_choice():
    drawn = split(list("abcdefghij"), train=0.5, validation=0, test=0.5, seed=0)
    assert len(drawn.validation) == 0
    made = examples([f"t{i}" for i in range(10)])
    assert not any("validation" in what for what in check_split(made, drawn).complaints)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"train": 0.7, "validation": 0.1, "test": 0.1}, "= 0.9; the shares must sum to 1"),
        ({"train": 0.0, "validation": 0.5, "test": 0.5}, "train is 0; it must be above 0"),
        ({"train": 0.5, "validation": 0.5, "test": 0.0}, "test is 0"),
        ({"train": 1.2, "validation": -0.4, "test": 0.2}, "validation is -0.4"),
        ({"train": float("nan"), "validation": 0.1, "test": 0.2}, "train is nan"),
    ],
)
def test_shares_that_are_none(shares, said):
    with pytest.raises(InputError, match="split") as raised:
        split(list("abc"), **shares, seed=0)
    assert said in str(raised.value)


def test_ids_that_repeat():
    with pytest.raises(InputError, match=r"1 ids occur more than once \(first: 'b'\)"):
        split(["a", "b", "b"], **SHARES, seed=0)


def test_a_column_says_the_parts():
    drawn = split_from_column(["train", "val", " Dev", "test", "valid", "validation", "train"])
    assert drawn.train.tolist() == [0, 6]
    assert drawn.validation.tolist() == [1, 2, 4, 5]
    assert drawn.test.tolist() == [3]


def test_a_column_with_other_words():
    with pytest.raises(InputError, match=r"2 rows with 'tset'; did you mean 'test'"):
        split_from_column(["train", "tset", "tset"])
    with pytest.raises(InputError, match="1 row with ''"):
        split_from_column(["train", None, "test"])
    with pytest.raises(InputError, match="no row is 'test'"):
        split_from_column(["train", "val"])


def test_a_class_is_missing_in_a_part():
    made = examples([f"t{i}" for i in range(20)], [0] * 15 + [1] * 5)
    said = check_split(made, parts([*range(8), 15, 16, 17, 18, 19], [], [8, 9, 10, 11])).complaints
    assert said == (
        "The test part (4 rows) has no row of class 'yes' (5 in all); give more rows or other shares, or "
        "leave the class out.",
    )


def test_one_class_only_and_too_few_rows():
    made = examples([f"t{i}" for i in range(9)], [1] * 9)
    said = check_split(made, parts([0, 1, 2, 3, 4], [5], [6, 7, 8])).complaints
    assert said[0] == "The label of all 9 rows is 'yes'; at least two classes are needed."
    assert "The validation part has 1 row; it must have at least 4." in said
    assert "The test part has 3 rows; it must have at least 4." in said


def test_groups_without_rows_are_remarks():
    made = examples([f"t{i}" for i in range(12)], groups=[0] * 6 + [1] * 3 + [0] * 3)
    checked = check_split(made, parts([0, 1, 2, 3, 4, 5, 6, 7, 8], [], [9, 10, 11]), least=2)
    assert checked.complaints == ()
    assert checked.remarks == (
        "Group g=b (3 rows) has no test row, so it cannot be evaluated.",
        "No row is in group g=c.",
    )


def test_leaks_of_texts():
    texts = ["One  two", "three", "ONE two ", "Caf\u00e9", "cafe\u0301", "six", "six", "eight"]
    found = find_leaks(examples(texts), parts([0, 1, 3, 5, 6], [], [2, 4, 7]))
    assert found
    assert found.counts == {"id": 0, "text": 2}
    assert found.rows == {"id": 0, "text": 2}
    assert found.first[0] == "text 'One  two' (train 'i0', test 'i2')"
    assert "2 equal texts" in found.sentence()


def test_leaks_of_ids():
    found = find_leaks(examples(list("abcd"), ids=["x", "y", "x", "z"]), parts([0, 1], [3], [2]))
    assert found.counts == {"id": 1, "text": 0}


def test_leaks_of_images():
    a, b = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    assert (
        find_leaks(examples([a, b, a.copy(), b], task="image"), parts([0], [], [1, 2, 3])).counts["image"]
        == 1
    )
    assert (
        find_leaks(examples([b"1", b"2", b"1", b"3"], task="image"), parts([0], [2], [1, 3])).rows["image"]
        == 1
    )


def test_no_leaks():
    found = find_leaks(examples(["a b", "ab", "a b"]), parts([0, 2], [], [1]))
    assert not found
    assert found.sentence() == ""
