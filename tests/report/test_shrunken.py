"""Shrunken estimates on the page of an audit and in files; not in the terminal, and not in the sentence."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from rich.console import Console
from tests.judge.arms import draw

from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.report.audit import shrunken
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.export import as_csv
from evenhand.tables.schema import Columns

ACCURACY = Settings(metrics=("accuracy",), primary=("accuracy",))


def audit(sizes, runs=1):
    accuracy = {"full": [0.85] * len(sizes), "lora": [0.8] * len(sizes)}
    p = draw(accuracy, sizes, np.random.default_rng(0), runs=runs, sigma=0.1)
    return judge_predictions(p, Columns(), ACCURACY).to_dict()


@pytest.fixture(scope="module")
def document():
    return audit((400, 30, 200, 100, 5))


def test_the_table_has_the_smallest_groups_first(document):
    view = shrunken.view(document)
    assert [row[0].text for row in view["table"].rows] == ["grp=g1", "grp=g3", "grp=g2", "grp=g0"]
    row = next(r for r in document["shrunken"] if r["group"] == "g1")
    texts = [c.text.replace("−", "-") for c in view["table"].rows[0]]
    numbers = [float(v) for v in re.findall(r"[-+]?\d+\.\d", " ".join(texts[4:]))]
    keys = ("difference", "direct_low", "direct_high")
    keys += ("shrunken_difference", "shrunken_low", "shrunken_high", "target")
    assert numbers == pytest.approx([100 * row[k] for k in keys], abs=0.0501)
    assert view["left_out"] == []


def test_a_page_says_what_the_estimates_are_and_that_no_verdict_rests_on_them(document):
    page = " ".join(build_page(document).split())
    assert page.count(shrunken.HEADING) >= 3  # the section, its table, and how they were computed
    assert "the true difference in these runs in 95 % of the groups, on average over the groups" in page
    assert "No verdict rests on it." in page
    of_method = shrunken.caption(shrunken_rows(audit((400, 30, 200, 100), runs=3)))
    assert "the true difference in 95 % of the groups" in of_method


def shrunken_rows(document):
    return [r for r in document["shrunken"] if r["shrunken_difference"] is not None]


def test_without_shrunken_estimates_there_is_no_section():
    few = audit((400, 300, 200))
    assert shrunken.view(few) is None
    assert shrunken.HEADING not in build_page(few)
    older = {k: v for k, v in few.items() if k != "shrunken"}
    assert shrunken.HEADING not in build_page(older)


def test_an_attribute_without_them_is_named_with_its_reason(document):
    reason = "3 groups of this attribute can be compared, fewer than 4: too few to show how they vary"
    row = {**document["shrunken"][0], "attribute": "sex", "shrunken_difference": None, "status": "undefined"}
    more = {**document, "shrunken": [*document["shrunken"], {**row, "reason": reason}]}
    assert shrunken.view(more)["left_out"] == [f"sex has none: {reason}."]
    assert f"sex has none: {reason}." in build_page(more)


def test_files_have_them_and_the_terminal_does_not(document):
    rows = [r for r in csv.DictReader(io.StringIO(as_csv(document))) if r["table"] == "shrunken"]
    assert [r["group"] for r in rows] == [f"g{k}" for k in range(5)]
    assert float(rows[0]["shrunken_low"]) == document["shrunken"][0]["shrunken_low"]
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=100))
    assert "shrunken" not in stream.getvalue().lower()
