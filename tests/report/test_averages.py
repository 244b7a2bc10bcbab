"""Averages of arms in the terminal, on the page, in files, and in a study."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from rich.console import Console
from tests.judge.arms import draw

from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.report import averages
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.export import as_csv
from evenhand.tables.schema import Columns

NAMES = ("accuracy",)


def judged(runs, average=("lora",)):
    accuracy = {"full": [0.85, 0.85]} | {f"lora[rank={r}]": [0.6, 0.86] for r in (1, 8, 64)}
    p = draw(accuracy, (400, 400), np.random.default_rng(0), runs=runs)
    settings = Settings(metrics=NAMES, primary=NAMES, average=average)
    return judge_predictions(p, Columns(), settings).to_dict()


def shown(document):
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=80))
    return stream.getvalue()


@pytest.mark.parametrize(("runs", "about"), [(1, ", in these runs"), (3, "")])
def test_counts_of_an_average(runs, about):
    [line] = averages.lines(judged(runs))
    assert line.startswith(f"lora (3 arms) against full{about}: ▼ 1 harm   ◆ ")


def test_an_average_is_shown_everywhere():
    document = judged(3)
    [line] = averages.lines(document)
    text = shown(document)
    assert f"{averages.HEADING}:\n{line}" in text
    assert "▼ harm" in text.partition(line)[2].partition("Answers that changed")[0]
    page = build_page(document)
    assert page.count(averages.HEADING) == 2  # the section, and how it was computed
    assert "lora (3 arms): lora[rank=1], lora[rank=8], lora[rank=64]." in page
    sentence = "Compared with full, lora (3 arms) does harm to grp=g0: accuracy is lower by"
    assert sentence in page
    assert "simultaneous interval" in page.partition(sentence)[2][:80]
    rows = [r for r in csv.DictReader(io.StringIO(as_csv(document))) if r["table"] == "averages"]
    assert [r["group"] for r in rows] == ["g0", "g1"]
    assert rows[0]["arms"] == '["lora[rank=1]", "lora[rank=8]", "lora[rank=64]"]'


def test_documents_without_averages_have_no_such_section():
    document = judged(1, average=())
    assert document["averages"] == []
    assert averages.HEADING not in shown(document)
    assert averages.HEADING not in build_page(document)
