"""Predictions of four published vision models, audited by the command, against pandas and fairlearn."""

from __future__ import annotations

import itertools
import json

import by_hand
import pandas as pd
import pytest
from by_hand import EXACT, close

from evenhand.cli import main

pytestmark = pytest.mark.shared

SETS = ("waterbirds", "fairface")
METHODS = ("debiasify", "disent", "jtt", "resnet")
CHOICES = ("avg", "worst_group")
COLUMNS = ["--id", "image", "--label", "y_true", "--prediction", "y_pred", "--score", "p_1"]


def read(name, chosen):
    table = pd.read_parquet(by_hand.shared_file("vision_group_predictions", f"{name}_predictions.parquet"))
    return table[table.select_by == chosen]


def run(folder, *options):
    path = folder / "result.json"
    code = main(
        ["audit", *options, *COLUMNS, "--by", "attr_true", "--min-group-size", "1", "--json", str(path)]
    )
    assert code == 0
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def audits(tmp_path_factory):
    """Every set and choice, each method as reference once: 16 calls of the command on the long files."""
    found = {}
    for name, chosen, method in itertools.product(SETS, CHOICES, METHODS):
        path = by_hand.shared_file("vision_group_predictions", f"{name}_predictions.parquet")
        options = ["--arm", "method", "--where", f"select_by={chosen}", "--reference", method]
        found[name, chosen, method] = run(tmp_path_factory.mktemp("audit"), str(path), *options)
    return found


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Every pair of methods in both orders, two arms at a time, from one file per method."""
    found = {}
    for name in SETS:
        folder = tmp_path_factory.mktemp("pairs")
        for method, rows in read(name, "avg").groupby("method"):
            rows.to_parquet(folder / f"{method}.parquet")
        for a, b in itertools.permutations(METHODS, 2):
            files = [str(folder / f"{m}.parquet") for m in (a, b)]
            found[name, a, b] = run(folder, *files)
    return found


@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("name", SETS)
def test_rates_are_those_that_pandas_counts(name, chosen, audits):
    table = read(name, chosen)
    result = audits[name, chosen, "resnet"]
    rows = by_hand.by_place(result["rates"], "input", "attribute", "group", "class", "metric")
    seen = 0
    for method, group in itertools.product(METHODS, (None, 0, 1)):
        part = table[table.method == method]
        part = part if group is None else part[part.attr_true == group]
        wanted = by_hand.rates_of(part.y_true, part.y_pred) | by_hand.scores_of(part.y_true, part.p_1)
        for metric, value in wanted.items():
            place = (None, None) if group is None else ("attr_true", str(group))
            row = rows[method, *place, None, metric]
            assert close(row["value"], value), (method, group, metric)
            assert (row["n"], row["n_positive"]) == (len(part), part.y_true.sum())
            seen += 1
    assert seen == len(rows)


@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("name", SETS)
def test_disparities_are_fairlearns(name, chosen, audits):
    table = read(name, chosen)
    rows = by_hand.by_place(audits[name, chosen, "resnet"]["disparities"], "input", "metric")
    for method in METHODS:
        part = table[table.method == method]
        given = (part.y_true, part.y_pred, part.attr_true)
        wanted = {name: by_hand.fairlearn_disparity(name, *given) for name in by_hand.DISPARITIES}
        errors = [by_hand.calibration_error(g.p_1, g.y_true) for _, g in part.groupby("attr_true")]
        wanted["expected_calibration_error_difference"] = max(errors) - min(errors)
        for metric, value in wanted.items():
            row = rows[method, metric]
            assert close(row["value"], value), (method, metric)
            assert (row["attribute"], row["class"], row["groups_left_out"]) == ("attr_true", None, [])
        assert len(wanted) == sum(input_ == method for input_, _ in rows)


@pytest.mark.parametrize("reference", METHODS)
@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("name", SETS)
def test_flips_and_differences_are_those_that_pandas_counts(name, chosen, reference, audits):
    table = read(name, chosen)
    wide = table.pivot(index="image", columns="method", values="y_pred")
    truth = table.drop_duplicates("image").set_index("image").loc[wide.index]
    result = audits[name, chosen, reference]
    values = by_hand.by_place(result["rates"], "input", "attribute", "group", "metric")
    gaps = by_hand.by_place(result["disparities"], "input", "metric")
    assert len(result["comparisons"]) == 3 * (3 * 13 + 9)
    for row in result["comparisons"]:
        assert row["reference"] == reference != row["candidate"]
        inside = slice(None) if row["group"] is None else truth.attr_true == int(row["group"])
        y, a, b = truth.y_true[inside], wide[reference][inside], wide[row["candidate"]][inside]
        assert (row["n_right_to_wrong"], row["n_wrong_to_right"]) == by_hand.flips_of(y, a, b, row["metric"])
        assert row["n"] == len(y)
        place = (row["attribute"], row["group"], row["metric"])
        one, other = (
            gaps[arm, row["metric"]] if (arm, row["metric"]) in gaps else values[arm, *place]
            for arm in (reference, row["candidate"])
        )
        assert close(row["difference"], other["value"] - one["value"])


@pytest.mark.parametrize("reference", METHODS)
@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("name", SETS)
def test_intervals_p_values_and_verdicts_agree(name, chosen, reference, audits):
    result = audits[name, chosen, reference]
    by_hand.check_rules(result)
    assert sum(result["verdict"]["counts"].values()) == 3 * 2 * 3
    primary = [r for r in result["comparisons"] if r["family"] == "primary"]
    assert {r["metric"] for r in primary} == {"accuracy", "true_positive_rate", "false_positive_rate"}


#: Verdicts that have a mirror image.
MIRRORED = {"harm": "help", "help": "harm"}


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(METHODS, 2)))
@pytest.mark.parametrize("name", SETS)
def test_two_arms_mirror_when_they_change_places(name, a, b, pairs):
    there, back = (
        by_hand.by_place(pairs[name, *order]["comparisons"], "attribute", "group", "metric")
        for order in ((a, b), (b, a))
    )
    assert there.keys() == back.keys()
    for place, one in there.items():
        two = back[place]
        # The critical value of a family is drawn, with an error that depends on the order of the arms.
        tolerance = (
            (1e-6 if place[1] else 0.02) * (one["high"] - one["low"]) if one["low"] is not None else 0.0
        )
        assert close(one["difference"], -two["difference"], EXACT), place
        assert (one["n_right_to_wrong"], one["n_wrong_to_right"]) == (
            two["n_wrong_to_right"],
            two["n_right_to_wrong"],
        )
        assert (one["low"] is None) == (two["low"] is None)
        if one["low"] is None:
            continue
        if "ratio" not in place[2]:  # a ratio's difference is bounded on the reference's scale
            assert abs(one["low"] + two["high"]) <= tolerance, place
            assert abs(one["high"] + two["low"]) <= tolerance, place
        if "contrasts" not in one["interval"]:
            assert abs(one["p_value"] - two["p_value"]) <= 1e-9, place
        if one["verdict"] in MIRRORED and min(abs(one["low"]), abs(one["high"])) > tolerance:
            assert two["verdict"] == MIRRORED[one["verdict"]], place


@pytest.mark.parametrize("name", SETS)
def test_single_comparisons_do_not_depend_on_the_other_arms(name, audits, pairs):
    """Difference and p-value of a pair are the same beside two more arms; intervals may widen."""
    for a, b in itertools.permutations(METHODS, 2):
        alone = by_hand.by_place(pairs[name, a, b]["comparisons"], "attribute", "group", "metric")
        beside = [r for r in audits[name, "avg", a]["comparisons"] if r["candidate"] == b]
        for row in beside:
            one = alone[row["attribute"], row["group"], row["metric"]]
            assert close(row["difference"], one["difference"])
            if row["low"] is not None and "contrasts" not in row["interval"]:
                assert close(row["p_value"], one["p_value"], 1e-9)
                drawn = 0.01 * (one["high"] - one["low"])
                assert row["low"] <= one["low"] + drawn
                assert row["high"] >= one["high"] - drawn
