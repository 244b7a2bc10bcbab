"""Margins and levels that cannot be meant are refused, with what they likely mean."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pytest

from evenhand import audit, compare
from evenhand.cli import main
from evenhand.errors import CallError, InputError
from evenhand.judge.privacy import PrivacySettings
from evenhand.judge.settings import Settings, disparity_names, measure_names, metric_names
from evenhand.spec.sections.margins import parse_share, range_of


def tables(tmp_path):
    """A reference that is right everywhere, and a candidate that is wrong everywhere."""
    label = [0, 1] * 30
    paths = []
    for name, prediction in (("right", label), ("wrong", [1 - v for v in label])):
        lines = [
            f"k{i},{v},{p},{'mn'[i % 4 > 1]}\n"
            for i, (v, p) in enumerate(zip(label, prediction, strict=True))
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("example_id,label,prediction,town\n" + "".join(lines))
        paths.append(str(path))
    return paths


def message(capsys):
    return " ".join(capsys.readouterr().err.split())


POINTS = {
    "2": "--margin 2: accuracy and other rates are between 0 and 1, so a margin of 2 would make every loss "
    "harmless; 2 points are 0.02.",
    "1": "--margin 1: accuracy and other rates are between 0 and 1, so a margin of 1 would make every loss "
    "harmless; 1 point is 0.01.",
    "1.5": "1.5 points are 0.015.",
    "100": "give a number above 0 and below 1, such as 0.02 (2 points).",
    "accuracy=2": "--margin accuracy=2: accuracy is between 0 and 1",
    "worst_group_accuracy=3": "worst_group_accuracy is between 0 and 1",
    "demographic_parity_ratio=20": "demographic_parity_ratio is between 0 and 1",
    "gender_accuracy=2": "gender_accuracy is between 0 and 1",
    "brier_score=1": "brier_score is between 0 and 2, so a margin of 1 would make nearly every loss",
    "delta_g=5": "delta_g is between -1 and 1",
    "chrf=100": "chrf is between 0 and 100, so a margin of 100 would make every loss harmless; give a "
    "number above 0 and below 100.",
    "2%": "'2%' is written 0.02.",
    "accuracy=2 points": "'2 points' is written 0.02.",
    "0,02": "'0,02' is written 0.02.",
    "1.5pp": "'1.5pp' is written 0.015.",
    "inf": "--margin inf: a margin is a finite number above 0.",
    "f1=nan": "--margin f1=nan: a margin is a finite number above 0.",
    "0": "--margin 0: a margin is a finite number above 0.",
    "-2": "--margin -2: a margin is a finite number above 0.",
}


@pytest.mark.parametrize("margin", POINTS)
def test_margins_of_a_call(margin, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert main(["audit", *tables(tmp_path), "--by", "town", "--margin", margin, "--json", str(out)]) == 2
    assert POINTS[margin] in message(capsys)
    assert not out.exists()


def test_a_margin_just_below_1_is_taken(tmp_path, capsys):
    call = ["audit", *tables(tmp_path), "--by", "town", "--margin", "0.99", "--json", "-"]
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["counts"]["harm"] == 6


def test_margins_of_what_has_no_upper_end_may_be_large():
    for name in ("log_loss", "token_prior", "meaning_preference"):
        assert Settings(margins={name: 7.0}).margins[name] == 7
    assert dict(Settings(margins={"bleu": 2, "chrf": 99.5}).margins) == {"bleu": 2, "chrf": 99.5}


@pytest.mark.parametrize("name", [*metric_names(), *disparity_names(), *measure_names()])
def test_no_margin_exceeds_the_range_of_its_metric(name):
    low, high = range_of(name)
    if np.isfinite(high - low):
        with pytest.raises(CallError, match=f"{name} is between"):
            Settings(margins={name: high - low})
    else:
        Settings(margins={name: 1e6})


def test_a_margin_of_what_is_not_computed():
    with pytest.raises(CallError, match="f1 is not computed; --metric names only accuracy"):
        Settings(metrics=("accuracy",), margins={"f1": 0.1})
    Settings(metrics=("accuracy",), primary=("f1",), margins={"f1": 0.1})
    label = [0, 1] * 20
    with pytest.raises(CallError, match="log_loss: needs scores"):
        audit(
            {"label": label, "prediction": label, "town": ["m", "n"] * 20},
            by="town",
            margin={"log_loss": 0.1},
        )


VALUES = [
    ({"margin": 2}, "--margin 2: accuracy"),
    ({"margin": np.int64(2)}, "--margin 2: accuracy"),
    ({"margin": Decimal("1.5")}, "--margin 1.5: accuracy"),
    ({"margin": {"accuracy": np.float32(2)}}, "--margin accuracy=2: accuracy is"),
    ({"margin": "2 %"}, "'2 %' is written 0.02"),
    ({"margin": "0.02"}, "write 0.02 without quotes"),
    ({"margin": True}, "--margin True: a margin is a number above 0"),
    ({"margin": None}, "--margin None: a margin is a number above 0"),
    ({"margin": [0.02]}, "--margin [0.02]: a margin is a number above 0"),
    ({"margin": {"f1": "3 points"}}, "'3 points' is written 0.03"),
    ({"alpha": 5}, "--alpha: got 5; alpha is between 0 and 1 (0.05 gives 95 % intervals); 5 % is 0.05."),
    ({"alpha": 95}, "for 95 % intervals give 0.05"),
    ({"alpha": 0.95}, "for 95 % intervals give 0.05"),
    ({"alpha": "0.05"}, "write 0.05 without quotes"),
    ({"alpha": None}, "got None; alpha is between 0 and 1"),
    ({"alpha": 0}, "got 0; alpha is between 0 and 1"),
    ({"min_group_size": 0}, "got 0; it is an integer of at least 1"),
    ({"min_group_size": -5}, "got -5"),
    ({"min_group_size": 0.1}, "got 0.1; it is an integer"),
    ({"min_group_size": 10.5}, "got 10.5; it is an integer"),
    ({"min_group_size": "10"}, "got '10'; it is an integer"),
    ({"rng": 1.5}, "got 1.5; the seed is an integer"),
]


@pytest.mark.parametrize(("options", "words"), VALUES, ids=lambda x: str(x)[:40])
def test_values_from_python(options, words):
    label = [0, 1] * 20
    table = {"example_id": range(40), "label": label, "prediction": label, "town": ["m", "n"] * 20}
    table["example_id"] = list(range(40))
    with pytest.raises(InputError) as caught:
        compare(table, table, by="town", **options)
    assert words in "\n".join(caught.value.complaints)
    if "margin" not in options or not isinstance(options["margin"], dict):
        with pytest.raises(InputError):
            PrivacySettings(**options)


def test_numbers_of_any_library_are_numbers():
    settings = Settings(
        margin=np.float32(0.5), alpha=Decimal("0.1"), min_group_size=np.int64(7), rng=np.int8(3)
    )
    plain = (settings.margin, settings.alpha, settings.min_group_size, settings.rng)
    assert plain == (0.5, 0.1, 7, 3)
    assert [type(v) for v in plain] == [float, float, int, int]


ATTACKS = [
    (["--margin", "2"], "roc_auc and the other numbers of an attack are between 0 and 1"),
    (["--margin", "2%"], "write 0.02."),
    (["--margin", "nan"], "finite number above 0"),
    (["--alpha", "5"], "5 % is 0.05"),
    (["--alpha", "95%"], "write 0.05."),
    (["--min-group-size", "0"], "at least 1"),
]


@pytest.mark.parametrize(("options", "words"), ATTACKS, ids=lambda x: str(x)[:30])
def test_margins_of_attacks(options, words, tmp_path, capsys):
    path = tmp_path / "signals.csv"
    lines = "".join(f"{i},{i % 2},{i % 7 / 3},{'mn'[i % 3 > 1]}\n" for i in range(60))
    path.write_text("example_id,in_training,loss,town\n" + lines)
    assert main(["attack", str(path), "--by", "town", *options]) == 2
    assert words in message(capsys)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2%", "0.02"), ("2 percent", "0.02"), ("2 per cent", "0.02"), ("2,5 %", "0.025"),
        ("1 point", "0.01"), ("2 percentage points", "0.02"), ("3pp", "0.03"), ("3 p.p.", "0.03"),
        ("0,02", "0.02"), (".5%", "0.005"),
        ("two", None), ("2 of 3", None), ("", None), ("0.02", None),
    ],
)  # fmt: skip
def test_how_texts_are_written_as_numbers(text, number):
    assert parse_share(text) == number
