from __future__ import annotations

import io

import sample
from rich.console import Console

from evenhand.report.audit.terminal import summarise


def shown(document, width=80, written=None, **options):
    stream = io.StringIO()
    summarise(document, Console(file=stream, width=width, **options), written)
    return stream.getvalue()


def test_the_answer_at_80_columns():
    document = sample.document()
    text = shown(document, written={"html": "out/report.html", "json": "out/result.json"})
    assert max(map(len, text.splitlines())) <= 80
    assert document["verdict"]["sentence"] in " ".join(text.replace(" \n", " ").split())
    counts = document["verdict"]["counts"]
    assert f"▼ {counts['harm']} harm" in text
    assert "−8.0" in text
    assert "−11.9 to −4.2" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "8 of 51 harm, undecided and help rows are shown" in " ".join(text.split())
    assert "html: out/report.html" in text
    assert "\x1b" not in text


def test_one_arm_shows_rates_and_disparities():
    text = shown(sample.one_arm())
    assert "race=Black" in text
    assert "equalized odds difference" in text
    assert "undefined" in text
    assert "harm" not in text


def test_markup_and_escapes_in_names_are_shown_not_obeyed():
    text = shown(sample.hostile("[bold]x[/bold]\x1b[31m"), width=300)
    assert "[bold]x[/bold]�[31m" in text
    assert "\x1b[31m" not in text


def test_problems_are_few():
    document = {**sample.document(), "problems": [f"problem {i}" for i in range(9)]}
    text = shown(document)
    assert "problem 4" in text
    assert "problem 5" not in text
    assert "and 4 more" in text


def test_nothing_worth_a_table():
    document = sample.document()
    document["comparisons"] = [r for r in document["comparisons"] if r["verdict"] == "harmless"]
    assert "harmless" in shown(document)


def test_a_narrow_colour_terminal():
    assert shown(sample.document(), width=40, force_terminal=True)
