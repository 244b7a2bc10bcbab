"""A column `predicted_gender` says whom a translation speaks of, in any language."""

import pytest

import evenhand
from evenhand.errors import InputError
from tests.judge.answers import generations

GOLD = ["female", "male", "female", "male"] * 6
LEAN = ["female", "male", "male", "female"] * 6
SAID = ["F", "male", "man", "m"] * 6  # right, right, wrong, right


def table(said=None, **more):
    told = generations(
        ["Die Pflegerin rief."] * 24, ["Die Ärztin rief."] * 24, gold_gender=GOLD, predisposition=LEAN,
        stereotype=["pro" if g == x else "anti" for g, x in zip(GOLD, LEAN, strict=True)],
    )  # fmt: skip
    return told | ({} if said is None else {"predicted_gender": said}) | more


def rate(result, metric):
    (row,) = [r for r in result.rates if r["metric"] == metric and r["attribute"] is None]
    return row["value"]


def test_the_column_goes_before_pronouns():
    found = evenhand.audit(table(SAID), min_group_size=1)
    assert rate(found, "gender_accuracy") == 0.75
    assert rate(found, "share_male") == 0.75
    assert rate(found, "share_pro") == 0.75  # female, male, male; not the fourth
    assert rate(found, "delta_s") == 0.5  # pro rows all right, of anti rows half
    problems = found.to_dict()["problems"]
    assert any("'predicted_gender' says whom each completion speaks of" in line for line in problems)
    assert any("'F' as female" in line and "'man' as male" in line for line in problems)
    plain = evenhand.audit(table(), min_group_size=1)
    assert rate(plain, "gender_accuracy") == 0.0
    assert not any("predicted_gender" in line for line in plain.to_dict()["problems"])


def test_each_arm_has_its_own():
    found = evenhand.audit({"a": table(SAID), "b": table(GOLD)}, min_group_size=1)
    (row,) = [r for r in found.comparisons if r["metric"] == "gender_accuracy" and r["attribute"] is None]
    assert row["difference"] == 0.25


@pytest.mark.parametrize(("bad", "shown"), [("weiblich", "'weiblich'"), (None, "''"), ("2", "'2'")])
def test_other_words_are_refused(bad, shown):
    said = [*SAID[:-1], bad]
    with pytest.raises(InputError) as error:
        evenhand.audit(table(said), min_group_size=1)
    assert f"column 'predicted_gender' is {shown} in 1 answers (first: example 'e00023')" in str(error.value)
    assert "male, female, neutral or unknown" in str(error.value)


def test_a_column_of_one_arm_only_is_not_used():
    found = evenhand.audit({"a": table(SAID), "b": table()}, min_group_size=1).to_dict()
    assert any(
        line.startswith("Column 'predicted_gender' is in ") and line.endswith("only, so it is not used.")
        for line in found["problems"]
    )
