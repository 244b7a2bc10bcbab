"""Answers that change between arms stand beside those that change between two runs of one arm."""

from __future__ import annotations

import io
import re

import pytest
import written_sample
from rich.console import Console
from test_page import read

import evenhand
from evenhand.report import wording
from evenhand.report.audit.page import build_page
from evenhand.report.audit.terminal import summarise
from evenhand.report.flips import flips_line

#: Twelve rows, all of class 1: which of them each run of an arm answers right.
RIGHT = {
    "full": {"1": "111111111100", "2": "111111110011"},
    "lora": {"1": "000011111111", "2": "000111111100"},
    "prefix": {"1": "111111111100", "2": "111111110011"},
}


def judged(runs=("1", "2"), arms=("full", "lora", "prefix")):
    rows = [(arm, run, i) for arm in arms for run in runs for i in range(12)]
    table = {
        "arm": [a for a, _, _ in rows],
        "run": [r for _, r, _ in rows],
        "example_id": [str(i) for _, _, i in rows],
        "label": [1] * len(rows),
        "prediction": [int(RIGHT[a][r][i]) for a, r, i in rows],
        "group": ["ab"[i % 2] for _, _, i in rows],
    }
    return evenhand.audit(table, by="group", arm="arm", run="run", min_group_size=1).to_dict()


def shown(document):
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=80))
    return " ".join(stream.getvalue().split())


def words(page):
    return " ".join("".join(read(page).text).split())


#: Run 1 of lora loses rows 0 to 3 and wins 10 and 11; run 2 loses 0 to 2, 10 and 11 and wins 8 and 9. Two
#: runs of full or of prefix differ in two rows each way; in lora run 1 alone has 10, 11, run 2 row 3.
LINE = (
    "Answers that changed relative to full, over 12 rows: lora 4.5 right→wrong and 2 wrong→right "
    "(1.8 right→wrong between two runs of one arm); prefix 0 and 0 (2)."
)


def test_the_counts_are_as_worked_by_hand():
    assert flips_line(judged(), most=3) == LINE


def test_page_and_terminal_say_them():
    document = judged()
    assert LINE in shown(document)
    page = build_page(document)
    assert LINE in words(page[page.index('<section id="verdict"') : page.index('<section id="compared"')])
    assert "→wrong / →right (run to run)" in words(page)
    (row,) = [r for r in document["comparisons"] if r["metric"] == "accuracy" and r["attribute"] is None
              and r["candidate"] == "lora"]  # fmt: skip
    assert (
        wording.flips(row)
        == "4.5 rows right→wrong, 2 wrong→right; between two runs of one arm 1.8 right→wrong."
    )
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert "4.5 / 2 (1.8)" in cells


def test_single_runs_have_no_flips_between_runs():
    line = flips_line(judged(runs=("1",)), most=3)
    assert line == (
        "Answers that changed relative to full, over 12 rows: lora 4 right→wrong and 2 wrong→right; "
        "prefix 0 and 0."
    )
    assert "between two runs of one arm" not in shown(judged(runs=("1",)))


def test_more_candidates_are_counted():
    assert flips_line(judged(), most=1).endswith("between two runs of one arm); 1 more candidate.")
    assert flips_line(judged(arms=("full",)), most=3) == ""


@pytest.mark.parametrize(
    ("group", "name"), [(0, "share of answers that follow the token"), (1, "gender accuracy")]
)
def test_models_that_write_count_theirs(group, name):
    document = written_sample.document()["models"][group]["generative"]
    line = flips_line(document, most=3)
    assert line.startswith(f"Answers that changed by {name} relative to ")
    assert ("yes→no" in line) is (group == 0)
    assert ("right→wrong" in line) is (group == 1)
    shares = [r for r in document["comparisons"] if r["metric"] == "share_pro"]
    assert all("right" not in wording.flips(r) for r in shares)
