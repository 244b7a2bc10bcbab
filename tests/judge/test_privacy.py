"""Judgement of attacks: by hand, against scikit-learn, at chance without leakage, with valid intervals."""

import json

import numpy as np
import pytest
from benchmarks.simulate.attacks import Z, coverage, halves
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from evenhand.errors import CallError, InputError, TableError
from evenhand.judge.attacks import lira, loss
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy import PrivacySettings, attack_signals, run_attack
from evenhand.judge.privacy.compare import match_targets
from evenhand.judge.privacy.control import permute_within, strata
from evenhand.judge.privacy.curves import intraclass
from evenhand.judge.privacy.observe import Scored, observe
from evenhand.judge.privacy.rates import limits
from evenhand.judge.privacy.settings import AUC, BALANCED, at_fpr
from evenhand.judge.stats.intervals import clopper_pearson
from evenhand.tables.schema import Attribute, Columns
from evenhand.tables.signals.schema import SignalArm, Signals

FAST = {"permutations": 99}


def signals(gaps, *, models=8, rows=1200, groups=3, seed=0, spread=1.0, base=None) -> Signals:
    """Arms whose margins rise by a gap for members; losses and groups."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, groups, rows)
    member = halves(models, rows, rng)
    difficulty = spread * rng.standard_normal(rows) + (0 if base is None else np.array(base)[code])
    arms = []
    for name, gap in gaps.items():
        group_gap = np.broadcast_to(np.asarray(gap, dtype=float), groups)[code]
        margin = (difficulty + group_gap * member + rng.standard_normal((models, rows)))[:, :, None]
        runs = tuple(map(str, range(models)))
        arms.append(SignalArm(name, runs, np.ones(models, bool), member, np.logaddexp(0, -margin), margin))
    names = tuple("abcdefgh"[:groups])
    return Signals(
        tuple(map(str, range(rows))), tuple(arms), (Attribute("g", "partition", names, codes=code),)
    )


def attacked(data: Signals, **settings):
    return attack_signals(data, Columns(by=("g",)), PrivacySettings(**{**FAST, **settings})).to_dict()


def of(rows, **expected):
    return [r for r in rows if all(r[k] == v for k, v in expected.items())]


def test_by_hand():
    """Members at 5, 3, 1; non-members at 4, 2, 0, -1. At 1/4 false positives the threshold is 2."""
    scores = np.array([[5.0, 3, 1, 4, 2, 0, -1]])
    member = np.array([[True] * 3 + [False] * 4])
    group = [Group(None, None, np.arange(7), 7), Group("g", "x", np.array([0, 2, 3]), 3)]
    estimates = observe(Scored("a", "loss", ("0",), scores, member), group, (0.25, 0.5), Z)
    assert estimates.leakage[AUC, 0].value == pytest.approx((4 + 3 + 2) / 12)
    assert estimates.leakage[AUC, 1].value == pytest.approx(1 / 2)
    assert estimates.leakage[at_fpr(0.25), 0].value == pytest.approx(2 / 3)
    assert estimates.leakage[at_fpr(0.5), 0].value == pytest.approx(1.0)
    # Pooled: the group's members at 5 and 1 against the threshold of all rows, 2; its non-member is above.
    assert estimates.leakage[at_fpr(0.25), 1].value == pytest.approx(1 / 2)
    assert estimates.leakage[at_fpr(0.25), 1].false_positive_rate == 1
    # Three rows are called, 5, 4 and 3: two of three members, one of four non-members.
    assert estimates.leakage[BALANCED, 0].value == pytest.approx((2 / 3 + 3 / 4) / 2)


@pytest.mark.parametrize("ties", [False, True])
def test_numbers_are_those_of_scikit_learn(ties):
    rng = np.random.default_rng(3)
    member = halves(4, 900, rng)
    scores = rng.standard_normal((4, 900)) + 0.7 * member
    if ties:
        scores = scores.round(1)
    rows = np.flatnonzero(rng.random(900) < 0.3)
    groups = [Group(None, None, np.arange(900), 900), Group("g", "x", rows, len(rows))]
    estimates = observe(Scored("a", "loss", tuple("0123"), scores, member), groups, (0.01, 0.05), Z)
    for t in range(4):
        fpr, tpr, _ = roc_curve(member[t], scores[t], drop_intermediate=False)
        for f in (0.01, 0.05):
            assert estimates.leakage[at_fpr(f), 0].values[t] == pytest.approx(tpr[fpr <= f].max())
        for g, at in ((0, slice(None)), (1, rows)):
            assert estimates.leakage[AUC, g].values[t] == pytest.approx(
                roc_auc_score(member[t][at], scores[t][at])
            )
        called = scores[t] > np.sort(scores[t])[::-1][member[t].sum()]
        for g, at in ((0, slice(None)), (1, rows)):
            expected = balanced_accuracy_score(member[t][at], called[at])
            assert estimates.leakage[BALANCED, g].values[t] == pytest.approx(expected)


def test_influence_values_are_those_of_leaving_rows_out():
    """Leaving a row out moves a value by about -influence / (1 - 1/n); the AUC's is DeLong's."""
    rng = np.random.default_rng(4)
    n = 400
    member = halves(1, n, rng)
    scores = rng.standard_normal((1, n)) + member
    group = [Group(None, None, np.arange(n), n)]
    leak = observe(Scored("a", "x", ("0",), scores, member), group, (0.05,), Z).leakage[AUC, 0]
    moved = []
    for i in range(n):
        selected = np.delete(np.arange(n), i)
        moved.append(leak.value - roc_auc_score(member[0, selected], scores[0, selected]))
    np.testing.assert_allclose(leak.row_influence, moved, atol=2e-5)


def test_a_single_target_has_exact_limits_of_its_members():
    rng = np.random.default_rng(5)
    member = halves(1, 4000, rng)
    scores = rng.standard_normal((1, 4000)) + 2 * member
    group = [Group(None, None, np.arange(4000), 4000)]
    estimates = observe(Scored("a", "x", ("0",), scores, member), group, (0.05,), Z)
    leak = estimates.leakage[at_fpr(0.05), 0]
    low, high, kind = limits(estimates, leak, at_fpr(0.05), 0, 0.05)
    exact = clopper_pearson(round(leak.value * 2000), 2000, 0.05)
    assert low < exact[0]  # the threshold is uncertain too
    assert high > exact[1]
    assert "Clopper-Pearson" in kind
    strict, at_low, _ = leak.threshold_bounds
    down = strict - float(clopper_pearson(round(strict * 2000), 2000, 0.05)[0])
    assert low == pytest.approx(strict - np.hypot(down, strict - at_low))


@pytest.mark.parametrize(
    "cell",
    [
        (1, 1000, 0.01, 1.0, 0.0),
        (8, 600, 0.01, 1.0, 0.3),
        pytest.param((1, 4000, 0.001, 1.0, 0.0), marks=pytest.mark.slow),
    ],
)
@pytest.mark.no_cover
def test_intervals_hold_over_rows_and_targets(cell):
    """Rates pointwise, and the whole primary family at once, in 100 draws each (three standard errors)."""
    result = coverage(cell, 100, seed=7)
    least = 0.95 - 3 * np.sqrt(0.05 * 0.95 / 100)
    assert min(result["auc"], result["tpr"], result["family"]) >= least, result


def test_a_threshold_of_each_group_makes_something_of_nothing():
    """statistics.md: at 0.1 % the naive threshold per group gives small groups 3 to 7 times the truth."""
    rng = np.random.default_rng(8)
    f, sizes = 0.001, (50, 200, 20_000)
    naive, pooled = np.zeros(3), np.zeros(3)
    for _ in range(40):
        code = np.repeat(np.arange(3), np.array(sizes) * 2)
        member = np.concatenate([np.arange(2 * n) < n for n in sizes])
        scores = rng.standard_normal(len(code)) + member
        groups = [Group(None, None, np.arange(len(code)), len(code))]
        groups += [Group("g", str(g), np.flatnonzero(code == g), 2 * n) for g, n in enumerate(sizes)]
        estimates = observe(Scored("a", "x", ("0",), scores[None], member[None]), groups, (f,), Z)
        for g in range(3):
            pooled[g] += estimates.leakage[at_fpr(f), g + 1].value / 40
            in_group = code == g
            inside, outside = scores[in_group & member], scores[in_group & ~member]
            top = np.sort(outside)[::-1][int(f * len(outside))]
            naive[g] += (inside > top).mean() / 40
    truth = 0.0183
    assert naive[0] > 4 * truth
    assert naive[1] > 2 * truth
    np.testing.assert_allclose(pooled, truth, atol=0.008)


def test_without_leakage_everything_is_at_chance():
    """Groups with unlike scores too: the AUC is .5, no harm is found, and the control explains the gaps."""
    data = signals({"full": 0.0, "lora": 0.0}, models=10, base=(0.0, 1.0, -1.0))
    result = attacked(data)
    for row in of(result["rates"], metric=AUC, status="ok"):
        assert row["low"] <= 0.5 <= row["high"], row
    assert result["verdict"]["counts"]["harm"] == result["verdict"]["counts"]["help"] == 0
    assert all(r["p_value"] > 0.01 for r in of(result["vulnerability"], status="ok"))
    # The pooled threshold gives the group with high scores a high true positive rate, the control as well.
    (gap,) = of(result["vulnerability"], input="full", attack="loss", metric=at_fpr(0.05))
    assert gap["value"] > 0.08
    assert gap["control_high"] > 0.08


def test_leakage_is_detected_and_compared():
    data = signals({"full": (1.5, 1.5, 3.0), "lora": 0.3}, models=8, rows=3000)
    result = attacked(data, attacks=(("lira", lira.Config()),))
    counts = result["verdict"]["counts"]
    assert counts["help"] >= 3
    assert counts["harm"] == 0
    other = attacked(data, attacks=(("lira", lira.Config()),), reference="lora")
    assert other["verdict"]["counts"]["harm"] == counts["help"]
    assert other["verdict"]["worst"]["group"] == "c"
    assert "harm" in other["verdict"]["sentence"]
    assert other["verdict"]["worst"]["difference"] > 0
    (row,) = of(result["vulnerability"], input="full", metric=AUC)
    assert row["p_value"] < 0.05
    assert row["low"] > 0
    for row in result["comparisons"]:
        if row["p_adjusted"] is not None:
            assert (row["p_adjusted"] < 0.05) == (row["low"] > 0 or row["high"] < 0), row


def test_equal_leakage_is_no_disparate_vulnerability():
    """The control alone would reject: the range varies more where models leak than where they do not."""
    data = signals({"full": 1.5}, models=8, rows=2000, seed=3)
    rows = attacked(data, attacks=(("loss", loss.Config()),))["vulnerability"]
    assert any(r["p_control"] < 0.05 for r in rows)
    assert all(r["p_value"] > 0.05 for r in rows)


def test_too_few_non_members_cannot_be_resolved():
    result = attacked(signals({"a": 1.0, "b": 1.0}, rows=400))
    rows = of(result["rates"], metric=at_fpr(0.001))
    assert {r["status"] for r in rows} == {"too_small"}
    assert all(r["value"] is None for r in rows)
    assert all(r["reason"].startswith("not resolvable: ") for r in rows)
    assert "200 non-members, and a false positive rate of 0.001 takes at least 1,000" in rows[0]["reason"]
    compared = of(result["comparisons"], metric=at_fpr(0.001))
    assert all(r["verdict"] is None and r["low"] is None for r in compared)


def test_small_and_empty_groups_keep_their_rows():
    data = signals({"a": 1.0, "b": 1.0}, rows=400, groups=2)
    code = np.where(np.arange(400) < 14, 1, 0)
    groups = Attribute("g", "partition", ("big", "small", "none"), codes=code)
    result = attacked(Signals(data.ids, data.arms, (groups,)))
    status = {r["group"]: r["status"] for r in of(result["rates"], metric=AUC, input="a", attack="loss")}
    assert status == {None: "ok", "big": "ok", "small": "too_small", "none": "undefined"}
    assert all(r["verdict"] is None for r in of(result["comparisons"], group="small"))
    (row,) = of(result["vulnerability"], input="a", attack="loss", metric=AUC)
    assert row["status"] == "undefined"
    assert [g["group"] for g in row["groups_left_out"]] == ["small", "none"]


def test_constant_signals_are_undefined():
    data = signals({"a": 1.0}, rows=300)
    flat = SignalArm("none", data.arms[0].runs, data.arms[0].target, data.arms[0].member,
                     np.full_like(data.arms[0].loss, 0.7), np.zeros_like(data.arms[0].loss))  # fmt: skip
    result = attacked(Signals(data.ids, (*data.arms, flat), data.attributes))
    rows = of(result["rates"], input="none", metric=AUC)
    assert {r["status"] for r in rows} == {"undefined"}
    assert any("constant signals" in r["reason"] for r in rows)
    assert any("do not differ" in r["reason"] for r in rows)
    assert result["verdict"]["counts"] == {"harm": 0, "harmless": 0, "help": 0, "undecided": 0}


def offline(*, known: bool = False) -> Signals:
    """The paper's protocol: one target, half of the rows members, four references of another pool."""
    rng = np.random.default_rng(9)
    member = np.zeros((5, 800), dtype=bool)
    member[0, :400] = True
    member[2, 7] = known
    margin = (rng.standard_normal(800) + 2 * member + rng.standard_normal((5, 800)))[:, :, None]
    runs = ("1", *(f"1 reference {k}" for k in range(4)))
    target = np.array([True, *[False] * 4])
    arms = (SignalArm("full", runs, target, member, np.logaddexp(0, -margin), margin),)
    code = np.arange(800) % 2
    return Signals(tuple(map(str, range(800))), arms, (Attribute("g", "partition", ("a", "b"), codes=code),))


def test_the_papers_protocol():
    result = attacked(offline())
    assert result["settings"]["attacks"] == ["loss", "lira[mode=offline]", "rmia[mode=offline]"]
    (row,) = of(result["rates"], attack="lira[mode=offline]", metric=AUC, attribute=None)
    assert row["low"] > 0.7
    assert row["unit"] == "rows"
    assert result["design"] == [
        {
            "input": "full",
            "targets": 1,
            "references": 4,
            "shared": False,
            "rows": 800,
            "members": 400.0,
            "views": 1,
        }
    ]
    with pytest.raises(TableError, match="use the attack with mode=offline"):
        attacked(offline(), attacks=(("lira", lira.Config()),))


def test_references_are_needed():
    single = signals({"a": 1.0}, models=1)
    assert attacked(single)["settings"]["attacks"] == ["loss"]
    with pytest.raises(TableError, match="the table has one model only"):
        attacked(single, attacks=(("lira", lira.Config()),))
    arm = single.arms[0]
    bare = SignalArm("a", arm.runs, arm.target, arm.member, arm.loss)
    with pytest.raises(TableError, match="needs the column 'base_loss'"):
        attacked(
            Signals(single.ids, (bare,), single.attributes),
            attacks=(("loss", loss.Config(reference="base")),),
        )


def test_targets_are_paired_by_name_and_training_set():
    assert match_targets(("1", "2"), ("2", "1"), np.ones((2, 2), bool)) == [(0, 1), (1, 0)]
    assert match_targets(("a",), ("b",), np.ones((1, 1), bool)) == [(0, 0)]
    assert match_targets(("1", "2"), ("1", "2"), np.array([[True, False], [False, False]])) == [(0, 0)]
    data = signals({"a": 1.0, "b": 1.0}, models=6)
    a, b = data.arms
    fewer = SignalArm("b", b.runs[1:], b.target[1:], b.member[1:], b.loss[1:], b.margin[1:])
    result = attacked(Signals(data.ids, (a, fewer), data.attributes), attacks=(("loss", loss.Config()),))
    assert {r["runs"] for r in result["comparisons"]} == {5}
    other = SignalArm("b", b.runs, b.target, ~b.member, b.loss, b.margin)
    result = attacked(Signals(data.ids, (a, other), data.attributes), attacks=(("loss", loss.Config()),))
    assert result["comparisons"] == []
    assert any("nothing can be paired" in p for p in result["problems"])


def test_rows_are_exchanged_within_groups_only():
    rng = np.random.default_rng(0)
    attribute = Attribute("g", "partition", ("a", "b"), codes=np.repeat([0, 1], 20))
    order = permute_within(strata(attribute), rng)
    assert sorted(order[:20]) == list(range(20))
    assert order.tolist() != list(range(40))
    flags = np.zeros((2, 40), bool)
    flags[0, :15], flags[1, 10:30] = True, True
    both = Attribute("m", "memberships", ("a", "b"), flags=flags)
    code = strata(both)
    assert len(set(code[:10])) == 1
    assert set(code[10:15]) == {-1}  # a combination of five rows


def test_the_intraclass_correlation_is_that_of_the_textbook():
    """Shrout and Fleiss's (1979) four judges of six targets: ICC(1, 1) = .17."""
    x = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    result = intraclass(np.full(6, 4.0), x.sum(axis=1), (x**2).sum(axis=1))
    assert result == pytest.approx(0.17, abs=0.005)


def test_rows_that_always_leak_are_stable():
    data = signals({"a": 3.0}, models=10, rows=1000)
    (row,) = of(attacked(data)["stability"], attack="loss", attribute=None)
    assert row["always"] + row["sometimes"] + row["never"] == pytest.approx(1)
    assert row["intraclass_correlation"] > 0.1


def test_curves_rise_and_end_at_1():
    result = attacked(signals({"a": 1.0}, rows=600))
    assert len(result["roc"]) == 3 * 4
    for curve in result["roc"]:
        assert curve["fpr"][0] >= 1 / 300
        assert curve["tpr"] == sorted(curve["tpr"])
        assert curve["fpr"][-1] == 1
        if curve["group"] is None:
            assert all(rate <= f + 1e-12 for rate, f in zip(curve["own_fpr"], curve["fpr"], strict=True))
    (rate,) = of(result["rates"], attack="lira", attribute=None, metric=at_fpr(0.05))
    (curve,) = of(result["roc"], attack="lira", attribute=None)
    assert curve["tpr"][curve["fpr"].index(0.05)] == pytest.approx(rate["value"])


def test_the_same_seed_gives_the_same_document():
    data = signals({"a": 1.0, "b": 0.5}, rows=500)
    first, second = attacked(data), attacked(data)
    first.pop("created"), second.pop("created")
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_a_view_more_tells_more():
    rng = np.random.default_rng(1)
    member = halves(20, 1500, rng)
    margin = member[:, :, None] + rng.standard_normal((20, 1500, 4))
    groups = (Attribute("g", "partition", ("a",), codes=np.zeros(1500, np.int64)),)

    def area(views):
        arm = SignalArm("a", tuple(map(str, range(20))), np.ones(20, bool), member,
                        np.logaddexp(0, -margin[:, :, :views]), margin[:, :, :views])  # fmt: skip
        result = attacked(
            Signals(tuple(map(str, range(1500))), (arm,), groups), attacks=(("lira", lira.Config()),)
        )
        return of(result["rates"], metric=AUC, attribute=None)[0]["value"]

    assert area(4) > area(1) + 0.1


def test_settings_refuse_all_at_once():
    with pytest.raises(CallError) as error:
        PrivacySettings(
            margin=-1, alpha=2, fprs=(0.0,), primary=("auc",), min_group_size=0, permutations=1, rng=-1
        )
    assert len(error.value.complaints) == 7
    with pytest.raises(InputError, match="none of the attacks"):
        PrivacySettings(attacks=(("lyra", lira.Config()),))
    with pytest.raises(CallError, match="given twice"):
        PrivacySettings(attacks=(("lira", lira.Config()), ("lira", lira.Config())))


def test_files_are_attacked(tmp_path):
    rng = np.random.default_rng(2)
    tables = {}
    for arm, gap in (("full", 2.0), ("lora", 0.0)):
        tables[arm] = []
        for run in range(3):
            member = np.random.default_rng(run).random(300) < 0.5
            m = gap * member + rng.standard_normal(300)
            tables[arm].append(
                {
                    "example_id": np.arange(300),
                    "in_training": member,
                    "loss": np.logaddexp(0, -m),
                    "margin": m,
                    "sex": np.where(np.arange(300) % 3, "F", "M"),
                    "run": [str(run)] * 300,
                }
            )
    result = run_attack(tables, Columns(by=("sex",)), PrivacySettings(**FAST)).to_dict()
    assert result["schema"] == "evenhand.attack/1"
    assert result["verdict"]["counts"]["help"] > 0
    assert "these runs" in result["verdict"]["sentence"]
    assert {r["runs"] for r in result["comparisons"]} == {3}
    with pytest.raises(CallError, match="no arm is called 'ful'"):
        run_attack(tables, Columns(), PrivacySettings(reference="ful"))
