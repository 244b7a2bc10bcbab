"""Pages and terminal of generations and likelihoods: all is told, nothing that a file says is run."""

from __future__ import annotations

import copy
import csv
import io
import json
import re

import numpy as np
import pytest
import study_sample
from rich.console import Console
from test_page import NAMES, read
from tests.judge.answers import answers, generations, likelihoods

import evenhand
from evenhand.report import export
from evenhand.report.language.page import build_generative_page, summarise_generative
from evenhand.report.study.page import build_study_page, summarise_study


def translations(seed, share):
    rng = np.random.default_rng(seed)
    lean = ["male" if i % 2 else "female" for i in range(80)]
    other = {"male": "female", "female": "male"}
    named = [g if rng.random() < share else other[g] for g in lean]
    texts = [{"male": "He left.", "female": "She left."}[g] for g in named]
    golds = ["He left." if i % 4 < 2 else "She left." for i in range(80)]
    gold = ["male" if i % 4 < 2 else "female" for i in range(80)]
    stereotype = ["pro" if a == b else "anti" for a, b in zip(gold, lean, strict=True)]
    told = generations(texts, golds, gold_gender=gold, predisposition=lean, stereotype=stereotype)
    return told | {"template": [f"t{i // 2}" for i in range(80)]}


@pytest.fixture(scope="module")
def translated():
    return evenhand.audit({"full": translations(1, 0.6), "lora": translations(2, 0.9)}).to_dict()


@pytest.fixture(scope="module")
def chosen():
    arms = {
        name: likelihoods(answers(25, [0.5 + i, -0.5], [0.1, -0.1], arm_seed=i))
        for i, name in enumerate(("none", "lora"))
    }
    return evenhand.audit(arms).to_dict()


def sections(page):
    return [a["id"] for t, a in read(page).tags if t == "section"]


def text(page):
    return " ".join("".join(read(page).text).split())


def replaced(document, old, new):
    """The document with another name wherever one stands."""
    if isinstance(document, dict):
        return {k: replaced(v, old, new) for k, v in document.items()}
    if isinstance(document, list):
        return [replaced(v, old, new) for v in document]
    return document.replace(old, new) if isinstance(document, str) else document


def test_translations_are_reported(translated):
    page = build_generative_page(translated)
    assert sections(page)[:4] == ["verdict", "compared", "shares", "quality"]
    page_text = text(page)
    for words in ("Gender of the output: predisposition=female", "BLEU, gold", "chrF, they", "ΔG and ΔS"):
        assert words in page_text
    assert "version:2.6" in page_text


def test_likelihoods_are_reported(chosen):
    page = build_generative_page(chosen)
    assert sections(page)[2:8] == ["survival", "variance", "tokens", "inversions", "options", "scorings"]
    page_text = text(page)
    assert "token bias, not belief" in page_text
    assert "needs the column log_prob_free" in page_text
    row = next(r for r in chosen["variance"] if (r["input"], r["component"]) == ("lora", "option set"))
    share = f"prompt {100 * row['share']:.0f} %"
    sentence = f"Variance of lora's preference for 'm0': {share}, "
    assert sentence in page_text
    assert f"{100 * row['share']:.1f} %" in page_text
    assert "one template only" in page_text
    assert "letters_inverted1 (inverted)" in json.dumps(re.findall(r'class="spec">(.*?)</script>', page))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["translated", "chosen"])
def test_a_hostile_name_stays_text(name, kind, request):
    document = request.getfixturevalue(kind)
    plain = read(build_generative_page(document))
    hostile = document
    for old in ("lora", "letters_inverted1", "m1", "predisposition"):
        hostile = replaced(hostile, old, f"{old} {name}")
    for source in hostile["inputs"]:
        source["name"] = name
    reader = read(build_generative_page(hostile))
    assert {t for t, _ in reader.tags} == {t for t, _ in plain.tags}
    assert all(not k.startswith("on") for _, attrs in reader.tags for k in attrs)
    tags = [a for t, a in reader.tags if t == "script"]
    run = [s for a, s in zip(tags, reader.scripts, strict=True) if a.get("type") != "application/json"]
    assert len(run) == 2
    assert not any(name in script for script in run)
    assert name in "".join(reader.text)


def test_the_terminal_says_it(translated, chosen):
    for document, words in ((translated, ("BLEU", "ΔS", "pro")), (chosen, ("token bias, not belief",))):
        screen = io.StringIO()
        summarise_generative(document, Console(file=screen, width=80), {"html": "out.html"})
        page_text = " ".join(screen.getvalue().split())
        assert all(w in page_text for w in words)
        assert "html: out.html" in page_text


def test_the_flat_table_has_all(translated, chosen):
    for document, tables in (
        (translated, {"rates", "comparisons", "shares", "quality.rates"}),
        (
            chosen,
            {"rates", "comparisons", "options", "inversions", "survival", "variance", "token_bias.shifts"},
        ),
    ):
        rows = list(csv.DictReader(io.StringIO(export.as_csv(document))))
        assert tables <= {r["table"] for r in rows}
    assert sum(r["table"] == "options" for r in rows) == len(chosen["options"])


def test_a_study_shows_it(chosen):
    document = copy.deepcopy(study_sample.one_model())
    document["models"][0]["generative"] = chosen
    page = build_study_page(document)
    assert {"survival", "variance", "tokens", "inversions", "options", "scorings"} <= set(sections(page))
    links = {a["href"] for t, a in read(page).tags if t == "a" and "href" in a}
    assert {"#survival", "#options"} <= links


def test_a_study_of_generating_models_reports_results(chosen):
    document = copy.deepcopy(study_sample.one_model())
    document["models"][0] |= {"audit": None, "generative": chosen}
    document["verdict"] = chosen["verdict"]
    console = Console(width=80, record=True, file=io.StringIO())
    summarise_study(document, console)
    for page_text in (build_study_page(document), console.export_text()):
        assert "No run has finished" not in page_text
