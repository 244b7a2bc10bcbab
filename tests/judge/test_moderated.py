"""`lira_t`, LiRA with moderated variances: against scipy row by row, and against known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.simulate.attacks import Z, halves
from scipy import optimize, special, stats

from evenhand.judge.attacks import Evidence, lira, lira_t, parse_attack
from evenhand.judge.attacks.lira_t import _trigamma_inverse
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import Scored, observe
from evenhand.judge.privacy.rates import limits
from evenhand.judge.privacy.settings import AUC
from tests.judge.attacked import auc, gaussian


def uneven(models, rows, *, gap, seed, unlike, views=1):
    """Margins N(difficulty + gap m, sigma^2) whose log sigma is N(0, unlike) over rows."""
    rng = np.random.default_rng(seed)
    member = halves(models, rows, rng)
    sigma = np.exp(unlike * rng.standard_normal((rows, 1)))
    difficulty = 2 * rng.standard_normal((rows, 1))
    margin = difficulty + gap * member[:, :, None] + sigma * rng.standard_normal((models, rows, views))
    return Evidence(member, np.arange(models), True, np.logaddexp(0, -margin), margin)


def slow(e: Evidence, *, mode: str) -> np.ndarray:
    """The same with a loop over targets, views and rows, and scipy's own t and root finder."""
    models, rows, views = e.margin.shape
    result = np.zeros((len(e.targets), rows))
    for t, target in enumerate(e.targets):
        references = [r for r in range(models) if (r != target if e.shared else r not in e.targets)]
        for v in range(views):
            logs = {}
            for side in (True, False):
                values = [
                    [e.margin[r, i, v] for r in references if e.member[r, i] == side] for i in range(rows)
                ]
                d = np.array([len(x) - 1 for x in values if len(x) > 1])
                s2 = np.array([np.var(x, ddof=1) for x in values if len(x) > 1])
                z = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
                left = np.var(z, ddof=1) - special.polygamma(1, d / 2).mean()
                d0 = 2e6
                if left > 1e-6:
                    d0 = 2 * optimize.brentq(lambda x, y=left: special.polygamma(1, x) - y, 1e-6, 1e6 + 1)
                s0 = math.exp(z.mean() + special.digamma(d0 / 2) - math.log(d0 / 2))
                logs[side] = []
                for i, x in enumerate(values):
                    if not x:
                        logs[side].append(math.nan)
                        continue
                    freedom = d0 + len(x) - 1
                    squares = np.sum((np.array(x) - np.mean(x)) ** 2)
                    scale = math.sqrt((1 + 1 / len(x)) * (d0 * s0 + squares) / freedom)
                    log = stats.t.logpdf if mode == "online" else stats.t.logsf
                    logs[side].append(log(e.margin[target, i, v], freedom, np.mean(x), scale))
            ratio = np.array(logs[True]) - np.array(logs[False])
            result[t] += ratio if mode == "online" else -np.array(logs[False])
    return result


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("unlike", [0.0, 0.8])
def test_scores_are_those_of_a_loop_over_rows(shared, mode, unlike, monkeypatch):
    monkeypatch.setattr("evenhand.judge.attacks.MAX_MATRIX_ELEMENTS", 500)
    e = uneven(9, 60, gap=1.0, seed=2, unlike=unlike, views=2)
    if not shared:
        e = Evidence(e.member, np.array([0, 4]), False, e.loss, e.margin)
    result, expected = lira_t.score(e, lira_t.Config(mode=mode)), slow(e, mode=mode)
    assert np.isfinite(expected).mean() > 0.8
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-5)


def test_by_hand():
    """Two rows of the same variance: nothing differs, so the prior is all, and the t is a normal."""
    margin = np.array([[1.0, 9.0], [1.0, 3.0], [3.0, 5.0], [-1.0, 0.0], [1.0, 2.0]])[:, :, None]
    member = np.array([[True] * 2] * 3 + [[False] * 2] * 2)
    e = Evidence(member, np.array([0]), False, np.zeros_like(margin), margin)
    # Variance 2 on both sides, by the mean of logarithms of chi^2 with one degree of freedom: exp(log 2 +
    # 1.27036) = 7.1243; scale^2 of two references 1.5 times that. Means 2 and 4, 0 and 1; x is 1 and 9.
    variance = 1.5 * 2 * math.exp(-special.digamma(0.5) + math.log(0.5))
    expected = [(1 - 1) / (2 * variance), (64 - 25) / (2 * variance)]
    np.testing.assert_allclose(lira_t.score(e, lira_t.Config())[0], expected, rtol=1e-4, atol=1e-4)


def test_the_inverse_of_trigamma():
    x = np.array([1e-3, 0.2, 1.0, 17.0, 1e5])
    np.testing.assert_allclose(_trigamma_inverse(special.polygamma(1, x)), x, rtol=1e-8)


def test_the_prior_of_known_variances_is_estimated():
    """Variances 6 x 2.5 / chi^2 with 6 degrees of freedom."""
    rng = np.random.default_rng(5)
    rows, models = 8000, 33
    sigma = np.sqrt(6 * 2.5 / rng.chisquare(6, rows))[:, None]
    member = halves(models, rows, rng)
    margin = sigma * rng.standard_normal((models, rows, 1))
    e = Evidence(member, np.arange(1), False, margin, margin)
    for prior in lira_t._estimate_priors(e).values():
        assert prior.freedom.item() == pytest.approx(6, rel=0.1)
        assert prior.variance.item() == pytest.approx(2.5, rel=0.03)


def mean_rates(attack: str, e: Evidence) -> np.ndarray:
    """Mean AUC and true positive rate at 1 % over some targets."""
    kind, config = parse_attack(attack)
    scores = {"lira": lira, "lira_t": lira_t}[kind].score(e, config)
    rates = []
    for s, m in zip(scores[:6], e.member[:6], strict=True):
        known = np.isfinite(s)
        s, m = s[known], m[known]
        threshold = np.sort(s[~m])[::-1][int(0.01 * (~m).sum())]
        rates.append((auc(s, m), (s[m] > threshold).mean()))
    return np.mean(rates, axis=0)


OTHERS = ("lira", "lira[variance=per_example]", "lira[variance=global]")


@pytest.mark.parametrize("references", [4, 8])
@pytest.mark.parametrize("unlike", [0.0, 0.5])
def test_with_few_references_it_finds_as_much_as_lira_at_least(references, unlike):
    """A row has about half of the other models as references of each kind."""
    e = uneven(2 * references + 1, 3000, gap=1.5, seed=3, unlike=unlike)
    mine = mean_rates("lira_t", e)
    for other in OTHERS:
        area, rate = mine - mean_rates(other, e)
        assert area > -0.002, other
        assert rate > -0.01, other
    if unlike:
        area, rate = mine - mean_rates("lira", e)
        assert area > 0.005
        assert rate > 0.01


def test_with_many_references_it_is_lira_with_a_variance_per_row():
    e = uneven(257, 800, gap=1.5, seed=4, unlike=0.7)
    only = Evidence(e.member, np.array([0]), False, e.loss, e.margin)
    mine, other = (
        attack.score(only, config)[0]
        for attack, config in ((lira_t, lira_t.Config()), (lira, lira.Config(variance="per_example")))
    )
    member = e.member[0]
    assert auc(mine, member) == pytest.approx(auc(other, member), abs=0.003)
    assert stats.spearmanr(mine, other).statistic > 0.995


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_without_leakage_the_interval_of_the_area_holds_a_half(mode):
    """At its nominal rate: 400 studies of seven models and rows with variances that differ."""
    rows, replicates, missed = 400, 400, 0
    for seed in range(replicates):
        e = uneven(7, rows, gap=0.0, seed=(7, seed), unlike=0.7)
        scores = lira_t.score(e, lira_t.Config(mode=mode))[:1]
        group = Group(None, None, np.arange(rows), rows)
        estimates = observe(Scored("a", "lira_t", ("0",), scores, e.member[:1]), [group], (0.05,), Z)
        low, high = limits(estimates, estimates.leakage[AUC, 0], AUC, 0, 0.05)[:2]
        missed += not low <= 0.5 <= high
    assert missed / replicates == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / replicates))


def test_far_tails_keep_their_order():
    """Where P(T > x) underflows, rows are still ordered by their distance in the tail."""
    e = gaussian(40, 300, gap=0.0, seed=9)
    margin = e.margin.copy()
    margin[0, :3, 0] += [60, 80, 100]
    only = Evidence(e.member, np.array([0]), False, e.loss, margin)
    scores = lira_t.score(only, lira_t.Config(mode="offline"))[0]
    assert np.isfinite(scores).all()
    assert scores[0] < scores[1] < scores[2]
    assert scores[0] > np.sort(scores[3:])[-1]


def test_rows_that_references_agree_on_or_lack_have_no_score():
    e = gaussian(6, 40, gap=0.5, seed=8)
    same = Evidence(e.member, e.targets, True, e.loss, np.broadcast_to(e.margin[:1], e.margin.shape))
    assert np.isnan(lira_t.score(same, lira_t.Config())).all()
    e.member[:, 0] = [True] + 5 * [False]  # the first model is the only one that saw the row
    scores = lira_t.score(e, lira_t.Config())
    assert np.isnan(scores[0, 0])
    assert np.isfinite(scores[1, 0])
