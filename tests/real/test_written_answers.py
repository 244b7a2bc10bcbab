"""Real sentences: WinoMT's own gold genders, its Turkish pairs, CrowS-Pairs as likelihoods."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.judge.answers import generations, likelihoods

import evenhand
from evenhand.tables.answers.pronouns import gender_of, render

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real data is not beside this checkout"),
]


def winomt(name):
    lines = (DATA / "winomt" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


@pytest.mark.parametrize("name", ["en", "en_pro", "en_anti"])
def test_genders_of_the_golds(name):
    """The pronoun of a sentence is that of its gold entity, but for a few sentences that name others too."""
    rows = winomt(name)
    unlike = [text for gender, _, text, _ in rows if gender_of(text) != gender]
    assert len(unlike) <= 0.01 * len(rows), unlike[:10]


def test_renderings_of_the_golds():
    for gender, _, text, _ in winomt("en_pro"):
        if gender_of(text) != "unknown":
            assert [gender_of(render(text, r)) for r in ("he", "she", "they")] == [
                "male",
                "female",
                "neutral",
            ]
            assert render(text, {"male": "he", "female": "she"}[gender]) == text


def test_the_other_half_is_the_other_rendering():
    """Pro and anti halves hold the same sentences with the other pronoun: a check of her and his by role."""
    pro, anti = winomt("en_pro"), winomt("en_anti")
    same = [
        render(a[2], {"male": "he", "female": "she"}[b[0]]) == b[2] for a, b in zip(pro, anti, strict=True)
    ]
    assert (
        np.mean(same) > 0.95
    )  # the rest differ in other words, or are as hard as "wished her happy birthday"


def test_the_turkish_pairs_as_perfect_translations():
    golds = [
        line.split(" ||| ")[0]
        for line in (DATA / "winomt_en_tr" / "en_tr_pro.txt").read_text(encoding="utf-8").splitlines()
    ][:200]
    gender = [gender_of(g) for g in golds]
    told = generations(golds, golds, gold_gender=gender, predisposition=gender, stereotype=["pro"] * 200)
    rates = {(r["metric"], r["class"]): r for r in evenhand.audit(told).rates if r["attribute"] is None}
    assert rates["bleu", "gold"]["value"] == pytest.approx(100)
    assert rates["chrf", "gold"]["value"] == pytest.approx(100)
    assert rates["bleu", "they"]["value"] < 95
    assert rates["gender_accuracy", None]["value"] == 1


def test_minimal_pairs():
    with (DATA / "crows_pairs" / "crows_pairs_anonymized.csv").open(encoding="utf-8", newline="") as file:
        pairs = [p for p in csv.DictReader(file) if p["bias_type"] in ("gender", "religion")]
    rng = np.random.default_rng(0)
    rows, kinds = [], []
    for i, pair in enumerate(pairs):
        for name, meaning in (("sent_more", "more"), ("sent_less", "less")):
            rows.append((f"{i:04d}", "pair", "plain", pair[name], meaning, -float(rng.uniform(20, 30))))
            kinds.append(pair["bias_type"])
    told = likelihoods(rows, {"bias_type": kinds, "label_meaning": ["less"] * len(rows)})
    document = evenhand.audit(told, by="bias_type").to_dict()
    share = {r["group"]: r for r in document["rates"] if r["metric"] == "option_accuracy"}
    assert share["gender"]["n"] == 262
    likelier = [
        rows[2 * i + 1][5] > rows[2 * i][5] for i, p in enumerate(pairs) if p["bias_type"] == "gender"
    ]
    assert share["gender"]["value"] == pytest.approx(np.mean(likelier))
