"""Rows without a score, by group and by cause; attacks with the opposite direction."""

import numpy as np
import pytest

from evenhand.judge.attacks import Evidence, Needs, parse_attack
from evenhand.judge.privacy import PrivacySettings, attack_signals
from evenhand.judge.privacy.unscored import AGREE, WITH, WITHOUT, describe_causes, find_causes
from evenhand.tables.schema import Attribute, Columns
from evenhand.tables.signals.schema import SignalArm, Signals

ROWS = 40


def judged(member, attack="lira", groups=("a", "b"), margin=None, codes=None, least=1):
    """An attack on the runs of one arm whose members are given; the first half of the rows is in group a."""
    runs, rows = member.shape
    rng = np.random.default_rng(5)
    if margin is None:
        margin = rng.normal(size=(runs, rows)) + member
    codes = np.repeat(np.arange(len(groups)), rows // len(groups)) if codes is None else codes
    arm = SignalArm(
        "full", tuple(map(str, range(runs))), np.ones(runs, bool), member, np.exp(-margin)[:, :, None],
        margin[:, :, None],
    )  # fmt: skip
    signals = Signals(tuple(map(str, range(rows))), (arm,), (Attribute("site", "partition", groups, codes),))
    settings = PrivacySettings((parse_attack(attack),), permutations=19, min_group_size=least)
    return attack_signals(signals, Columns(by=("site",)), settings).to_dict()


def reasons(document, group, metric="roc_auc"):
    return [r["reason"] for r in document["rates"] if r["group"] == group and r["metric"] == metric]


def half(seed=3, runs=4):
    return np.random.default_rng(seed).random((runs, ROWS)) < 0.5


def test_non_members_without_a_score_are_not_missing():
    """Each row of group a is a non-member of one run only: no reference is without it."""
    member = half(runs=6)
    member[:, :20] = True
    member[np.arange(20) % 6, np.arange(20)] = False
    document = judged(member)
    assert reasons(document, "a") == [
        "no non-member of the group has a score (too few references without the row)"
    ]
    assert next(r["n"] for r in document["rates"] if r["group"] == "a") == 20
    [remark] = document["problems"]
    lacking = 20 + int(remark.split("site 'b' ")[1].split(" ")[0]) if "site 'b'" in remark else 20
    assert f"full, lira: {lacking} of 240 pairs of run and row have no score" in remark
    assert "of the numbers of all rows too; by group: site 'a' 20 of 120" in remark


def test_members_without_a_score_are_not_missing():
    """Each row of group a is a member of one run only: no reference was trained on it."""
    member = half(runs=6)
    member[:, :20] = False
    member[np.arange(20) % 6, np.arange(20)] = True
    assert reasons(judged(member), "a") == [
        "no member of the group has a score (too few references with the row)"
    ]
    # Without members to compare with, the attack has a score for every row.
    assert reasons(judged(member, "lira[mode=offline]"), "a") == [""]


def test_a_group_without_members_says_so():
    member = half(runs=6)
    member[:, :20] = False
    assert reasons(judged(member, "lira[mode=offline]"), "a") == ["no members in the group"]
    member = half(runs=6)
    member[2, :20] = False
    assert reasons(judged(member, "lira[mode=offline]"), "a") == ["no members in the group in run '2'"]


def test_few_rows_with_a_score_are_distinguished_from_few_rows():
    member = half(runs=6)
    member[:, :18] = True
    member[np.arange(18) % 6, np.arange(18)] = False
    member[:, 18:20] = [[0, 1], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    document = judged(member, least=10)
    assert reasons(document, "a") == [
        "1 non-members with a score (3 have none: too few references without the row), fewer than 10"
    ]


def test_scores_of_nobody_say_what_is_lacking():
    member = np.tile(np.arange(ROWS) % 2 == 0, (4, 1))  # the same members in every run
    document = judged(member)
    assert set(reasons(document, "a")) == {"no row has a score (too few references with or without the row)"}
    document = judged(half(), margin=np.ones((4, ROWS)))
    assert "references whose signals do not differ" in reasons(document, "b")[0]


@pytest.mark.parametrize(
    ("attack", "cause"),
    [
        ("lira[variance=per_example]", "too few references with or without the row"),
        ("rmia[mode=offline]", None),
    ],
)
def test_other_attacks_take_other_numbers_of_references(attack, cause):
    """Of four runs a row is a member of two: a target leaves one reference of its own kind."""
    member = np.array([[(i + k) % 4 < 2 for i in range(ROWS)] for k in range(4)])
    document = judged(member, attack)
    if cause is None:
        assert document["problems"] == []
        assert reasons(document, "a") == [""]
    else:
        assert reasons(document, "a") == [f"no row has a score ({cause})"]


def test_causes_by_hand():
    """Three runs that are all targets; rows that are members of none, one and all of them."""
    member = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 1]], bool)
    evidence = Evidence(member, np.arange(3), True, np.ones((3, 3, 1)))
    nothing = np.full((3, 3), np.nan)
    both = find_causes(evidence, nothing, Needs(("margin",), "both"))
    assert both.tolist() == [[WITH, WITH, WITHOUT], [WITH, AGREE, WITHOUT], [WITH, AGREE, WITHOUT]]
    out = find_causes(evidence, nothing, Needs(("margin",), "out"))
    assert out[:, 1].tolist() == [AGREE, AGREE, AGREE]
    assert find_causes(evidence, np.zeros((3, 3)), Needs(("margin",), "both")).sum() == 0
    assert (
        describe_causes(both)
        == "too few references with or without the row, or references whose signals do not differ"
    )


@pytest.mark.parametrize("turned", ["signal", "membership", "nothing"])
def test_attacks_that_take_non_members_for_members_are_remarked(turned):
    """A likelihood instead of a loss, and inverted membership, both reverse the curve."""
    rng = np.random.default_rng(2)
    member = rng.random((4, 200)) < 0.5
    margin = rng.normal(size=member.shape) + 1.5 * member
    if turned == "signal":
        margin = -margin
    column = ~member if turned == "membership" else member
    document = judged(column, "loss", margin=margin)
    remarks = [p for p in document["problems"] if "members look less like members" in p]
    assert len(remarks) == (turned != "nothing")
    assert all("full, loss: " in p and "ROC AUC 0.1" in p for p in remarks)
