"""Variance components: by hand, against an analysis of variance, planted, and whether intervals hold."""

import itertools

import numpy as np
import pytest

import evenhand
from evenhand.judge.language import variance
from evenhand.judge.prompts.crossing import NESTED, OPTIONS, TEMPLATE, TOGETHER, groupings_of
from evenhand.judge.stats.variance import components, limits
from tests.judge.answers import likelihoods


def named(values, groupings, names, cluster=None):
    """Components by the initials of their factors."""
    cluster = np.arange(values.shape[2]) if cluster is None else cluster
    estimated = components(values, groupings, cluster)
    keys = [
        ("" if g < 0 else names[g]) + ("R" if seed else "") + ("S" if snippet else "")
        for g, seed, snippet in estimated.at
    ]
    return estimated, dict(zip(keys, estimated.estimates, strict=True))


def test_a_two_way_table_by_hand():
    """Rows are templates. SS: templates 32 (2 df), snippets 8 (3 df), whole 44, so the rest is 4 (6 df)."""
    values = np.array([[1.0, 2, 3, 2], [3, 4, 5, 4], [4, 6, 6, 8]])[:, None, :]
    _, by_name = named(values, [np.arange(3)], "T")
    assert by_name == pytest.approx({"T": (16 - 2 / 3) / 4, "S": (8 / 3 - 2 / 3) / 3, "TS": 2 / 3})


def test_an_unbalanced_one_way_table_by_hand():
    """Templates with 2, 1 and 3 option sets: n0 = (6 - 14 / 6) / 2; Searle et al. 1992, section 3.6."""
    template, values = np.array([0, 0, 1, 2, 2, 2]), np.array([1.0, 3, 8, 4, 6, 5])
    means = np.array([2.0, 8, 5])
    between = (np.array([2, 1, 3]) * (means - values.mean()) ** 2).sum() / 2
    within = ((values - means[template]) ** 2).sum() / 3
    n0 = (6 - 14 / 6) / 2
    _, by_name = named(values[:, None, None], [template, np.arange(6)], "TN")
    assert by_name == pytest.approx({"T": (between - within) / n0, "N": within})


def analysis_of_variance(values):
    """Components of a balanced crossing [T, O, R, S], from effects and their expected mean squares."""
    shape, axes = values.shape, range(4)
    effects = [set(c) for k in range(1, 5) for c in itertools.combinations(axes, k)]
    squares = []
    for of in effects:
        effect = sum(
            (-1) ** (len(of) - len(inner))
            * values.mean(axis=tuple(a for a in axes if a not in inner), keepdims=True)
            for k in range(len(of) + 1)
            for inner in itertools.combinations(of, k)
        )
        times = np.prod([shape[a] for a in axes if a not in of])
        squares.append(times * (effect**2).sum() / np.prod([shape[a] - 1 for a in of]))
    expected = [
        [np.prod([shape[a] for a in axes if a not in b]) if a <= b else 0 for b in effects] for a in effects
    ]
    solved = np.linalg.solve(np.array(expected, float), squares)
    return {"".join("TORS"[a] for a in sorted(e)): v for e, v in zip(effects, solved, strict=True)}


def crossed(values):
    """[T, O, R, S] values as prompts by seeds by snippets, with groupings T, O and both."""
    t, o = values.shape[:2]
    template, options = np.repeat(np.arange(t), o), np.tile(np.arange(o), t)
    return values.reshape(t * o, *values.shape[2:]), [template, options, np.arange(t * o)]


def test_a_balanced_crossing_is_the_analysis_of_variance():
    values = np.random.default_rng(1).normal(size=(3, 4, 2, 5)) + np.arange(3)[:, None, None, None]
    _, by_name = named(*crossed(values), ("T", "O", "TO"))
    assert by_name == pytest.approx(analysis_of_variance(values))


def test_prompts_that_are_partly_crossed_and_one_more_constant():
    """Expected values of an unbalanced crossing: the mean over many tables is what was planted."""
    rng = np.random.default_rng(2)
    template, options = np.array([0, 0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 0, 1, 1, 2, 0])
    estimates, planted = [], {"T": 1.0, "O": 0.5, "TO": 0.3, "S": 2.0, "TS": 0.4, "OS": 0.0, "TOS": 0.6}
    for _ in range(3000):
        values = (
            rng.normal(0, 1.0, (4, 1))[template]
            + rng.normal(0, 0.5**0.5, (3, 1))[options]
            + rng.normal(0, 0.3**0.5, (8, 1))
            + rng.normal(0, 2.0**0.5, (1, 3))
            + rng.normal(0, 0.4**0.5, (4, 3))[template]
            + rng.normal(0, 0.6**0.5, (8, 3))
        )[:, None, :]
        estimates.append(named(values, [template, options, np.arange(8)], ("T", "O", "TO"))[1])
    for name, true in planted.items():
        sample = np.array([t[name] for t in estimates])
        assert abs(sample.mean() - true) < 4 * sample.std() / np.sqrt(len(sample)), name
    again = named(values + 100, [template, options, np.arange(8)], ("T", "O", "TO"))[1]
    assert again == pytest.approx(estimates[-1])


def test_leaving_out_a_cluster_is_computing_without_it():
    values, groupings = crossed(np.random.default_rng(3).normal(size=(2, 3, 2, 7)))
    cluster = np.array([5, 2, 5, 2, 2, 9, 1])
    estimated = components(values, groupings, cluster)
    for row, left in zip(estimated.without, np.unique(cluster), strict=True):
        inside = cluster != left
        np.testing.assert_allclose(row, components(values[..., inside], groupings, cluster[inside]).estimates)


@pytest.mark.parametrize(
    ("prompts", "known", "degrees", "lacking"),
    [
        ([(0, 0)], [], [], {TEMPLATE: "one template only", OPTIONS: "one option set only"}),
        ([(0, 0), (0, 1)], [OPTIONS], [1], {TEMPLATE: "one template only"}),
        ([(0, 0), (1, 0)], [TEMPLATE], [1], {OPTIONS: "one option set only"}),
        ([(0, 0), (1, 1)], [TEMPLATE], [1], {OPTIONS: "has its own option set"}),
        ([(0, 0), (0, 1), (1, 2), (1, 3)], [TEMPLATE, NESTED], [1, 2], {OPTIONS: "too few templates"}),
        ([(0, 0), (0, 1), (1, 1)], [TEMPLATE, NESTED], [1, 1], {OPTIONS: "too few templates"}),
        ([(0, 0), (1, 0), (2, 1), (3, 1)], [OPTIONS, TEMPLATE], [1, 2], {}),
        (list(itertools.product(range(3), range(4))), [TEMPLATE, OPTIONS, TOGETHER], [2, 3, 6], {}),
    ],
)
def test_effects_of_prompts(prompts, known, degrees, lacking):
    effects = groupings_of(*np.array(prompts).T)
    assert list(effects.codes) == known
    assert [effects.degrees[name] for name in known] == degrees
    assert effects.lacking.keys() == lacking.keys()
    assert all(lacking[name] in effects.lacking[name] for name in lacking)
    if known:
        assert len(np.unique(effects.codes[known[-1]])) == len(prompts)


def test_any_pattern_of_prompts_can_be_solved():
    rng = np.random.default_rng(6)
    for _ in range(300):
        prompts = np.argwhere(rng.random(rng.integers(1, 6, 2)) < rng.random())
        if len(prompts) > 1:
            effects = groupings_of(*prompts.T)
            values = rng.normal(size=(len(prompts), 1, 3))
            estimates = components(values, list(effects.codes.values()), np.arange(3)).estimates
            assert np.abs(estimates).max() < 1e3
            assert min(effects.degrees.values()) >= 1


#: What is planted on the scale of the share: standard deviations by factor.
NONE = {"template": 0.0, "options": 0.0, "snippet": 0.0, "seed": 0.0, "noise": 0.0}


def table(planted, sizes=(6, 5, 100), seed=1, run_seed=1, drop=()):
    """One run whose share of 'f' is .5 plus what is planted; its seed is `run_seed`."""
    shared, local = np.random.default_rng(seed), np.random.default_rng((7, run_seed))
    deviations = NONE | planted
    effects = [
        shared.normal(0, deviations[k], n)
        for k, n in zip(("template", "options", "snippet"), sizes, strict=True)
    ]
    run = local.normal(0, deviations["seed"])
    rows = []
    for t, o, s in itertools.product(*(range(n) for n in sizes)):
        share = (
            0.5 + run + effects[0][t] + effects[1][o] + effects[2][s] + local.normal(0, deviations["noise"])
        )
        if (t, o, s) not in drop:
            rows += [(f"e{s:03}", f"t{t}", f"v{o}", "A", "f", np.log(share))]
            rows += [(f"e{s:03}", f"t{t}", f"v{o}", "B", "m", np.log1p(-share))]
    return likelihoods(rows)


def split(source, **options):
    """Rows about 'f' of a whole audit: of arms by (arm, component), of differences by component."""
    document = evenhand.audit(source, **options).to_dict()
    rows = [r for r in document["variance"] if r["class"] == "f"]
    arm_rows = {(r["input"], r["component"]): r for r in rows if r["input"]}
    return arm_rows, {r["component"]: r for r in rows if r["candidate"]}, document


def test_variance_that_is_in_the_templates_is_attributed_to_the_template():
    arm_rows, _, document = split({"a": table({"template": 0.1, "noise": 0.002})})
    row = arm_rows["a", TEMPLATE]
    assert row["share"] > 0.99
    assert row["low"] <= row["share"] <= row["high"]
    assert row["status"] == "ok"
    assert arm_rows["a", variance.PROMPT]["share"] > 0.99
    total = sum(r["share"] for r in arm_rows.values() if r["kind"] == "component" and r["share"] is not None)
    assert total == pytest.approx(1)
    assert not [p for p in document["problems"] if "Variance" in p]
    twin = [r["share"] for r in document["variance"] if r["class"] == "m" and r["component"] == TEMPLATE]
    assert twin == pytest.approx([row["share"]])


def test_planted_components_are_recovered_with_seeds():
    planted = {"template": 0.06, "options": 0.03, "snippet": 0.04, "seed": 0.03, "noise": 0.02}
    rows = [table(planted, (8, 6, 100), run_seed=r) | {"run": [str(r)] * 9600} for r in range(6)]
    arm_rows, _, _ = split({"a": {k: [v for r in rows for v in r[k]] for k in rows[0]}}, run="run")
    draws = np.random.default_rng(1)
    effects = {TEMPLATE: draws.normal(0, 0.06, 8), OPTIONS: draws.normal(0, 0.03, 6)}
    effects |= {"snippet": draws.normal(0, 0.04, 100)}
    effects["seed"] = np.array([np.random.default_rng((7, r)).normal(0, 0.03) for r in range(6)])
    for name, drawn in effects.items():
        assert arm_rows["a", name]["variance"] == pytest.approx(np.var(drawn, ddof=1), rel=0.1), name
    assert arm_rows["a", "residual"]["variance"] == pytest.approx(0.02**2, rel=0.05)
    assert arm_rows["a", "residual"]["factors"] == "template x option set x snippet x seed"
    assert arm_rows["a", "seed"]["degrees"] == 5
    for row in arm_rows.values():
        assert row["status"] == "ok", row
    assert arm_rows["a", variance.WITH_SEED]["share"] == pytest.approx(
        sum(r["share"] for (_, name), r in arm_rows.items() if "seed" in (r["factors"] or ""))
    )


def test_a_difference_is_split_on_the_same_contexts():
    """Both arms share templates and snippets; only the candidate depends on the option set."""
    arms = {
        "full": table({"template": 0.1, "snippet": 0.05, "noise": 0.002}),
        "lora": table({"template": 0.1, "snippet": 0.05, "options": 0.05, "noise": 0.002}, run_seed=2),
    }
    arm_rows, difference, _ = split(arms)
    assert arm_rows["full", TEMPLATE]["share"] > 0.5
    assert difference[OPTIONS]["share"] > 0.95
    assert difference[TEMPLATE]["share"] < 0.01
    assert (difference[OPTIONS]["candidate"], difference[OPTIONS]["reference"]) == ("lora", "full")
    assert difference["seed"]["status"] == "undefined"
    same = split({"full": arms["full"], "lora": arms["full"]})[1]
    assert {r["status"] for r in same.values()} == {"undefined"}
    assert "all shares are the same" in same[TEMPLATE]["reason"]


def test_runs_of_other_names_are_compared_by_their_means():
    arms = {
        arm: [table({"template": 0.05, "noise": 0.02}, (2, 2, 50), run_seed=(i, r)) for r in range(2)]
        for i, arm in enumerate(("full", "lora"))
    }
    _, difference, _ = split(arms)
    assert "different names" in difference["seed"]["reason"]
    assert difference["residual"]["variance"] == pytest.approx(
        0.02**2, rel=0.3
    )  # two arms, halved by two runs


def test_negative_components_are_reported():
    arm_rows, _, _ = split({"a": table({"noise": 0.05}, (5, 5, 100), seed=4)})
    negative = [
        r for r in arm_rows.values() if r["kind"] == "component" and (r["variance_untruncated"] or 0) < 0
    ]
    assert negative
    for r in negative:
        assert (r["variance"], r["share"]) == (0, 0)
        assert r["share_untruncated"] < 0
        assert r["low"] == 0


@pytest.mark.parametrize(
    ("sizes", "gone", "left"),
    [
        ((1, 5, 100), {TEMPLATE: "one template"}, {OPTIONS, "snippet", "residual"}),
        ((6, 1, 100), {OPTIONS: "one option set"}, {TEMPLATE, "snippet", "residual"}),
        ((6, 5, 1), {"snippet": "one snippet"}, {TEMPLATE, OPTIONS, "residual"}),
        ((1, 1, 100), {TEMPLATE: "one template", "snippet": "only snippet varies"}, set()),
    ],
)
def test_undefined_components_have_a_reason_and_the_rest_is_reported(sizes, gone, left):
    planted = {"template": 0.05, "options": 0.05, "snippet": 0.05, "noise": 0.01}
    arm_rows, _, _ = split({"a": table(planted, sizes)})
    for name, reason in {**gone, "seed": "one run"}.items():
        assert arm_rows["a", name]["status"] == "undefined"
        assert reason in arm_rows["a", name]["reason"]
        assert arm_rows["a", name]["share"] is None
    assert {
        name for (_, name), r in arm_rows.items() if r["share"] is not None and r["kind"] == "component"
    } == left


@pytest.mark.parametrize("templates", [2, 4])
def test_few_templates_have_no_interval(templates):
    arm_rows, _, _ = split({"a": table({"template": 0.05, "noise": 0.02}, (templates, 6, 100))})
    for name in (TEMPLATE, variance.PROMPT):
        row = arm_rows["a", name]
        assert (row["low"], row["high"], row["status"]) == (None, None, "too_small")
        assert f"{templates - 1} degree" in row["reason"]
        assert row["share"] > 0
    assert arm_rows["a", OPTIONS]["status"] == "ok"


def test_few_snippets_have_no_interval():
    arm_rows, _, _ = split({"a": table({"template": 0.05, "noise": 0.02}, (6, 5, 99))})
    assert all(r["low"] is None for r in arm_rows.values())
    assert "99 independent snippets, fewer than 100" in arm_rows["a", "snippet"]["reason"]
    rows = table({"template": 0.05, "noise": 0.02}, (6, 5, 100))
    clustered = rows | {"author": [str(int(e[1:]) // 2) for e in rows["example_id"]]}
    arm_rows, _, _ = split({"a": clustered}, cluster="author")
    assert "50 independent snippets" in arm_rows["a", "snippet"]["reason"]
    arm_rows, _, _ = split({"a": rows | {"author": rows["template"]}}, cluster="author")
    assert "cut across prompts" in arm_rows["a", "snippet"]["reason"]


def test_snippets_that_do_not_stand_everywhere_are_left_out_and_counted():
    planted = {"template": 0.05, "noise": 0.01}
    arm_rows, _, document = split({"a": table(planted, (3, 3, 55), drop={(0, 0, 4), (0, 1, 4), (2, 2, 9)})})
    assert (arm_rows["a", TEMPLATE]["n"], arm_rows["a", TEMPLATE]["left_out"]) == (9 * 53, 7 + 8)
    assert any("15 of 492 contexts" in p for p in document["problems"])
    # A prompt that hardly any snippet stands in goes first.
    rare = {(0, 0, s) for s in range(50)}
    arm_rows, _, _ = split({"a": table(planted, (3, 3, 55), drop=rare)})
    assert (arm_rows["a", TEMPLATE]["n"], arm_rows["a", TEMPLATE]["left_out"]) == (8 * 55, 5)


def coverage(templates, strength, draw, replicates=150, snippets=100, seed=5):
    """Share of intervals that hold, of templates, snippets and both, for templates of this strength."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=templates)
    effects *= np.sqrt(strength) / effects.std(ddof=1)
    true = {(0, False, False): strength, (-1, False, True): 1.0, (0, False, True): 0.5}
    held = dict.fromkeys(true, 0)
    for _ in range(replicates):
        values = effects[:, None] + draw(rng, snippets) + 0.5**0.5 * draw(rng, (templates, snippets))
        estimated = components(values[:, None, :], [np.arange(templates)], np.arange(snippets))
        for at, truth in true.items():
            low, high = limits(*estimated.shares([estimated.at.index(at)]), 0.05)
            held[at] += low <= truth / (strength + 1.5) <= high
    return {at: n / replicates for at, n in held.items()}


DRAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("strength", [0.0, 0.02, 0.3, 3.0])
def test_intervals_hold_for_five_templates_and_a_hundred_snippets(strength, draw):
    """Nominal 95 %, of which 90 % of 150 replicates is 2.8 standard errors below."""
    held = coverage(5, strength, DRAWS[draw])
    assert min(held.values()) > 0.9, held


def test_two_templates_would_not_cover():
    """One degree of freedom and a weak effect: such an interval would hold four times of five."""
    assert coverage(2, 0.02, DRAWS["normal"])[0, False, False] < 0.9
