"""What a column means: words for missing values, scores against predictions, labels that are no classes.

Every table is written by hand, and each figure can be counted in it.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import evenhand
from evenhand import CallError, InputError, metrics
from evenhand.tables.reader.labels import describe_measurements, describe_nested_labels, several_values
from evenhand.tables.values import tidy

LABELS = [1, 0, 1, 0, 1, 0, 1, 0]
ANSWERS = [1, 0, 0, 0, 1, 1, 1, 0]  # six of eight are right
TABLE = {"label": LABELS, "prediction": ANSWERS, "sex": list("ffffmmmm")}


def rates(result, metric="accuracy"):
    return {
        row["group"]: row["value"] for row in result.rates if row["metric"] == metric and row["attribute"]
    }


def overall(result, metric="accuracy"):
    (row,) = [row for row in result.rates if row["metric"] == metric and row["attribute"] is None]
    return row["value"]


def audited(table, *, by="sex", **options):
    return evenhand.audit(table, by=by, min_group_size=1, **options)


def remarks(result):
    return " ".join(result.to_dict()["settings"].get("problems") or result.to_dict()["problems"])


def refused(table, words, *, by="sex", **options):
    with pytest.raises(InputError, match=words):
        audited(table, by=by, **options)


# --- One text for one value ---


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (" Male\t", "Male"),
        ("\u00a0Male\u200b", "Male"),
        ("\ufeffMale", "Male"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("TRUE", "true"),
        ("False", "false"),
        ("3.0", "3"),
        ("3,0", "3"),
        ("3,000", "3,000"),
        ("1e+05", "100000"),
        ("1.25e+03", "1250"),
        ("1e5", "1e5"),
        ("007", "007"),
        ("2024-02-29 23:30:00+00:00", "2024-02-29 23:30:00+00"),
        ("2024-03-01T08:30:00+09:00", "2024-02-29 23:30:00+00"),
        ("2024-03-01 00:00:00.000", "2024-03-01"),
        ("2024-03-01T12:00", "2024-03-01 12:00:00"),
        ("2024-19-01 12:00:00", "2024-19-01 12:00:00"),
        ("Namibia", "Namibia"),
        ("NA", "NA"),
    ],
)
def test_a_value_has_one_text(written, value):
    assert tidy(written) == value
    assert tidy(value) == value


@pytest.mark.parametrize(
    "word", ["", "  ", "nan", "NaN", "NAN", "NaT", "<NA>", "null", "NULL", "#N/A", "\\N", None]
)
def test_words_that_are_missing_everywhere(word, tmp_path):
    assert tidy(word) is None
    groups = ["f", "f", "f", word, "m", "m", "m", "m"]
    refused(TABLE | {"sex": groups}, r"'sex' \(--by\) has no value in 1 row")
    refused(TABLE | {"label": [*LABELS[:-1], word]}, "'label' .*no value in 1 row") if word is None else None
    texts = [str(v) for v in LABELS[:-1]] + ([word] if word is not None else [None])
    refused(TABLE | {"label": texts}, "'label' .*no value in 1 row")
    with pytest.raises(CallError, match="1 of 8 values are missing"):
        metrics.accuracy_difference(LABELS, ANSWERS, sensitive_features=groups)
    file = tmp_path / "t.csv"
    rows = zip(LABELS, ANSWERS, groups, strict=True)
    file.write_text(
        "label,prediction,sex\n" + "".join(f"{a},{b},{'' if g is None else g}\n" for a, b, g in rows)
    )
    refused(str(file), "no value in 1 row")


@pytest.mark.parametrize("word", ["NA", "N/A", "None", "?", "."])
def test_a_group_that_is_also_a_word_for_missing_is_kept_with_a_remark(word):
    result = audited(TABLE | {"sex": ["f"] * 4 + [word] * 4})
    assert rates(result) == {"f": 0.75, word: 0.75}
    assert f"4 rows of '{word}' make a group like any other" in remarks(result)
    assert "word for a missing value" not in remarks(audited(TABLE))


@pytest.mark.parametrize("word", ["NA", "N/A", "None", "-100", "?"])
def test_such_a_word_is_a_class_only_where_labels_and_predictions_have_it(word):
    labels = [str(v) for v in LABELS[:-2]] + [word, word]
    answers = [str(v) for v in ANSWERS]
    refused(TABLE | {"label": labels, "prediction": answers}, f"2 labels are '{word}'.*no prediction is")
    refused(TABLE | {"label": answers, "prediction": labels}, f"2 predictions are '{word}'.*no label is")
    both = audited(TABLE | {"label": labels, "prediction": [*answers[:-2], word, "0"]})
    assert overall(both) == 5 / 8  # rows 0, 1, 3, 4 and 6
    with pytest.raises(CallError, match=f"2 values are '{word}'"):
        metrics.balanced_accuracy(labels, answers)


def test_a_class_of_that_name_may_have_scores_only():
    scores = {f"score_{c}": [float(c == d) for d in ["NA", "yes", "yes", "NA"]] for c in ("NA", "yes")}
    table = {"label": ["NA", "yes", "yes", "NA"], "g": list("aabb")} | scores
    assert overall(audited(table, by="g", positive="yes")) == 1.0
    refused(
        {"label": ["1", "0", "NA"], "score": [0.9, 0.1, 0.5], "g": list("aab")}, "1 labels are 'NA'", by="g"
    )


def test_groups_that_differ_by_blanks_are_one_and_by_capitals_are_remarked():
    groups = ["Male", "Male ", "\u00a0Male", "Male", "male", "male", "male", "male"]
    result = audited(TABLE | {"sex": groups})
    assert rates(result) == {"Male": 0.75, "male": 0.75}
    assert "'Male', 'male' are written almost alike" in remarks(result)
    sexes = ["a", "a ", "b", "b\u00a0"] * 2
    assert metrics.accuracy_difference(LABELS, ANSWERS, sensitive_features=sexes) == 0.0
    kept = audited(TABLE | {"sex": groups}, where={"sex": "Male"})
    assert kept.to_dict()["inputs"][0]["rows"] == 4


def test_booleans_of_every_program_are_one_group(tmp_path):
    paths = []
    for name, words in {"r": ("TRUE", "FALSE"), "py": ("True", "False"), "js": ("true", "false")}.items():
        path = tmp_path / f"{name}.csv"
        rows = [f"x{i},{a},{b},{words[i % 2]}" for i, (a, b) in enumerate(zip(LABELS, ANSWERS, strict=True))]
        path.write_text("\n".join(["example_id,label,prediction,veteran", *rows]) + "\n")
        paths.append(str(path))
    result = audited(paths, by="veteran")
    assert rates(result) == {"true": 0.75, "false": 0.75}


def test_moments_are_the_same_in_every_zone_and_format(tmp_path, monkeypatch):
    import time
    from datetime import UTC, datetime

    days = [datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 3, 1, 23, tzinfo=UTC)] * 4
    table = pa.table(TABLE | {"day": pa.array(days, pa.timestamp("us", "Asia/Tokyo"))})
    pq.write_table(table, tmp_path / "t.parquet")
    found = []
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found.append(rates(audited(str(tmp_path / "t.parquet"), by="day")))
    assert found[0] == found[1] == found[2]
    assert list(found[0]) == ["2024-02-29 23:00:00+00", "2024-03-01 23:00:00+00"]
    monkeypatch.delenv("TZ")
    time.tzset()


def test_a_frame_of_moments_pairs_with_its_csv(tmp_path):
    import pandas as pd

    moments = pd.date_range("2024-02-29", periods=8, freq="12h", tz="Asia/Tokyo")
    frame = pd.DataFrame(TABLE | {"example_id": moments, "day": moments.tz_localize(None).normalize()})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    result = audited([str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")], by="day")
    assert list(rates(result)) == ["2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03"]


def test_float_ids_pair_with_the_same_integers(tmp_path):
    ids = [2**53 - k for k in range(8)]
    pq.write_table(
        pa.table(TABLE | {"example_id": pa.array(map(float, ids), pa.float64())}), tmp_path / "a.parquet"
    )
    rows = [f"{i},{a},{b},{s}" for i, a, b, s in zip(ids, LABELS, ANSWERS, TABLE["sex"], strict=True)]
    (tmp_path / "b.csv").write_text("\n".join(["example_id,label,prediction,sex", *rows]))
    result = audited([str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")])
    assert {
        row["n"] for row in result.comparisons if row["group"] == "f" and row["metric"] == "accuracy"
    } == {4}


def test_decimals_are_the_same_groups_as_floats(tmp_path):
    from decimal import Decimal

    ids = [f"x{i}" for i in range(8)]
    halves = [Decimal("0.50"), Decimal("2.00")] * 4
    table = TABLE | {"example_id": ids, "dose": pa.array(halves, pa.decimal128(10, 2))}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    pq.write_table(pa.table(table | {"dose": [0.5, 2.0] * 4}), tmp_path / "b.parquet")
    result = audited([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], by="dose")
    assert list(rates(result)) == ["0.5", "2"]


def test_a_parquet_file_that_is_cut_short_is_said_to_be(tmp_path):
    pq.write_table(pa.table(TABLE), tmp_path / "t.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:200])
    refused(str(tmp_path / "cut.parquet"), "cut short")


# --- Numbers in every dialect ---


@pytest.mark.parametrize(
    "texts",
    [
        ["0.9", "0.2", "0.4", "0.1", "0.8", "0.7", "0.6", "0.3"],
        ["0,9", "0,2", "0,4", "0,1", "0,8", "0,7", "0,6", "0,3"],
        ["90%", "20%", "40%", "10%", "80%", "70%", "60%", "30%"],
        ["90,0 %", "20,0 %", "40,0 %", "10,0 %", "80,0 %", "70,0 %", "60,0 %", "30,0 %"],
        ["9e-1", "2e-1", "+0.4", " 0.1", "0.8 ", "0.70", ".6", "3E-01"],
    ],
)
def test_numbers_of_every_dialect(texts):
    table = {k: v for k, v in TABLE.items() if k != "prediction"}
    result = audited(table | {"score": texts})
    assert rates(result) == {"f": 0.75, "m": 0.75}
    brier = np.mean((np.array([0.9, 0.2, 0.4, 0.1, 0.8, 0.7, 0.6, 0.3]) - LABELS) ** 2)
    assert overall(result, "brier_score") == pytest.approx(brier, abs=1e-12)
    weighted = audited(TABLE | {"w": texts}, weight="w")
    assert overall(weighted) == pytest.approx((0.9 + 0.2 + 0.1 + 0.8 + 0.6 + 0.3) / 4.0)


@pytest.mark.parametrize("odd", ["1,234", "1.234,5", "1 234", "12a", "--1", ""])
def test_numbers_that_could_be_two_are_shown(odd):
    refused(
        TABLE | {"w": ["1", "1", "1", "1", "1", "1", "1", odd]},
        f"not a finite number of at least 0 in 1 row: '{odd}'",
        weight="w",
    )


# --- Scores and predictions ---

SURE = [0.9, 0.8, 0.7, 0.95, 0.85, 0.6, 0.75, 0.65]


def probability(confidence, answers=ANSWERS):
    return [c if a else 1 - c for c, a in zip(confidence, answers, strict=True)]


def test_the_confidence_of_the_predicted_class_is_refused():
    refused(
        TABLE | {"score": SURE}, "confidence of the predicted class.*1 - score where the prediction is '0'"
    )
    refused(TABLE | {"score": SURE}, "no score is below 0.5 .the smallest is 0.6., though 4 rows")
    right = audited(TABLE | {"score": probability(SURE)})
    assert overall(right, "roc_auc") == 14 / 16  # pairs of a positive and a negative row in order


def test_the_confidence_alone_is_remarked():
    result = audited({"label": LABELS, "sex": TABLE["sex"], "score": SURE})
    assert "no score is below 0.5" in remarks(result)
    low = audited({"label": LABELS, "sex": TABLE["sex"], "score": [s / 2 for s in SURE]})
    assert (
        "no score reaches 0.5 (the largest is 0.475), so that every row counts as predicted '0'"
        in remarks(low)
    )


@pytest.mark.parametrize("form", ["score", "list", "columns"])
def test_scores_of_the_other_class_are_refused(form):
    other = [1 - p for p in probability(SURE)]
    columns = {
        "score": {"score": other},
        "list": {"score": [[1 - p, p] for p in other]},
        "columns": {"score_0": [1 - p for p in other], "score_1": other},
    }[form]
    refused(TABLE | columns, r"rows predicted '0' have larger scores than rows predicted '1' \(in 100 %")


def test_words_as_labels_show_the_same():
    words = {k: ["rude" if v else "kind" for v in TABLE[k]] for k in ("label", "prediction")}
    table = TABLE | words | {"score": SURE}
    refused(table, "1 - score where the prediction is 'kind'", positive="rude")
    refused(
        table | {"score": probability(SURE)}, "probability of 'kind', the positive class", positive="kind"
    )


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7, 0.9])
def test_any_threshold_explains_predictions(threshold):
    scores = [0.95, 0.15, 0.3, 0.72, 0.55, 0.91, 0.65, 0.05]
    answers = [int(s >= threshold) for s in scores]
    result = audited(TABLE | {"score": scores, "prediction": answers})
    assert "threshold" not in remarks(result)


def test_a_threshold_above_all_halves_is_no_confidence():
    scores = [0.9, 0.6, 0.7, 0.55, 0.85, 0.95, 0.8, 0.65]
    answers = [int(s >= 0.75) for s in scores]
    assert overall(audited(TABLE | {"score": scores, "prediction": answers}), "log_loss") > 0


def test_thresholds_by_group_are_remarked():
    scores = [0.9, 0.2, 0.6, 0.1, 0.8, 0.4, 0.6, 0.3]
    answers = [1, 0, 0, 0, 1, 1, 1, 1]
    result = audited(TABLE | {"score": scores, "prediction": answers})
    assert "1 of 8 predictions do not follow from the scores by any one threshold" in remarks(result)


def test_each_arm_of_a_file_is_looked_at():
    two = {k: v + v for k, v in TABLE.items()} | {"method": ["full"] * 8 + ["lora"] * 8}
    two |= {"example_id": [f"x{i}" for i in range(8)] * 2, "score": probability(SURE) + SURE}
    refused(two, "--score 'score', arm 'lora': no score is below 0.5", arm="method")


THREE = ["a", "b", "c", "a", "b", "c", "a", "b", "c"]


def certain(classes, order):
    return [[0.8 if c == name else 0.1 for name in order] for c in classes]


def test_lists_in_another_order_are_refused():
    table = {"label": THREE, "prediction": THREE, "g": list("xxxyyyzzz")}
    refused(
        table | {"score": certain(THREE, "cab")},
        "0 of 9 rows; .* in the order 'c', 'a', 'b' .* 9 rows",
        by="g",
    )
    result = audited(table | {"score": certain(THREE, "abc")}, by="g")
    assert overall(result, "log_loss") == pytest.approx(-np.log(0.8))
    named = {f"score_{c}": [row["abc".index(c)] for row in certain(THREE, "abc")] for c in "cba"}
    assert overall(audited(table | named, by="g"), "log_loss") == pytest.approx(-np.log(0.8))
    swapped = table | {"prediction": ["b", *THREE[1:]], "score": certain(THREE, "abc")}
    assert "1 of 9 predictions are not the class with the largest score" in remarks(audited(swapped, by="g"))


def test_one_column_of_a_pattern_is_the_score_of_its_class():
    p = probability(SURE)
    plain = audited(TABLE | {"score": p})
    for column in ({"score_1": p}, {"score_0": [1 - v for v in p]}):
        assert overall(audited(TABLE | column), "log_loss") == pytest.approx(overall(plain, "log_loss"))
    words = {k: ["yes" if v else "no" for v in TABLE[k]] for k in ("label", "prediction")}
    for column in ({"p_yes": p}, {"p_no": [1 - v for v in p]}):
        result = audited(TABLE | words | column, score="p_*", positive="yes")
        assert overall(result, "log_loss") == pytest.approx(overall(plain, "log_loss"))
    refused(TABLE | {"p_maybe": p}, "matched 'maybe' only, which is not a class", score="p_*")
    arrays = audited(TABLE | {"score": [[v] for v in p]})
    assert overall(arrays, "log_loss") == pytest.approx(overall(plain, "log_loss"))


@pytest.mark.parametrize("form", ["one", "list", "columns"])
def test_rounding_is_clipped_and_more_is_refused(form):
    def with_largest(top):
        p = [top, 0.2, 0.4, -1e-8, 0.8, 0.7, 0.6, 0.3]
        forms = {"one": {"score": p}, "list": {"score": [[1 - v, v] for v in p]}}
        return TABLE | forms.get(form, {"score_0": [1 - v for v in p], "score_1": p})

    assert overall(audited(with_largest(1.0000001)), "brier_score") == pytest.approx(
        overall(audited(with_largest(1.0)), "brier_score")
    )
    refused(with_largest(1.01), "outside", metric="log_loss")
    with pytest.raises(CallError, match=r"the first is 1\.01;"):
        metrics.brier_score([1, 0], [1.01, 0.0])
    assert metrics.brier_score([1, 0], [1.0000001, 0.0]) == 0.0


def test_lists_as_numpy_prints_them():
    printed = [str(np.array([1 - p, p])) for p in probability(SURE)]
    assert "," not in printed[0]
    result = audited(TABLE | {"score": printed})
    assert overall(result, "roc_auc") == 14 / 16
    refused(TABLE | {"score": ["[0.1 0.9]"] * 7 + ["[0.1 ... 0.9]"]}, r"'\[0.1 ... 0.9\]'", metric="log_loss")


def test_scores_that_nobody_named_stop_nobody():
    deciles = TABLE | {"score": [8, 3, 5, 2, 9, 7, 6, 1]}
    for options in ({}, {"metric": "accuracy"}):
        assert rates(audited(deciles, **options)) == {"f": 0.75, "m": 0.75}
    assert "metrics of scores are left out" in remarks(audited(deciles))
    assert "not read" in remarks(audited(deciles, metric="accuracy"))
    for options in ({"score": "score"}, {"metric": "log_loss"}, {"primary": ["accuracy", "brier_score"]}):
        refused(deciles, "in 7 rows .first: '8'. scores are outside", **options)
    no_answers = {k: v for k, v in deciles.items() if k != "prediction"}
    refused(no_answers, "outside")
    records = TABLE | {"score": [{"label": "POSITIVE", "score": 0.9}] * 8}
    assert rates(audited(records)) == {"f": 0.75, "m": 0.75}


# --- Labels ---


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        ([1, 2], [1, 1]),
        (["1", "2"], ["1", "2"]),
        ([1, 3], [3, 3]),
        ([1.0, 2.0], [2.0, 2.0]),
        (["1", "x"], ["1", "x"]),
    ],
)
def test_one_and_two_ask_for_the_positive_class_everywhere(labels, answers):
    table = {"label": labels * 4, "prediction": answers * 4, "g": list("aaaabbbb")}
    refused(table, "--positive: the classes are '1', ", by="g")
    with pytest.raises(CallError, match="name the positive one with pos_label"):
        metrics.true_positive_rate(labels, answers)
    with pytest.raises(CallError, match="name the positive one with pos_label"):
        metrics.selection_rate(labels, answers)
    chosen = audited(table, by="g", positive=str(tidy(str(labels[1]))))
    assert overall(chosen, "selection_rate") == np.mean([a == labels[1] for a in answers])


@pytest.mark.parametrize(
    "labels", [[0, 1], [-1, 1], [False, True], ["0", "1"], ["FALSE", "TRUE"], [0.0, 1.0]]
)
def test_labels_that_speak_for_themselves(labels):
    table = {"label": labels * 4, "prediction": [labels[1]] * 8, "g": list("aaaabbbb")}
    assert overall(audited(table, by="g"), "true_positive_rate") == 1.0
    assert metrics.true_positive_rate(labels, [labels[1]] * 2) == 1.0


def test_predictions_that_are_no_labels():
    table = {"label": ["neg", "neu", "pos"] * 3, "g": list("aaabbbccc")}
    refused(
        table | {"prediction": [0, 1, 2] * 3},
        "unknown labels: 9 predictions are '0', '1', '2'.*names",
        by="g",
    )
    refused(table | {"prediction": ["LABEL_0", "LABEL_1", "LABEL_2"] * 3}, "numbers of the classes", by="g")
    refused(table | {"prediction": ["Neg", "Neu", "Pos"] * 3}, "differ in capital letters only", by="g")
    odd = audited(table | {"prediction": ["neg", "neu", "Pos"] * 3}, by="g")
    assert overall(odd) == pytest.approx(2 / 3)
    assert "3 predictions are 'Pos', which never occurs as a label; they count as wrong" in remarks(odd)
    refused(
        TABLE | {"prediction": [0.93, 0.2, 0.4, 0.1, 0.8, 0.7, 0.6, 0.3]}, "are they probabilities. --score"
    )


def test_measurements_are_no_classes():
    rng = np.random.default_rng(3)
    target = rng.normal(size=60).round(3)
    table = {"label": target, "prediction": (target + 0.1).round(3), "g": ["a", "b"] * 30}
    refused(table, "different values in 60 rows .*give classes, not measurements", by="g")
    ages = rng.permutation(60) + 20
    refused(table | {"label": ages, "prediction": ages + 1}, "give classes, not measurements", by="g")
    quarters = np.array([k / 4 for k in range(30)] * 2)
    refused(
        table | {"label": quarters, "prediction": quarters[::-1]}, "30 different values in 60 rows", by="g"
    )
    with pytest.raises(CallError, match="give classes, not measurements"):
        metrics.balanced_accuracy(target, target + 0.1)
    few = {"label": [0.3, -1.2, 2.5, 0.7], "prediction": [0.1, -1.0, 2.5, 0.9], "g": list("abab")}
    refused(few, "labels such as '-1.2' are shares or measurements", by="g")


def test_many_answers_that_are_often_right_are_classes():
    numbers = np.arange(60) * 7
    guesses = np.where(np.arange(60) % 3 == 0, numbers + 1, numbers)
    table = {"label": numbers, "prediction": guesses, "g": ["a", "b"] * 30}
    assert overall(audited(table, by="g")) == pytest.approx(40 / 60)
    assert metrics.accuracy_difference(numbers, guesses, sensitive_features=table["g"]) == 0.0
    digits = [k % 25 for k in range(60)]
    assert overall(audited(table | {"label": digits, "prediction": digits}, by="g")) == 1.0
    stars = [k / 2 for k in range(2, 11)] * 4
    assert overall(audited({"label": stars, "prediction": stars, "g": ["a", "b"] * 18}, by="g")) == 1.0


def test_shares_of_annotators_are_no_classes():
    shares = [0, 1 / 3, 2 / 3, 1]
    table = {"label": shares * 4, "prediction": [0, 1, 1, 0] * 4, "g": ["a", "b"] * 8}
    refused(table, "labels such as '0.333.*' are shares or measurements.* predictions are '0', '1'", by="g")
    with pytest.raises(CallError, match="are fractions or measurements"):
        metrics.balanced_accuracy(shares * 4, [0.0, 1.0, 1.0, 0.0] * 4)


@pytest.mark.parametrize(
    "several",
    [
        *("[0,1]", "[0, 1]", "['a']", '["a", "b"]', "[0 1]", "[1]", "{'a': 1}", '{"a": null}', "('a', 'b')"),
        *("(0, 1)", "{a,b}", "0 1", "0 1 0 1", "0|1", "0,1", "array([0, 1])", "tensor([0, 1])", "c(0, 1)"),
        *('c("a", "b")', "WrappedArray(1, 0)", "frozenset({1})", "[a, b]"),
    ],
)
def test_several_labels_in_one_value_are_refused_in_every_container(several, tmp_path):
    table = {"label": ["0", several] * 4, "prediction": ["0", several] * 4, "g": list("aabbaabb")}
    (tmp_path / "t.jsonl").write_text(
        "".join(json.dumps({k: v[i] for k, v in table.items()}) + "\n" for i in range(8))
    )
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    for source in (table, str(tmp_path / "t.jsonl"), str(tmp_path / "t.parquet")):
        refused(source, r"column 'label' \(--label\) is nested .first: ", by="g")


def test_joined_labels_and_intervals():
    assert "has several labels in one value (first: 'rude,loud'" in describe_nested_labels(
        {"rude": 4, "loud": 2, "rude,loud": 1}
    )
    assert "several labels" in describe_nested_labels({"a": 1, "b": 1, "a|b": 1})
    assert describe_nested_labels({"Sales, Marketing": 3, "Sales": 4}) is None
    assert several_values(["(18, 25]", "(25, 40)", "[unknown]", "(none)", "[", "{x}"]) is None
    assert several_values(["[18, 25]"], intervals=True) is None
    assert several_values(["[18, 25]"]) == "[18, 25]"
    assert (
        describe_nested_labels({"(18, 25]": 2, "(25, 40)": 3, "10-20": 4, "A (B)": 1, "f(x)": 1, "1.0.1": 2})
        is None
    )
    assert describe_measurements({str(k): 1 for k in range(20)}) is None


def test_predictions_that_are_no_labels_in_metrics():
    for labels, answers in ((["neg", "pos"], ["LABEL_0", "LABEL_1"]), ([0, 1, 1, 0], [5, 6, 6, 5])):
        with pytest.raises(CallError, match="unknown labels"):
            metrics.balanced_accuracy(labels, answers)
    assert metrics.balanced_accuracy(["a", "b"], ["a", "c"]) == 0.5


@pytest.mark.parametrize("word", ["none", "missing", "-", "unknown", "99", "refused", "*"])
def test_a_label_that_is_never_predicted_is_remarked(word):
    labels = [str(v) for v in LABELS[:-2]] + [word, word]
    table = TABLE | {"label": labels, "prediction": [str(v) for v in ANSWERS[:-1]] + ["x"]}
    result = audited(table)
    assert f"2 labels are '{word}', which is never predicted; each counts as a class" in remarks(result)


@pytest.mark.parametrize("word", ["#VALUE!", "#DIV/0!", "(null)"])
def test_errors_of_spreadsheets_are_missing(word):
    refused(TABLE | {"sex": ["f", "f", "f", word, "m", "m", "m", "m"]}, "'sex' .*no value in 1 row")


@pytest.mark.parametrize("mark", ["\u00ad", "\u200e", "\u180e", "\u202c"])
def test_marks_that_nobody_sees_are_no_part_of_a_name(mark):
    assert rates(audited(TABLE | {"sex": ["f", f"f{mark}"] * 2 + ["m", f"{mark}m"] * 2})) == {
        "f": 0.75,
        "m": 0.75,
    }


@pytest.mark.parametrize(
    "pair", [("A", "\uff21"), ("non-binary", "non\u2013binary"), ("fin", "\ufb01n"), ("x y", "xy")]
)
def test_names_that_look_alike_are_remarked(pair):
    assert "are written almost alike" in remarks(audited(TABLE | {"sex": [pair[0]] * 4 + [pair[1]] * 4}))


@pytest.mark.parametrize("score", [0.5, 0.7, 0.2])
def test_a_constant_score_explains_no_predictions(score):
    table = TABLE | {"score": [score] * 8}
    if score < 0.5:
        assert "4 of 8 predictions do not follow" in remarks(audited(table))
    else:
        refused(table, "no score is below 0.5")


def test_a_class_that_has_scores_only_is_remarked():
    table = TABLE | {"score": [[0.2, 0.5, 0.3]] * 4 + [[0.5, 0.3, 0.2]] * 4}
    assert "Class '2': has scores, but no label and no prediction" in remarks(audited(table, score="score"))


def test_a_confidence_beside_three_classes_is_not_read_unless_it_is_named():
    table = {"label": THREE, "prediction": THREE, "g": list("xxxyyyzzz"), "score": [0.9] * 9}
    assert overall(audited(table, by="g")) == 1.0
    assert "one score per row, but more than two classes" in remarks(audited(table, by="g"))
    refused(table, "there are 3 classes", by="g", score="score")


def test_an_arm_that_is_wrong_throughout_gives_no_warning():
    right = {"label": THREE, "prediction": THREE, "g": list("xxxyyyzzz"), "example_id": list(range(9))}
    result = evenhand.compare(right, right | {"prediction": ["a"] * 9}, by="g", min_group_size=1)
    assert result.verdict["counts"]["help"] == 0


def test_a_header_that_is_repeated_among_the_rows_is_named(tmp_path):
    rows = [f"{a},{b},{s}" for a, b, s in zip(LABELS, ANSWERS, TABLE["sex"], strict=True)]
    half = ["label,prediction,sex", *rows[:4]]
    (tmp_path / "joined.csv").write_text("\n".join([*half, "label,prediction,sex", *rows[4:]]) + "\n")
    refused(str(tmp_path / "joined.csv"), "1 rows repeat the header .*were several files joined")
    (tmp_path / "named.csv").write_text("\n".join([*half, "1,1,sex"]) + "\n")
    assert rates(audited(str(tmp_path / "named.csv"))) == {"f": 0.75, "sex": 1.0}


def test_a_name_with_a_comma_between_bars(tmp_path):
    rows = [f"{a}|{b}|[0.2, 0.8]|{g}" for a, b, g in zip(LABELS, ANSWERS, TABLE["sex"], strict=True)]
    (tmp_path / "bars.csv").write_text("\n".join(["label|prediction|note|race, ethnicity", *rows]) + "\n")
    assert rates(audited(str(tmp_path / "bars.csv"), by="race, ethnicity")) == {"f": 0.75, "m": 0.75}


def test_scores_named_true_and_false_fit_labels_of_0_and_1():
    p = probability(SURE)
    columns = {"score_False": [1 - v for v in p], "score_True": p}
    plain = audited(TABLE | {"score": p}, metric="log_loss")
    assert overall(audited(TABLE | columns, metric="log_loss"), "log_loss") == overall(plain, "log_loss")
