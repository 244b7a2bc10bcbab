"""Attacks: by hand, against loops over rows, and against the truth of normal signals."""

import math

import numpy as np
import pytest
from benchmarks.simulate.attacks import halves

from evenhand import registry
from evenhand.errors import CallError
from evenhand.judge.attacks import ATTACKS, Evidence, attack_name, lira, loss, parse_attack, rmia
from evenhand.judge.attacks._moments import centre, compute_moments
from evenhand.spec.base import Frozen
from tests.judge.attacked import NORMAL, auc, gaussian, slow_lira, slow_rmia


@pytest.mark.parametrize("name", registry.names(ATTACKS))
def test_contract(name):
    """Every attack has its facts, closed options, and one score per target and row; higher means member."""
    module = registry.load(ATTACKS, name)
    assert module.INFO.title
    assert module.INFO.reference
    assert issubclass(module.Config, Frozen)
    config = module.Config()
    assert attack_name(name, config) == name
    assert parse_attack(name) == (name, config)
    e = gaussian(12, 400, gap=3.0, seed=1)
    scores = module.score(e, config)
    assert scores.shape == (12, 400)
    assert np.mean([auc(scores[t], e.member[t]) for t in range(12)]) > 0.9
    only = Evidence(e.member, np.array([3]), False, e.loss, e.margin)
    assert module.score(only, config).shape == (1, 400)
    needed = module.needs(config)
    assert set(needed.signals) <= {"loss", "margin", "base_loss"}
    assert needed.references in {"none", "out", "both"}


def test_loss_by_hand():
    e = Evidence(
        np.array([[True, False]]),
        np.array([0]),
        True,
        np.array([[[1.0, 3.0], [0.5, 0.5]]]),
        base_loss=np.array([[[4.0, 4.0], [0.25, 0.25]]]),
    )
    assert loss.score(e, loss.Config()).tolist() == [[-2.0, -0.5]]
    assert loss.score(e, loss.Config(reference="base")).tolist() == [[2.0, -0.25]]


def by_hand() -> Evidence:
    """One row, one target at 1; members at 1 and 3, non-members at -1, 0 and 1."""
    margin = np.array([1.0, 1.0, 3.0, -1.0, 0.0, 1.0])[:, None, None]
    member = np.array([True, True, True, False, False, False])[:, None]
    return Evidence(member, np.array([0]), False, np.zeros_like(margin), margin)


def test_online_lira_by_hand():
    """N(2, 2) against N(0, 1) at 1: -1/4 - log(2)/2 + 1/2."""
    result = lira.score(by_hand(), lira.Config(variance="per_example"))
    assert result[0, 0] == pytest.approx(0.25 - math.log(2) / 2)


def test_offline_lira_by_hand():
    """The target is one standard deviation above the mean of non-members: -log P(Z > 1)."""
    result = lira.score(by_hand(), lira.Config(mode="offline", variance="per_example"))
    assert result[0, 0] == pytest.approx(-math.log(0.158655253931457))


def test_shrunk_variance_by_hand():
    """Of one row the mean over rows is its own variance, whatever the prior."""
    per_example = lira.score(by_hand(), lira.Config(variance="per_example"))
    assert lira.score(by_hand(), lira.Config(variance="shrunk", prior=5)) == pytest.approx(per_example)


def test_rmia_by_hand():
    """Ratios .8/.4 = 2, .3/.3 = 1, .2/.4 = 1/2: with gamma 1.5 they exceed 2, 1 and 0 of 3 rows."""
    p = np.array([[0.8, 0.3, 0.2], [0.5, 0.3, 0.4], [0.3, 0.3, 0.4]])
    member = np.array([[True, True, False], [False, False, True], [False, True, False]])
    e = Evidence(member, np.array([0]), False, -np.log(p)[:, :, None])
    assert rmia.score(e, rmia.Config(gamma=1.5)) * 3 == pytest.approx(np.array([[2, 1, 0]]))
    # Offline, a = 0: p = (p_out + 1) / 2 = .7, .65, .7, so ratios 1.143, .462, .286.
    assert rmia.score(e, rmia.Config(mode="offline", a=0, gamma=1.5)) * 3 == pytest.approx(
        np.array([[2, 1, 0]])
    )
    assert rmia.score(e, rmia.Config(mode="offline", a=0, gamma=2)) * 3 == pytest.approx(
        np.array([[2, 0, 0]])
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("variance", ["per_example", "shrunk", "global"])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_lira_is_the_loop_over_rows(shared, mode, variance, monkeypatch):
    monkeypatch.setattr("evenhand.judge.attacks.MAX_MATRIX_ELEMENTS", 500)
    e = gaussian(9, 60, gap=1.0, seed=2, spread=3.0, views=2)
    if not shared:
        e = Evidence(e.member, np.array([0, 4]), False, e.loss, e.margin)
    config = lira.Config(mode=mode, variance=variance, prior=3)
    result, expected = lira.score(e, config), slow_lira(e, mode=mode, variance=variance, prior=3)
    assert np.isfinite(expected).mean() > 0.8
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_rmia_is_the_matrix_of_ratios(shared, mode, gamma, monkeypatch):
    monkeypatch.setattr("evenhand.judge.attacks.MAX_MATRIX_ELEMENTS", 500)
    e = gaussian(9, 80, gap=1.0, seed=3, spread=2.0, views=2)
    if not shared:
        e = Evidence(e.member, np.array([0, 4]), False, e.loss)
    result = rmia.score(e, rmia.Config(mode=mode, gamma=gamma))
    np.testing.assert_allclose(result, slow_rmia(e, mode=mode, gamma=gamma), atol=1e-12)


def test_lira_and_loss_meet_the_closed_form():
    """512 references, margins N(0, 1) and N(gap, 1): AUC Phi(gap / sqrt 2), TPR Phi(gap + z_f), for both."""
    gap, rows = 1.5, 4000
    e = gaussian(513, rows, gap=gap, seed=4)
    e = Evidence(e.member, np.array([0]), False, e.loss, e.margin)
    member = e.member[0]
    want = NORMAL.cdf(gap / math.sqrt(2))
    for scores in (
        lira.score(e, lira.Config(variance="per_example"))[0],
        lira.score(e, lira.Config(variance="global"))[0],
        lira.score(e, lira.Config(mode="offline"))[0],
        loss.score(e, loss.Config())[0],
    ):
        assert auc(scores, member) == pytest.approx(want, abs=3 * 0.0065)
        for f in (0.01, 0.05):
            true = NORMAL.cdf(gap + NORMAL.inv_cdf(f))
            density = math.exp(-((gap + NORMAL.inv_cdf(f)) ** 2) / 2) / math.exp(
                -(NORMAL.inv_cdf(f) ** 2) / 2
            )
            noise = math.sqrt(true * (1 - true) / 2000 + density**2 * f * (1 - f) / 2000)
            threshold = np.sort(scores[~member])[::-1][int(f * 2000)]
            assert (scores[member] > threshold).mean() == pytest.approx(true, abs=3.5 * noise)


def test_lira_knows_hard_rows_where_the_loss_does_not():
    e = gaussian(33, 2000, gap=1.5, seed=5, spread=3.0)
    plain, ratio = loss.score(e, loss.Config()), lira.score(e, lira.Config())
    plain_auc, ratio_auc = (np.mean([auc(s[t], e.member[t]) for t in range(8)]) for s in (plain, ratio))
    assert plain_auc < 0.68
    assert ratio_auc > 0.82


@pytest.mark.parametrize("name", ["lira", "lira[mode=offline]", "rmia", "rmia[mode=offline]", "loss"])
def test_without_leakage_attacks_are_at_chance(name):
    kind, config = parse_attack(name)
    e = gaussian(24, 2500, gap=0.0, seed=6, spread=2.0)
    scores = registry.load(ATTACKS, kind).score(e, config)
    mean = np.mean([auc(scores[t], e.member[t]) for t in range(24)])
    assert mean == pytest.approx(0.5, abs=0.01)


def test_a_row_without_references_has_no_score():
    e = gaussian(4, 6, gap=1.0, seed=7)
    e.member[:, 0] = [True, False, False, False]  # target 0 has no other member of row 0
    assert np.isnan(lira.score(e, lira.Config(variance="global"))[0, 0])
    e.member[:, 1] = [False, True, True, True]
    assert np.isnan(rmia.score(e, rmia.Config(mode="offline"))[0, 1])


def test_references_that_agree_have_no_variance():
    e = gaussian(6, 40, gap=0.0, seed=8)
    same = Evidence(e.member, e.targets, True, e.loss, np.broadcast_to(e.margin[:1], e.margin.shape))
    for variance in ("per_example", "shrunk", "global"):
        assert np.isnan(lira.score(same, lira.Config(variance=variance))).all()


def test_moments_keep_their_digits():
    """A large common value does not cost the variance digits."""
    e = gaussian(7, 30, gap=0.5, seed=9)
    far = Evidence(e.member, e.targets, True, e.loss, e.margin + 1e6)
    m = compute_moments(centre(far.margin, far), far.member, far)[True]
    other = far.margin[1:, 0, 0][far.member[1:, 0]]
    assert m.squares[0, 0, 0] == pytest.approx(((other - other.mean()) ** 2).sum(), rel=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lyra", "did you mean 'lira'"),
        ("lira[mode=of", "is not an attack"),
        ("lira[mode=none]", "mode"),
        ("lira[mod=offline]", "did you mean 'mode'"),
        ("rmia[gamma=0.5]", "gamma"),
        ("lira[offline]", "key=value"),
    ],
)
def test_refuses_what_is_no_attack(text, message):
    with pytest.raises(CallError, match=message):
        parse_attack(text)


def test_names_hold_the_options_that_are_not_the_default():
    assert attack_name("lira", lira.Config(mode="offline")) == "lira[mode=offline]"
    assert attack_name("rmia", rmia.Config(gamma=1)) == "rmia[gamma=1.0]"
    assert parse_attack("lira[mode=offline, variance=global]")[1] == lira.Config(
        mode="offline", variance="global"
    )


def test_halves_are_halves():
    assert (halves(5, 100, np.random.default_rng(0)).sum(axis=1) == 50).all()
