"""A column `predicted_gender` gives the gender of a translation, in any language."""

import pytest

import evenhand
from evenhand.errors import InputError
from tests.judge.answers import generations

GOLD = ["female", "male", "female", "male"] * 6
LEAN = ["female", "male", "male", "female"] * 6
PREDICTED = ["F", "male", "man", "m"] * 6  # right, right, wrong, right


def table(column=None, **more):
    data = generations(
        ["Die Pflegerin rief."] * 24, ["Die Ärztin rief."] * 24, gold_gender=GOLD, predisposition=LEAN,
        stereotype=["pro" if g == x else "anti" for g, x in zip(GOLD, LEAN, strict=True)],
    )  # fmt: skip
    return data | ({} if column is None else {"predicted_gender": column}) | more


def rate(result, metric):
    (row,) = [r for r in result.rates if r["metric"] == metric and r["attribute"] is None]
    return row["value"]


def test_the_column_goes_before_pronouns():
    result = evenhand.audit(table(PREDICTED), min_group_size=1)
    assert rate(result, "gender_accuracy") == 0.75
    assert rate(result, "share_male") == 0.75
    assert rate(result, "share_pro") == 0.75  # female, male, male; not the fourth
    assert rate(result, "delta_s") == 0.5  # pro rows all right, of anti rows half
    problems = result.to_dict()["problems"]
    assert any("'predicted_gender' gives the gender of each completion" in line for line in problems)
    assert any("'F' as female" in line and "'man' as male" in line for line in problems)
    plain = evenhand.audit(table(), min_group_size=1)
    assert rate(plain, "gender_accuracy") == 0.0
    assert not any("predicted_gender" in line for line in plain.to_dict()["problems"])


def test_each_arm_has_its_column():
    result = evenhand.audit({"a": table(PREDICTED), "b": table(GOLD)}, min_group_size=1)
    (row,) = [r for r in result.comparisons if r["metric"] == "gender_accuracy" and r["attribute"] is None]
    assert row["difference"] == 0.25


@pytest.mark.parametrize(("bad", "shown"), [("weiblich", "'weiblich'"), (None, "''"), ("2", "'2'")])
def test_other_words_are_refused(bad, shown):
    words = [*PREDICTED[:-1], bad]
    with pytest.raises(InputError) as error:
        evenhand.audit(table(words), min_group_size=1)
    assert f"column 'predicted_gender' is {shown} in 1 answers (first: example 'e00023')" in str(error.value)
    assert "male, female, neutral or unknown" in str(error.value)


def test_a_column_of_a_single_arm_is_not_used():
    result = evenhand.audit({"a": table(PREDICTED), "b": table()}, min_group_size=1).to_dict()
    assert any(
        line.startswith("Column 'predicted_gender' is in ") and line.endswith("only, so it is not used.")
        for line in result["problems"]
    )
