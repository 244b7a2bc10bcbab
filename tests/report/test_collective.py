"""Sentences on several groups at once, in the terminal, on the page, in files."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from rich.console import Console
from tests.judge.arms import draw

from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.report import collective
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.export import as_csv
from evenhand.tables.schema import Columns

ROW = {
    "reference": "full", "candidate": "lora", "attribute": "race", "class": None, "metric": "accuracy",
    "claim": "harm", "at_least": 3, "groups_used": list("abcdefgh"), "level": 0.95, "unit": "rows and runs",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "single", "text"),
    [
        (
            {},
            0,
            "At least 3 of 8 groups of race are harmed by lora in accuracy (95 %); one by one, none is.",
        ),
        (
            {"at_least": 1, "claim": "help", "class": "yes", "metric": "f1"},
            0,
            "At least 1 of 8 groups of race is helped by lora in F1 of class yes (95 %); one by one, "
            "none is.",
        ),
        (
            {"unit": "rows"},
            1,
            "In these runs, at least 3 of 8 groups of race are harmed by lora in accuracy (95 %); one "
            "by one, 1 is.",
        ),
        (
            {},
            2,
            "At least 3 of 8 groups of race are harmed by lora in accuracy (95 %); one by one, 2 are.",
        ),
    ],
)
def test_a_claim_in_words(change, single, text):
    assert collective.sentence({**ROW, **change}, single) == text


@pytest.fixture(scope="module")
def document():
    accuracy = {"full": [0.85] * 8, "lora": [0.81] * 8}
    p = draw(accuracy, (400,) * 8, np.random.default_rng(2))
    return judge_predictions(p, Columns(), Settings(metrics=("accuracy",), primary=("accuracy",))).to_dict()


def test_a_claim_is_shown_where_no_group_is_decided(document):
    assert document["verdict"]["counts"]["harm"] == 0
    least = document["collective"][0]["at_least"]
    text = f"In these runs, at least {least} of 8 groups of grp are harmed by lora in accuracy (95 %)"
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=80))
    assert text in " ".join(stream.getvalue().split())
    page = build_page(document)
    assert f'<b class="verdict harm">▼ harm</b> {text}' in page
    assert page.count(collective.HEADING) == 2  # the sentences, and how they were computed
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert [r["at_least"] for r in rows if r["table"] == "collective"] == [str(least), "0"]


def test_a_claim_that_says_no_more_than_the_verdicts_is_not_shown(document):
    least = document["collective"][0]["at_least"]
    groups = [r for r in document["comparisons"] if r["group"] is not None]
    harmed = [{**r, "verdict": "harm"} for r in groups[:least]]
    assert collective.claims({**document, "comparisons": harmed}) == []
    assert len(collective.claims({**document, "comparisons": harmed[1:]})) == 1
    others = [{**r, "candidate": "another"} for r in harmed]
    assert len(collective.claims({**document, "comparisons": others})) == 1


def test_documents_without_claims_have_no_such_section(document):
    without = {k: v for k, v in document.items() if k != "collective"}
    assert collective.HEADING not in build_page(without)
    stream = io.StringIO()
    summarise(without, Console(file=stream, width=80))
    assert collective.HEADING not in stream.getvalue()
