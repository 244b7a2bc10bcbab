"""Families: one-sided bounds, the verdict that rests on them, and the two error rates."""

import numpy as np
import pytest
from scipy import stats

import evenhand
from evenhand.errors import InputError
from evenhand.judge.stats.family import correlated, discoveries, independent
from evenhand.judge.stats.quantiles import z_of
from evenhand.judge.stats.verdict import judge


def test_one_sided_levels_agree_with_the_normal_law():
    rng = np.random.default_rng(3)
    assert independent(1).one_sided(0.05) == 0.05
    assert independent(24).one_sided(0.05) == pytest.approx(0.05 / 24)
    assert correlated(np.ones((9, 9)), rng).one_sided(0.05) == pytest.approx(0.05, abs=0.004)
    # One statistic and its negative: one of both is large whenever the other is small.
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert correlated(opposed, rng).one_sided(0.05) == pytest.approx(0.025, abs=0.002)
    assert correlated(opposed, rng, np.array([1.0, -1.0])).one_sided(0.05) == pytest.approx(0.05, abs=0.004)
    alike = 0.6 * np.ones((5, 5)) + 0.4 * np.eye(5)
    level = correlated(alike, rng).one_sided(0.05)
    limit = np.full(5, stats.norm.isf(level))
    assert stats.multivariate_normal(cov=alike).cdf(limit) == pytest.approx(0.95, abs=0.004)


def test_one_sided_bounds_lie_inside_the_intervals():
    rng = np.random.default_rng(4)
    for k in (2, 8, 30):
        for rho in (0.0, 0.5, 0.9):
            family = correlated(rho * np.ones((k, k)) + (1 - rho) * np.eye(k), rng)
            assert family.one_sided(0.05) > family.pointwise(0.05) / 2


def test_discoveries_agree_with_scipy_and_with_the_level():
    rng = np.random.default_rng(5)
    for size in (1, 2, 7, 40):
        p = rng.uniform(size=size) ** 3
        adjusted, level = discoveries(p, 0.1)
        assert np.allclose(adjusted, stats.false_discovery_control(p), atol=1e-15)
        assert np.array_equal(adjusted < 0.1, p < level) or not (adjusted < 0.1).any()
        assert level == pytest.approx(0.1 * max((adjusted < 0.1).sum(), 1) / size)


def test_harmless_rests_on_the_limit_on_the_side_of_harm():
    assert judge(-0.021, 0.01, 1, 0.02).word == "undecided"
    assert judge(-0.021, 0.01, 1, 0.02, -0.019).word == "harmless"
    assert judge(-0.01, 0.021, -1, 0.02, 0.019).word == "harmless"
    assert judge(-0.021, 0.01, 1, 0.02, -0.02).word == "undecided"
    # A proven loss that is below the margin for certain does no harm.
    assert judge(-0.021, -0.001, 1, 0.02, -0.019).word == "harmless"
    assert judge(-0.023, -0.001, 1, 0.02, -0.021).word == "harm"


def table(losses, rows=1500, flips=60, seed=0):
    """Labels, groups, and answers of two arms: `flips` rows change in each way, besides a group's loss."""
    rng = np.random.default_rng(seed)
    group = np.repeat([f"g{i}" for i in range(len(losses))], rows)
    label = np.tile([0, 1], len(group) // 2)
    full = np.where(rng.random(len(group)) < 0.85, label, 1 - label)
    lora = full.copy()
    for i, loss in enumerate(losses):
        here = np.flatnonzero(group == f"g{i}")
        right, wrong = here[full[here] == label[here]], here[full[here] != label[here]]
        lost, won = rng.choice(right, flips + round(loss * rows), replace=False), rng.choice(wrong, flips)
        lora[lost], lora[won] = 1 - label[lost], label[won]
    common = {"example_id": np.arange(len(group)), "label": label, "group": group}
    return {"full": {**common, "prediction": full}, "lora": {**common, "prediction": lora}}


@pytest.fixture(scope="module")
def graded():
    losses = [0.0] * 6 + [0.02, 0.022, 0.024, 0.026, 0.05, 0.06]
    return {
        rate: evenhand.audit(
            table(losses, flips=26), by="group", metric="accuracy", margin=0.012, error_rate=rate
        ).to_dict()
        for rate in ("familywise", "false_discovery")
    }


def test_a_one_sided_limit_decides_where_the_interval_does_not():
    decided_by_limit = 0
    for flips in range(10, 60, 5):
        tables = table([0.0] * 4, flips=flips)
        rows = evenhand.audit(tables, by="group", primary="accuracy", margin=0.012).to_dict()["comparisons"]
        for row in (r for r in rows if r["family"] == "primary"):
            assert row["low"] < row["harm_limit"] < row["difference"]
            assert (row["verdict"] == "harmless") == (row["harm_limit"] > -0.012)
            decided_by_limit += row["verdict"] == "harmless" and row["low"] <= -0.012
    assert decided_by_limit > 0


def test_the_limit_of_a_rate_that_should_be_low_is_above_and_exploratory_rows_have_none():
    rows = evenhand.audit(table([0.0, 0.05]), by="group").to_dict()["comparisons"]
    for row in rows:
        if row["family"] == "primary" and row["metric"] == "false_positive_rate":
            assert row["difference"] < row["harm_limit"] < row["high"]
        if row["family"] == "exploratory" or row["metric"] == "selection_rate":
            assert row["harm_limit"] is None


def test_p_values_agree_with_intervals_at_both_error_rates(graded):
    for rate, document in graded.items():
        assert document["settings"]["error_rate"] == rate
        for row in document["comparisons"]:
            assert (row["p_adjusted"] < 0.05) == (row["low"] > 0 or row["high"] < 0)
            assert row["error_rate"] == rate


def test_false_discoveries_are_the_largest_set_that_the_procedure_allows(graded):
    rows = {
        rate: [r for r in document["comparisons"] if r["family"] == "primary"]
        for rate, document in graded.items()
    }
    p = np.array([r["p_value"] for r in rows["familywise"]])
    discovered = stats.false_discovery_control(p) < 0.05
    assert [r["p_adjusted"] < 0.05 for r in rows["false_discovery"]] == discovered.tolist()
    claims = {rate: sum(r["verdict"] != "undecided" for r in some) for rate, some in rows.items()}
    assert claims["false_discovery"] > claims["familywise"]
    # The bounds of `harmless` have a number of their own, R, at whose level exactly R exclude the margin.
    harmless = [r for r in rows["false_discovery"] if r["harm_limit"] > -0.012]
    [level] = {round(float(_level(r)), 6) for r in harmless}  # all have the same pointwise level
    assert level == pytest.approx(0.05 * len(harmless) / len(p), rel=1e-3)


def _level(row):
    """One-sided level of a limit of a single run: from Tango's statistic at the limit."""
    from evenhand.judge.stats.intervals import tango_statistic

    lost, won, n = row["n_right_to_wrong"], row["n_wrong_to_right"], row["n"]
    at = np.array([-row["harm_limit"]])
    statistic = tango_statistic(at, np.array([(lost - won) / n]), np.array([(lost + won) / n]), np.array([n]))
    return stats.norm.sf(abs(statistic[0]))


def test_an_unknown_error_rate_is_refused():
    with pytest.raises(InputError, match=r"--error-rate: unknown error rate 'fdr'.*false_discovery"):
        evenhand.audit(table([0.0]), by="group", error_rate="fdr")


def test_draws_are_those_of_the_two_sided_family():
    alike = 0.3 * np.ones((6, 6)) + 0.7 * np.eye(6)
    one, other = (correlated(alike, np.random.default_rng(1), side) for side in (1.0, -1.0))
    assert np.array_equal(one.maxima, other.maxima)
    assert float(z_of(0.05)) < one.critical(0.05)


def two_attributes(seed=7):
    rng = np.random.default_rng(seed)
    tables = table([0.0, 0.01], seed=seed)
    sex = rng.permutation(np.repeat(["F", "M"], len(tables["full"]["label"]) // 2))
    return {name: {**columns, "sex": sex} for name, columns in tables.items()}


def test_weights_split_alpha_between_attributes():
    weights = {"overall": 1, "group": 2}
    rows = evenhand.audit(two_attributes(), by=["group", "sex"], attribute_weights=weights).to_dict()
    primary = [r for r in rows["comparisons"] if r["family"] == "primary"]
    levels = {r["attribute"]: r["level"] for r in primary}
    assert levels == {
        None: pytest.approx(1 - 0.05 / 4),
        "group": pytest.approx(1 - 0.05 / 2),
        "sex": pytest.approx(1 - 0.05 / 4),
    }
    assert rows["settings"]["attribute_weights"] == weights
    # Each part is a family of its own: as if only its attribute had been judged, at its share of alpha.
    alone = evenhand.audit(two_attributes(), by="sex", alpha=0.05 / 4).to_dict()["comparisons"]
    limits = {(r["group"], r["metric"]): (r["low"], r["high"], r["harm_limit"]) for r in alone}
    for row in (r for r in primary if r["attribute"] == "sex"):
        assert limits[row["group"], row["metric"]] == (row["low"], row["high"], row["harm_limit"])


def test_a_weight_of_0_takes_an_attribute_out_of_the_verdicts():
    weights = {"sex": 0}
    rows = evenhand.audit(two_attributes(), by=["group", "sex"], attribute_weights=weights).to_dict()
    assert {r["attribute"] for r in rows["comparisons"] if r["family"] == "primary"} == {"group"}


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ({"sexx": 1}, r"--attribute-weight: no attribute 'sexx'; .*sex"),
        ({"sex": -1}, r"--attribute-weight sex=-1: got -1; a weight is a number of at least 0"),
        ({"sex": float("nan")}, "a weight is a number of at least 0"),
        ({"sex": 0, "group": 0}, "all weights are 0"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, complaint):
    with pytest.raises(InputError, match=complaint):
        evenhand.audit(two_attributes(), by=["group", "sex"], attribute_weights=weights)
