"""Two models each on census and credit data, audited from memory, parquet and csv, against pandas by hand.

The models are small on purpose: what is tested is the audit of real groups, some of them tiny.
"""

from __future__ import annotations

import functools
import itertools

import by_hand
import numpy as np
import pandas as pd
import pytest
from by_hand import EXACT, close, sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import evenhand

pytestmark = pytest.mark.shared

ADULT = (
    "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,"
    "capital_gain,capital_loss,hours_per_week,native_country,income"
)


def adult():
    path = by_hand.shared_file("adult", "adult.data")
    table = pd.read_csv(path, header=None, names=ADULT.split(","), skipinitialspace=True)
    return table.assign(label=(table.pop("income") == ">50K").astype(int))


def acs_income():
    table = pd.read_parquet(by_hand.shared_file("acs_income", "acs_income.parquet"))
    return table.rename(columns={"PINCP": "label"}).drop(columns="row")


def german_credit():
    table = pd.read_csv(by_hand.shared_file("german_credit", "german_credit.csv.gz"))
    return table.rename(columns={"class-label": "label"})


#: What each set is audited by, and the crossings.
AUDITS = {
    "adult": (adult, ("race", "sex"), (("race", "sex"),)),
    "acs_income": (acs_income, ("RAC1P", "SEX"), ()),
    "german_credit": (german_credit, ("sex",), ()),
}


def halves(table):
    """Features as numbers, a mask of at most 6,000 rows to train on, and one of half the rows to audit."""
    place = np.random.default_rng(0).permutation(len(table))
    features = table.drop(columns="label")
    for name in features:
        if not pd.api.types.is_numeric_dtype(features[name]):
            features[name] = features[name].astype("category").cat.codes
    return features, place < min(len(table) // 2, 6000), place >= len(table) // 2


def answers(table, groups, test, probability):
    """One arm's file: ids, labels, predictions, scores and groups of the audited rows."""
    made = table.loc[test, [*groups, "label"]].reset_index(names="example_id")
    return made.assign(prediction=(probability >= 0.5).astype(int), score=probability)


def probabilities(model, features, kept, label, train, test):
    """P(label 1) of the audited rows by a model fitted to the training rows, on one thread."""
    with threadpool_limits(1):
        model.fit(features[kept].to_numpy(float)[train], label.to_numpy()[train])
        return model.predict_proba(features[kept].to_numpy(float)[test])[:, 1]


def boosting(seed=0):
    return HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=seed)


def trained(name):
    """The two arms of a set: logistic regression with all features, boosting without the groups' columns."""
    load, groups, _ = AUDITS[name]
    table = load()
    features, train, test = halves(table)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    kept = {"logistic": list(features), "boosting": [c for c in features if c not in groups]}
    return {
        arm: answers(table, groups, test, probabilities(model, features, kept[arm], table.label, train, test))
        for arm, model in {"logistic": logistic, "boosting": boosting()}.items()
    }


@pytest.fixture(scope="module")
def arms():
    return {name: trained(name) for name in AUDITS}


@pytest.fixture(scope="module")
def results(arms):
    """The audit of each set from tables in memory."""
    return {
        name: evenhand.audit(arms[name], by=groups, intersect=crossed).to_dict()
        for name, (_, groups, crossed) in AUDITS.items()
    }


def parts_of(table, result):
    """(attribute, group, rows) of every group of a result, all rows first."""
    for attribute, group in dict.fromkeys((r["attribute"], r["group"]) for r in result["rates"]):
        inside = pd.Series(True, index=table.index)
        if attribute is not None:
            for column, value in zip(attribute.split(" x "), group.split(" x "), strict=True):
                inside &= table[column].astype(str) == value
        yield attribute, group, inside


@pytest.mark.parametrize("name", AUDITS)
def test_rates_are_those_that_pandas_counts(name, arms, results):
    result = results[name]
    rows = by_hand.by_place(result["rates"], "input", "attribute", "group", "metric")
    seen = 0
    for arm, table in arms[name].items():
        for attribute, group, inside in parts_of(table, result):
            part = table[inside]
            wanted = by_hand.rates_of(part.label, part.prediction)
            wanted |= by_hand.scores_of(part.label, part.score)
            for metric, value in wanted.items():
                row = rows[arm, attribute, group, metric]
                assert close(row["value"], value), (arm, attribute, group, metric)
                assert (row["n"], row["n_positive"]) == (len(part), part.label.sum())
                small = "undefined" if np.isnan(value) else "too_small" if len(part) < 10 else "ok"
                assert row["status"] == small
                seen += 1
    assert seen == len(rows)


@pytest.mark.parametrize("name", AUDITS)
def test_disparities_are_fairlearns_over_the_groups_that_are_used(name, arms, results):
    result = results[name]
    for row in result["disparities"]:
        table = arms[name][row["input"]]
        columns = [table[column].astype(str) for column in row["attribute"].split(" x ")]
        group = functools.reduce(lambda a, b: a + " x " + b, columns)
        sizes = group.value_counts()
        left_out = [g["group"] for g in row["groups_left_out"]]
        assert set(sizes.index) <= {*row["groups_used"], *left_out}
        assert set(sizes[sizes < 10].index) <= set(left_out)
        part, used = table[group.isin(row["groups_used"])], group[group.isin(row["groups_used"])]
        if row["metric"] == "expected_calibration_error_difference":
            errors = [by_hand.calibration_error(g.score, g.label) for _, g in part.groupby(used)]
            wanted = max(errors) - min(errors)
        else:
            wanted = by_hand.fairlearn_disparity(row["metric"], part.label, part.prediction, used)
        assert close(row["value"], wanted), row


@pytest.mark.parametrize("name", AUDITS)
def test_flips_and_differences_are_those_that_pandas_counts(name, arms, results):
    result = results[name]
    reference, candidate = arms[name]["logistic"], arms[name]["boosting"]
    values = by_hand.by_place(result["rates"], "input", "attribute", "group", "metric")
    inside = {(a, g): i for a, g, i in parts_of(reference, result)}
    seen = 0
    for row in result["comparisons"]:
        place = (row["attribute"], row["group"])
        if place not in inside:  # a disparity: no group
            continue
        t = reference[inside[place]]
        flips = by_hand.flips_of(t.label, t.prediction, candidate.prediction[inside[place]], row["metric"])
        assert (row["n_right_to_wrong"], row["n_wrong_to_right"]) == flips, row
        one, other = (values[arm, *place, row["metric"]]["value"] for arm in ("logistic", "boosting"))
        assert close(row["difference"], None if one is None or other is None else other - one), row
        seen += 1
    assert seen == len(values) // 2


@pytest.mark.parametrize("name", AUDITS)
def test_intervals_p_values_and_verdicts_agree(name, results):
    by_hand.check_rules(results[name])


@pytest.mark.parametrize("name", AUDITS)
def test_files_give_the_numbers_of_tables_in_memory(name, arms, results, tmp_path):
    """One arm from a parquet file, the other from a csv file."""
    _, groups, crossed = AUDITS[name]
    paths = [tmp_path / "logistic.parquet", tmp_path / "boosting.csv"]
    arms[name]["logistic"].to_parquet(paths[0])
    arms[name]["boosting"].to_csv(paths[1], index=False)
    result = evenhand.audit([str(p) for p in paths], by=groups, intersect=crossed).to_dict()
    assert by_hand.without_origin(result) == by_hand.without_origin(results[name])
    assert [(i["name"], i["rows"]) for i in result["inputs"]] == [(a, len(t)) for a, t in arms[name].items()]


@pytest.mark.parametrize("name", AUDITS)
def test_calibration_and_losses_are_scikit_learns(name, arms, results):
    rows = by_hand.by_place(results[name]["rates"], "input", "attribute", "group", "metric")
    for arm, t in arms[name].items():
        brier = sklearn.brier_score_loss(t.label, t.score)
        assert close(rows[arm, None, None, "brier_score"]["value"], brier)
        assert close(rows[arm, None, None, "roc_auc"]["value"], sklearn.roc_auc_score(t.label, t.score))
        assert close(rows[arm, None, None, "log_loss"]["value"], sklearn.log_loss(t.label, t.score))


RUNS = 5


def bootstrapped():
    """Adult: five bootstraps of the training rows, boosting with and without the groups' columns on each."""
    table = adult()
    features, train, test = halves(table)
    columns = {"all": list(features), "blind": [c for c in features if c not in ("race", "sex")]}
    parts = []
    for seed in range(RUNS):
        drawn = np.random.default_rng(seed).choice(np.flatnonzero(train), train.sum())
        for arm, kept in columns.items():
            probability = probabilities(boosting(seed), features, kept, table.label, drawn, test)
            made = answers(table, ("race", "sex"), test, probability)
            parts.append(made.assign(method=arm, seed=seed))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def runs():
    return bootstrapped()


@pytest.fixture(scope="module")
def audit_of_runs(runs):
    return evenhand.audit(
        runs, by=("race", "sex"), arm="method", run="seed", reference="all", metric=by_hand.RATES
    ).to_dict()


def test_rates_of_five_runs_are_the_means_of_pandas_rates(runs, audit_of_runs):
    rows = by_hand.by_place(audit_of_runs["rates"], "input", "attribute", "group", "metric")
    for arm, table in runs.groupby("method"):
        for attribute, group, inside in parts_of(table, audit_of_runs):
            each = pd.DataFrame(
                [by_hand.rates_of(t.label, t.prediction) for _, t in table[inside].groupby("seed")]
            )
            for metric, value in each.mean(skipna=False).items():
                row = rows[arm, attribute, group, metric]
                assert close(row["value"], value), (arm, attribute, group, metric)
                assert (row["runs"], row["unit"]) == (RUNS, "rows and runs")
                assert row["n"] * RUNS == inside.sum()


def test_comparisons_of_five_runs_hold_for_the_method(runs, audit_of_runs):
    by_hand.check_rules(audit_of_runs)
    assert {r["unit"] for r in audit_of_runs["comparisons"]} == {"rows and runs"}
    assert "not for the method" not in audit_of_runs["verdict"]["sentence"]
    right = runs.assign(right=runs.label == runs.prediction)
    answers = right.pivot_table(index="example_id", columns=["method", "seed"], values="right").astype(bool)
    race = runs.drop_duplicates("example_id").set_index("example_id").race
    for row in audit_of_runs["comparisons"]:
        if (row["metric"], row["attribute"]) == ("accuracy", "race"):
            t = answers[race == row["group"]]
            lost = (t["all"] & ~t["blind"]).to_numpy().sum() / RUNS  # of each seed by itself
            won = (~t["all"] & t["blind"]).to_numpy().sum() / RUNS
            assert abs(row["n_right_to_wrong"] - lost) <= 1e-6
            assert abs(row["n_wrong_to_right"] - won) <= 1e-6
            difference = t["blind"].to_numpy().mean() - t["all"].to_numpy().mean()
            assert close(row["difference"], difference)


def test_five_runs_say_less_than_each_alone_pretends(runs, audit_of_runs):
    """An interval for the method holds the differences that its own runs show, on average."""
    single = []
    for _, table in runs.groupby("seed"):
        result = evenhand.audit(
            table, by=("race", "sex"), arm="method", reference="all", metric=("accuracy",)
        ).to_dict()
        by_hand.check_rules(result)
        assert {r["unit"] for r in result["comparisons"]} == {"rows"}
        single.append({(r["attribute"], r["group"]): r["difference"] for r in result["comparisons"]})
    for row in audit_of_runs["comparisons"]:
        if row["metric"] == "accuracy":
            each = [s[row["attribute"], row["group"]] for s in single]
            assert abs(row["difference"] - np.mean(each)) <= EXACT
            spread = np.std(each, ddof=1) / np.sqrt(RUNS)
            # Moderated variances have more degrees of freedom than the four of these five runs.
            assert row["high"] - row["low"] >= 2 * 1.96 * spread - EXACT


#: Overlapping groups of the census: a person is in none, one or several.
MEMBERSHIPS = {
    "trait_woman": lambda t: t.SEX == 2,
    "trait_young": lambda t: t.AGEP < 30,
    "trait_old": lambda t: t.AGEP >= 60,
    "trait_minority": lambda t: t.RAC1P != 0,
    "trait_part_time": lambda t: t.WKHP < 35,
    "trait_nobody": lambda t: t.AGEP < 0,
}


def with_traits(arms):
    """The census files with overlapping 0/1 columns beside their partitions."""
    source = acs_income()
    found = {}
    for arm, table in arms.items():
        traits = source.loc[table.example_id]
        flags = {name: rule(traits).astype(int).to_numpy() for name, rule in MEMBERSHIPS.items()}
        found[arm] = table.assign(**flags)
    return found


def test_memberships_are_those_that_pandas_counts(arms):
    members = with_traits(arms["acs_income"])
    result = evenhand.audit(members, memberships="trait_*").to_dict()
    by_hand.check_rules(result)
    reference, candidate = members.values()
    rows = by_hand.by_place(result["rates"], "input", "attribute", "group", "metric")
    traits = [name.removeprefix("trait_") for name in MEMBERSHIPS]
    assert {group for _, attribute, group, _ in rows if attribute == "trait_"} == set(traits)
    for (arm, table), trait in itertools.product(members.items(), traits):
        part = table[table[f"trait_{trait}"] == 1]
        for metric, value in by_hand.rates_of(part.label, part.prediction).items():
            row = rows[arm, "trait_", trait, metric]
            assert close(row["value"], value), (arm, trait, metric)
            assert row["n"] == len(part)
            assert row["status"] == ("undefined" if trait == "nobody" else "ok")
    for row in result["comparisons"]:
        if row["group"] is not None:
            inside = reference[f"trait_{row['group']}"] == 1
            t, other = reference[inside], candidate[inside]
            flips = by_hand.flips_of(t.label, t.prediction, other.prediction, row["metric"])
            assert (row["n_right_to_wrong"], row["n_wrong_to_right"]) == flips, row
    for row in result["disparities"]:
        assert [g["group"] for g in row["groups_left_out"]] == ["nobody"]
        if row["metric"] == "accuracy_difference":
            values = [rows[row["input"], "trait_", g, "accuracy"]["value"] for g in row["groups_used"]]
            assert close(row["value"], max(values) - min(values))


def test_memberships_that_do_not_overlap_are_a_partition(arms):
    """Rates, differences and flips of 0/1 columns of one attribute equal those of the attribute."""
    table = {
        a: t.assign(**pd.get_dummies(t.SEX, prefix="is", dtype=int)) for a, t in arms["acs_income"].items()
    }
    one = evenhand.audit(table, by="SEX").to_dict()
    two = evenhand.audit(table, memberships="is_*").to_dict()
    for kind, numbers in {
        "rates": ("value", "low", "high", "n"),
        "disparities": ("value",),
        "comparisons": ("difference", "n_right_to_wrong", "n_wrong_to_right", "verdict"),
    }.items():
        assert len(one[kind]) == len(two[kind])
        for a, b in zip(one[kind], two[kind], strict=True):
            assert a.get("group") == b.get("group")
            assert [a[k] for k in numbers] == pytest.approx([b[k] for k in numbers], abs=EXACT), (a, b)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_ratio_that_falls_to_0_is_seen(arms):
    """Boosting that no longer selects any woman: her ratio falls to 0, and the interval says so."""
    reference = arms["adult"]["logistic"]
    none = reference.assign(prediction=reference.prediction.where(reference.sex == "Male", 0))
    result = evenhand.compare(reference, none, by="sex", metric="demographic_parity_ratio").to_dict()
    (row,) = [r for r in result["comparisons"] if r["attribute"] == "sex"]
    assert row["difference"] < 0
    assert row["high"] < 0
