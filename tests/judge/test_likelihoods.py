"""Likelihoods: scorings by hand, planted token priors and beliefs, robustness of conclusions."""

import numpy as np
import pytest

import evenhand
from evenhand.errors import InputError
from evenhand.judge.generative import token_bias
from evenhand.judge.language import tables as likelihood_tables
from evenhand.judge.prompts.choices import TIED, choose_all, scoring_names
from evenhand.judge.prompts.forms import find_blocks, fit_effects
from evenhand.judge.scorings.pride import token_priors
from evenhand.judge.settings import Settings
from evenhand.tables.answers.likelihoods import load_likelihoods
from evenhand.tables.schema import Columns
from tests.judge.answers import CYCLIC, answers, likelihoods

MALE, FEMALE = "male", "female"


def two(example, log_a, log_b, meanings=(MALE, FEMALE), variant="letters", template="t"):
    return [
        (example, template, variant, token, meaning, value)
        for token, meaning, value in zip("AB", meanings, (log_a, log_b), strict=True)
    ]


def chosen(data, scoring):
    table = load_likelihoods(data, Columns())
    choices, lacking = choose_all(table)
    assert scoring in choices, lacking
    c = choices[scoring]
    return [[*table.meanings, TIED][m] for m in c.meaning[0]]


def test_raw_takes_the_likeliest_and_length_the_likeliest_per_token():
    rows = [*two("1", -1.0, -2.0), *two("2", -3.0, -2.0), *two("3", -2.0, -2.0)]
    assert chosen(likelihoods(rows), "raw") == [MALE, FEMALE, TIED]
    data = likelihoods(rows) | {"n_tokens": [1, 4, 1, 1, 1, 2]}
    assert chosen(data, "length_normalised") == [FEMALE, FEMALE, FEMALE]


def test_ties_are_reported():
    rows = [r for i in range(20) for r in two(str(i), -1.0, -1.0 if i < 5 else -2.0)]
    document = evenhand.audit(likelihoods(rows)).to_dict()
    raw = next(s for s in document["scorings"] if s["scoring"] == "raw")
    assert raw["tied"] == 0.25
    shares = {r["class"]: r["value"] for r in document["rates"] if r["metric"] == "option_share"}
    assert shares == {MALE: 0.75, FEMALE: 0.0, TIED: 0.25}
    by = {(o["by"], o["option"]): o["value"] for o in document["options"] if o["scoring"] == "raw"}
    assert by["token", "A"] == 0.75
    assert by["token", TIED] == 0.25


def test_pmi_and_contextual_divide_by_what_says_nothing():
    rows = [*two("1", -1.0, -2.0), *two("2", -3.0, -2.0)]
    data = likelihoods(rows, {"log_prob_free": [-0.5, -2.5, -0.5, -2.5]})
    # log p - log p_free: -.5 against .5; -2.5 against .5
    assert chosen(data, "pmi") == [FEMALE, FEMALE]
    assert chosen(data, "contextual") == [FEMALE, FEMALE]
    uneven = likelihoods(rows, {"log_prob_free": [-0.5, -2.5, -4.5, -0.5]})
    # each its own: -.5 / .5 and 1.5 / -1.5; contextual: mean of the shares of A, .881 and .018
    assert chosen(uneven, "pmi") == [FEMALE, MALE]
    assert chosen(uneven, "contextual") == [MALE, FEMALE]


def test_batch_calibration_by_hand():
    # log-odds A against B: 3, 2, 1: their mean is 2
    rows = [r for i, odds in enumerate((3.0, 2.5, 0.5)) for r in two(str(i), -1.0, -1.0 - odds)]
    assert chosen(likelihoods(rows), "batch") == [MALE, MALE, FEMALE]


def test_pride_by_hand():
    """Two forms: the token effect on the log-odds is their mean, the meaning effect half their difference."""
    rows = []
    for e, (first, second) in enumerate([(3.0, 1.0), (2.0, 1.0)]):
        rows += two(str(e), -5.0, -5.0 - first) + two(str(e), -5.0, -5.0 - second, (FEMALE, MALE), "inverted")
    table = load_likelihoods(likelihoods(rows), Columns())
    blocks = find_blocks(table)
    effects = fit_effects(table, blocks)
    np.testing.assert_allclose(effects.token[0], [[1.0, -1.0], [0.75, -0.75]])  # half of 2 and of 1.5
    np.testing.assert_allclose(effects.meaning[0], [[-0.5, 0.5], [-0.25, 0.25]])  # female, male
    shares = np.exp([2.0, 1.5]) / (1 + np.exp([2.0, 1.5]))
    np.testing.assert_allclose(token_priors(table, blocks)[0, 0], [shares.mean(), 1 - shares.mean()])
    # the token always wins raw (A); debiased, the meaning does
    assert chosen(likelihoods(rows), "raw") == [FEMALE, MALE, FEMALE, MALE]
    assert chosen(likelihoods(rows), "pride") == [MALE, MALE, MALE, MALE]


@pytest.mark.parametrize("k", [2, 3])
def test_effects_of_all_cyclic_permutations_are_means(k):
    """With every meaning at every token, the token's effect is the mean log share, centred (PriDe)."""
    rows = answers(5, np.arange(k), np.arange(k)[::-1] / 2, seed=3)
    table = load_likelihoods(likelihoods(rows), Columns())
    blocks = find_blocks(table)
    logs = table.log_prob[0].reshape(5, k, k)  # example, form, token: contexts are sorted by name
    mean = logs.mean(axis=1)
    np.testing.assert_allclose(fit_effects(table, blocks).token[0], mean - mean.mean(axis=1, keepdims=True))


def test_debiasing_recovers_the_planted_belief():
    prior, belief = np.array([1.5, 0.0, -1.5]), np.array([-0.6, 0.0, 0.6])
    table = load_likelihoods(likelihoods(answers(400, prior, belief, noise=0.5)), Columns())
    choices, _ = choose_all(table)
    rng = np.random.default_rng(9)
    truth = np.bincount(np.argmax(belief + rng.normal(0, 0.5, (100_000, 3)), axis=1)) / 100_000
    shares = {n: np.bincount(c.meaning[0], minlength=4)[:3] / len(c.scored) for n, c in choices.items()}
    assert np.abs(shares["pride"] - truth).max() < 0.06
    assert np.abs(shares["raw"] - truth).max() > 0.2
    effects = fit_effects(table, find_blocks(table))
    np.testing.assert_allclose(effects.meaning[0].mean(axis=0), belief, atol=0.1)
    np.testing.assert_allclose(effects.token[0].mean(axis=0), prior, atol=0.02)
    expected = np.exp(prior) / np.exp(prior).sum()
    np.testing.assert_allclose(token_priors(table, find_blocks(table))[0, 0], expected, atol=0.02)


def shifts(document, metric):
    return {
        r["class"]: r
        for r in document["token_bias"]["shifts"]
        if r["metric"] == metric and r["attribute"] is None
    }


def test_a_shifted_token_prior_is_token_bias_and_not_belief():
    prior, belief, shift = np.array([0.5, 0.0, -0.5]), np.array([0.2, 0.0, -0.2]), np.array([0.6, 0.0, 0.0])
    base = likelihoods(answers(150, prior, belief, arm_seed=1))
    moved = likelihoods(answers(150, prior + shift, belief, arm_seed=2))
    document = evenhand.audit({"full": base, "lora": moved}).to_dict()
    tokens, meanings = shifts(document, "token_prior"), shifts(document, "meaning_preference")
    for token, true in zip("ABC", shift - shift.mean(), strict=True):
        assert tokens[token]["low"] <= true <= tokens[token]["high"]
    assert tokens["A"]["low"] > 0
    assert all(r["low"] < 0 < r["high"] for r in meanings.values())
    assert all(r["high"] - r["low"] < 0.1 for r in meanings.values())
    assert "token bias, not belief" in document["verdict"]["sentence"]


def test_a_shifted_belief_is_no_token_bias():
    prior, belief = np.array([0.5, 0.0, -0.5]), np.array([0.2, 0.0, -0.2])
    base = likelihoods(answers(150, prior, belief, arm_seed=1))
    moved = likelihoods(answers(150, prior, belief + np.array([0.6, 0, 0]), arm_seed=2))
    document = evenhand.audit({"none": base, "lora": moved}).to_dict()
    assert "belief, not token bias" in document["verdict"]["sentence"]
    tokens, meanings = shifts(document, "token_prior"), shifts(document, "meaning_preference")
    assert all(r["low"] < 0 < r["high"] for r in tokens.values())
    assert meanings["m0"]["low"] <= 0.4 <= meanings["m0"]["high"]


def test_false_alarms_of_shifts():
    """Equal arms: all shifts are one family, so that any is found in 5 % of the tables."""
    alarms = 0
    for seed in range(20):
        arms = {
            f"a{i}": likelihoods(
                answers(40, [0.5, -0.5], [0.1, -0.1], own=0.3, seed=seed, arm_seed=(seed, i))
            )
            for i in range(2)
        }
        choices, _ = choose_all(load_likelihoods(arms, Columns()))
        result = likelihood_tables.shift_rows(token_bias.compute(choices["raw"]), 0, Settings())
        alarms += any(r.low > 0 or r.high < 0 for r in result if r.status == "ok")
    assert alarms <= 4  # 1 of 20 expected, sd 1


def test_the_base_is_compared_with_when_it_is_there():
    arms = {
        name: likelihoods(answers(30, [0.5, -0.5], [0.1, -0.1], arm_seed=i))
        for i, name in enumerate(("full", "none", "lora"))
    }
    bias = evenhand.audit(arms).to_dict()["token_bias"]
    assert bias["base"] == "none"
    assert {(r["candidate"], r["reference"]) for r in bias["shifts"]} == {
        ("none", "full"), ("lora", "full"), ("full", "none"), ("lora", "none")
    }  # fmt: skip


def test_permuted_prompts_by_hand():
    """Three questions: the answer follows the meaning, the token; a tie."""
    first = {"1": (-1.0, -2.0), "2": (-1.0, -2.0), "3": (-1.0, -1.0)}
    second = {"1": (-2.0, -1.0), "2": (-1.0, -2.0), "3": (-1.0, -2.0)}
    rows = [r for e, v in first.items() for r in two(e, *v)]
    rows += [r for e, v in second.items() for r in two(e, *v, (FEMALE, MALE), "letters_inverted")]
    document = evenhand.audit(likelihoods(rows), min_group_size=1).to_dict()
    shares = {r["outcome"]: r["value"] for r in document["inversions"] if r["scoring"] == "raw"}
    assert shares == pytest.approx({"meaning": 1 / 3, "token": 1 / 3, "both": 0, "neither": 0, "tied": 1 / 3})
    rates = {r["metric"]: r for r in document["rates"] if r["attribute"] is None}
    assert rates["token_followed"]["value"] == pytest.approx(1 / 3)
    assert rates["token_followed"]["n"] == 3
    assert document["inversions"][0]["kind"] == "inverted"
    assert (document["inversions"][0]["variant"], document["inversions"][0]["twin"]) == (
        "letters",
        "letters_inverted",
    )


def test_reordered_options_are_no_inversion():
    rows = [
        r for e in "1234" for v in ("letters", "letters_reordered") for r in two(e, -1.0, -2.0, variant=v)
    ]
    document = evenhand.audit(likelihoods(rows)).to_dict()
    assert {r["kind"] for r in document["inversions"]} == {"reordered"}
    assert not [r for r in document["rates"] if r["metric"] == "token_followed"]
    assert any("cannot be distinguished" in p for p in document["problems"])


def test_recalls_by_hand():
    """Expected at A: chosen 2 of 2; at B: 1 of 2. RStd is the standard deviation of 1 and .5."""
    rows = [*two("1", -1.0, -2.0), *two("2", -1.0, -2.0), *two("3", -1.0, -2.0), *two("4", -2.0, -1.0)]
    labels = [MALE] * 4 + [FEMALE] * 4
    document = evenhand.audit(likelihoods(rows, {"label_meaning": labels}), min_group_size=1).to_dict()
    raw = next(r for r in document["token_bias"]["rstd"] if r["scoring"] == "raw")
    assert raw["recalls"] == [1.0, 0.5]
    assert raw["value"] == pytest.approx(0.25)
    [accuracy] = [r for r in document["rates"] if r["metric"] == "option_accuracy" and r["attribute"] is None]
    assert accuracy["value"] == 0.75
    without = evenhand.audit(likelihoods(rows)).to_dict()["token_bias"]["rstd"][0]
    assert without["value"] is None
    assert "label_meaning" in without["reason"]


def conclusion(forms, scale):
    """Two arms that differ in the prior of A, or in the belief in m0, with these forms."""
    prior, belief = np.array([0.0, 0.0]), np.array([0.0, 0.0])
    base = answers(200, prior, belief, noise=0.6, arm_seed=1, forms=forms)
    token, meaning = scale
    other = answers(
        200, prior + np.array([token, 0]), belief + np.array([meaning, 0]), noise=0.6, arm_seed=2, forms=forms
    )
    return evenhand.audit({"full": likelihoods(base), "lora": likelihoods(other)}).to_dict()


def test_a_conclusion_about_a_token_does_not_survive_the_token():
    document = conclusion([(0, 1), (1, 0), (0, 1)], (1.0, 0.0))  # m0 stands at A twice of three times
    [row] = [s for s in document["survival"] if s["meaning"] == "m0" and s["axis"] == "token"]
    assert row["says"] == "more"
    assert row["finding"] == "turns"
    assert row["opposite"] == 1
    assert "do not all survive" in document["verdict"]["sentence"]


def test_a_conclusion_about_a_belief_survives():
    document = conclusion(CYCLIC[2], (0.0, 1.0))
    findings = {s["axis"]: s["finding"] for s in document["survival"] if s["meaning"] == "m0"}
    assert findings["token"] == "survives"
    raw = [c for c in document["conclusions"] if c["axis"] is None and c["class"] == "m0"]
    assert [c["says"] for c in raw] == ["more"]


def test_runs_and_units():
    files = {
        arm: [likelihoods(answers(30, [0.5, -0.5], [0.1, -0.1], arm_seed=(i, r))) for r in range(5)]
        for i, arm in enumerate(("full", "lora"))
    }
    document = evenhand.audit(files).to_dict()
    assert {r["unit"] for r in document["rates"]} == {"rows and runs"}
    assert {r["runs"] for r in document["token_bias"]["shifts"]} == {5}


def test_every_scoring_is_tried_and_says_why_not():
    document = evenhand.audit(likelihoods(answers(20, [0.5, -0.5], [0.1, -0.1]))).to_dict()
    reasons = {s["scoring"]: s["reason"] for s in document["scorings"]}
    assert set(reasons) == set(scoring_names())
    assert "log_prob_free" in reasons["pmi"]
    assert reasons["pride"] == ""
    with pytest.raises(InputError, match="--scoring pmi: needs the column log_prob_free"):
        evenhand.audit(likelihoods(answers(20, [0.5, -0.5], [0.1, -0.1])), scoring="pmi")
    with pytest.raises(InputError, match="unknown scoring 'pridee': did you mean 'pride'"):
        evenhand.audit(likelihoods(answers(20, [0.5, -0.5], [0.1, -0.1])), scoring="pridee")


def test_options_that_differ_between_examples():
    """Sentences as options (as in minimal pairs) have meanings but no token priors."""
    rows = []
    for e in range(30):
        for meaning, value in (("stereo", -10.0 - e % 3), ("anti", -11.0)):
            rows.append((f"{e}", "pairs", "plain", f"sentence {e} {meaning}", meaning, value))
    document = evenhand.audit(likelihoods(rows, {"label_meaning": ["anti"] * 60})).to_dict()
    assert not [o for o in document["options"] if o["by"] == "token"]
    assert document["token_bias"]["priors"] == []
    [accuracy] = [r for r in document["rates"] if r["metric"] == "option_accuracy"]
    assert accuracy["value"] == pytest.approx(1 / 3)
