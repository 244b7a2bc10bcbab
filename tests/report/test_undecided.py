"""Sentences on the reasons of undecided comparisons."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.judge.test_moderated_audit import predictions

from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.undecided import REASONS, count_reasons, reason_sentence, undecided_line
from evenhand.report.wording import comparison_sentence
from evenhand.tables.schema import Columns


def row(because, verdict="undecided", unit="rows and runs"):
    return {"limited_by": because, "verdict": verdict, "unit": unit}


@pytest.mark.parametrize("because", REASONS)
def test_every_reason_has_a_sentence_of_its_own(because):
    assert reason_sentence(row(because)).endswith(".")
    assert len(set(REASONS.values())) == len(REASONS)


def test_few_runs_and_unknown_reasons():
    assert "not part of the interval" in reason_sentence(row("rows", unit="rows"))
    assert reason_sentence({"verdict": "undecided"}) == reason_sentence(row(None)) == ""


def test_counts_of_reasons():
    assert count_reasons([]) == count_reasons([row("rows", "harm"), row(None)]) == ""
    assert count_reasons([row("rows")]) == "The undecided comparison needs more rows to be settled."
    some = [row("rows"), row("runs"), row("runs"), row("both")]
    assert count_reasons(some) == (
        "Of 4 undecided comparisons, 1 needs more rows, 2 need more runs and 1 needs more of both to be "
        "settled."
    )


def test_page_and_terminal_state_the_reasons():
    settings = Settings(metrics=("accuracy",), primary=("accuracy",), reference="full")
    document = judge_predictions(predictions(), Columns(), settings).to_dict()
    undecided = [r for r in document["comparisons"] if r["verdict"] == "undecided"]
    summary = count_reasons(document["comparisons"])
    assert len(undecided) > 1
    assert summary
    assert reason_sentence(undecided[0]) in comparison_sentence(undecided[0])
    text = io.StringIO()
    summarise(document, Console(file=text, width=80))
    assert summary in " ".join(text.getvalue().split())
    assert summary in build_page(document)


def test_runs_that_learnt_nothing_are_named_beside_the_reasons():
    rows = [row("runs") | {"family": "primary", "reference": "full", "candidate": "lora"}]
    failed = [
        {"arm": "lora", "run": "3", "kind": "constant"},
        {"arm": "lora", "run": "5", "kind": "ranking"},
        {"arm": "other", "run": "4", "kind": "constant"},
    ]
    document = {"comparisons": rows, "runs_not_learnt": failed}
    assert undecided_line(document) == (
        "The undecided comparison needs more runs to be settled. The run 3 of lora learnt nothing and widens "
        "the variation between runs: look at the remarks before adding any."
    )
    assert undecided_line({**document, "runs_not_learnt": failed[1:]}).endswith("to be settled.")
    assert undecided_line({**document, "comparisons": []}) == ""
    by_rows = [{**rows[0], "limited_by": "rows"}]
    assert undecided_line({**document, "comparisons": by_rows}).endswith("to be settled.")
