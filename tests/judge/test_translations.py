"""Translations: scores against sacrebleu, rates against confusion matrices worked by hand, planted shares."""

import numpy as np
import pytest

import evenhand
from evenhand.errors import InputError
from evenhand.judge.generative.translation_quality import bleu, chrf
from evenhand.tables.answers.pronouns import render
from tests.judge.answers import generations

he, she, they, none = "He left.", "She left.", "They left.", "The cook left."


def table(completions, **columns):
    golds = [{"male": he, "female": she, "neutral": they}[g] for g in columns["gold_gender"]]
    return generations(completions, golds, **columns)


@pytest.fixture(scope="module")
def confusion():
    """12 rows: gold male 6 (pro 4, anti 2), gold female 6 (pro 3, anti 3)."""
    gold = ["male"] * 6 + ["female"] * 6
    stereotype = ["pro"] * 4 + ["anti"] * 2 + ["pro"] * 3 + ["anti"] * 3
    lean = [
        g if s == "pro" else {"male": "female", "female": "male"}[g]
        for g, s in zip(gold, stereotype, strict=True)
    ]
    outputs = [he, he, he, she, he, she, she, she, they, she, he, none]
    data = table(outputs, gold_gender=gold, stereotype=stereotype, predisposition=lean)
    return evenhand.audit(data, min_group_size=1).to_dict()


def value(document, metric, attribute=None, group=None, **more):
    [row] = [
        r
        for r in document["rates"]
        if (r["metric"], r["attribute"], r["group"]) == (metric, attribute, group)
        and all(r[k] == v for k, v in more.items())
    ]
    return row["value"]


def test_accuracy_by_hand(confusion):
    # right: male 1 2 3 5 (of 6), female 7 8 10 (of 6)
    assert value(confusion, "gender_accuracy") == pytest.approx(7 / 12)
    assert value(confusion, "gender_accuracy", "gold_gender", "male") == pytest.approx(4 / 6)
    assert value(confusion, "gender_accuracy", "gold_gender", "female") == pytest.approx(3 / 6)


def test_delta_g_by_hand(confusion):
    # male: TP 4, outputs 5, golds 6; female: TP 3, outputs 5, golds 6
    assert value(confusion, "delta_g") == pytest.approx(8 / 11 - 6 / 11)


def test_delta_s_by_hand(confusion):
    # pro: 3 of 4 male, 2 of 3 female; anti: 1 of 2 male, 1 of 3 female
    assert value(confusion, "delta_s") == pytest.approx(5 / 7 - 2 / 5)


def test_shares_by_hand(confusion):
    shares = {
        m: value(confusion, f"share_{m}") for m in ("male", "female", "neutral", "unknown", "pro", "anti")
    }
    # leaning male: rows 1-4 and 10-12; female: rows 5-9
    # pro outputs: 1 2 3, 11, 6 7 8; anti: 4, 10, 5
    assert shares == pytest.approx(
        {
            "male": 5 / 12,
            "female": 5 / 12,
            "neutral": 1 / 12,
            "unknown": 1 / 12,
            "pro": 7 / 12,
            "anti": 3 / 12,
        }
    )
    shares = [r for r in confusion["shares"] if r["attribute"] == "predisposition" and r["group"] == "male"]
    assert {r["metric"]: r["value"] for r in shares}["share_pro"] == pytest.approx(4 / 7)
    assert {r["metric"]: r["n"] for r in shares}["share_pro"] == 7


def test_what_is_not_there_is_undefined():
    data = table([he] * 12, gold_gender=["male"] * 12, stereotype=["pro"] * 12, predisposition=["male"] * 12)
    document = evenhand.audit(data, min_group_size=1).to_dict()
    for metric, reason in (("delta_g", "female"), ("delta_s", "anti")):
        [row] = [r for r in document["rates"] if r["metric"] == metric and r["attribute"] is None]
        assert row["value"] is None
        assert row["status"] == "undefined"
        assert reason in row["reason"]


def sentences(n, rng):
    words = ["the", "cook", "saw", "a", "guard", "because", "she", "was", "late", "and", "her", "boss"]
    return [" ".join(rng.choice(words, rng.integers(1, 15))) + "." for _ in range(n)]


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_scores_are_those_of_sacrebleu(n, keep):
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng((n, int(10 * keep)))
    gold = sentences(n, rng)
    output = [" ".join(w for w in g.split() if rng.random() < keep) for g in gold]
    columns = {"gold_gender": ["female"] * n, "stereotype": ["pro"] * n, "predisposition": ["female"] * n}
    document = evenhand.audit(generations(output, gold, **columns), min_group_size=1).to_dict()
    for rendering in ("gold", "he", "she", "they"):
        expected = gold if rendering == "gold" else [render(g, rendering) for g in gold]
        peers = {
            "bleu": sacrebleu.corpus_bleu(output, [expected]),
            "chrf": sacrebleu.corpus_chrf(output, [expected]),
        }
        for metric, peer in peers.items():
            assert value(document, metric, **{"class": rendering}) == pytest.approx(peer.score, abs=1e-9)
    assert "version:2." in document["quality"]["signatures"]["bleu"]


def test_scores_of_several_references():
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(3)
    first, two, output = (sentences(30, rng) for _ in range(3))
    data = generations(
        output, first, gold_gender=["female"] * 30, stereotype=["pro"] * 30, predisposition=["male"] * 30
    )
    data["references"] = [[a, b] if i % 3 else [a] for i, (a, b) in enumerate(zip(first, two, strict=True))]
    document = evenhand.audit(data).to_dict()
    streams = [first, [b if i % 3 else None for i, b in enumerate(two)]]
    assert value(document, "bleu", **{"class": "gold"}) == pytest.approx(
        sacrebleu.corpus_bleu(output, streams).score
    )
    signatures = document["quality"]["signatures"]
    for name, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
        metric.corpus_score(output, streams)
        assert signatures[name] == str(metric.get_signature())
        assert "nrefs:var" in signatures[name]
    data["references"] = [[a, b] for a, b in zip(first, two, strict=True)]
    assert "nrefs:2" in evenhand.audit(data).to_dict()["quality"]["signatures"]["bleu"]


def test_the_jackknife_by_leaving_out():
    """The influence of a cluster on BLEU is the change when it is left out."""
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(5)
    gold = sentences(30, rng)
    output = [" ".join(w for w in g.split() if rng.random() < 0.8) for g in gold]
    template = [f"t{i // 3}" for i in range(30)]
    columns = {"gold_gender": ["female"] * 30, "stereotype": ["pro"] * 30, "predisposition": ["male"] * 30}
    document = evenhand.audit(generations(output, gold, template=template, **columns)).to_dict()
    without = []
    for t in dict.fromkeys(template):
        selected = [i for i, code in enumerate(template) if code != t]
        without.append(
            sacrebleu.corpus_bleu([output[i] for i in selected], [[gold[i] for i in selected]]).score
        )
    spread = np.sqrt(9 / 10 * np.sum((np.array(without) - np.mean(without)) ** 2))
    [row] = [
        r for r in document["rates"]
        if (r["metric"], r["class"], r["attribute"]) == ("bleu", "gold", None)
    ]  # fmt: skip
    assert (row["high"] - row["low"]) / 2 == pytest.approx(
        2.262157 * spread, rel=1e-5
    )  # t, 9 degrees of freedom


def test_functions_of_sums_take_any_leading_axes():
    stats = np.random.default_rng(0).integers(1, 9, (4, 5, 10)).astype(float)
    np.testing.assert_allclose(bleu(stats)[2, 3], bleu(stats[2, 3]))
    stats = np.random.default_rng(0).integers(1, 9, (4, 5, 18)).astype(float)
    np.testing.assert_allclose(chrf(stats)[2, 3], chrf(stats[2, 3]))


def planted(share, rng, templates=150, unknown=0.1):
    """Pairs of one template share their output's leaning more often than chance: clusters matter."""
    lean = ["male" if t % 2 else "female" for t in range(templates) for _ in range(2)]
    gold = [g if i % 2 else {"male": "female", "female": "male"}[g] for i, g in enumerate(lean)]
    outputs = []
    for t in range(templates):
        together = rng.random() < 0.5
        first = rng.random() < share
        for i in range(2):
            pro = first if together or i == 0 else rng.random() < share
            g = lean[2 * t + i]
            named = g if pro else {"male": "female", "female": "male"}[g]
            outputs.append({"male": he, "female": she}[named])
    stereotype = ["pro" if a == b else "anti" for a, b in zip(gold, lean, strict=True)]
    data = table(outputs, gold_gender=gold, stereotype=stereotype, predisposition=lean)
    return data | {"template": [f"t{i // 2}" for i in range(2 * templates)]}


def test_a_planted_stereotype_share_lies_in_its_interval():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(20):
        data = planted(0.7, rng)
        del data["references"]
        [row] = [
            r for r in evenhand.audit(data, metric="share_pro").rates
            if r["metric"] == "share_pro" and r["attribute"] is None
        ]  # fmt: skip
        inside += row["low"] <= 0.7 <= row["high"]
    assert inside >= 17  # 95 % of 20 is 19, sd 1


def test_a_planted_difference_is_harm_and_equal_arms_are_not():
    rng = np.random.default_rng(1)
    base = planted(0.6, rng, templates=600)
    del base["references"]  # scores are tested above
    more = {**base, "completion": list(base["completion"])}
    for i, lean in enumerate(base["predisposition"]):
        if rng.random() < 0.4:
            more["completion"][i] = {"male": he, "female": she}[lean]
    document = evenhand.audit({"full": base, "lora": more}, primary="share_pro").to_dict()
    judged = [c for c in document["comparisons"] if c["family"] == "primary" and c["status"] == "ok"]
    assert {c["verdict"] for c in judged if c["attribute"] == "predisposition"} == {"harm"}
    same = evenhand.audit({"full": base, "lora": base}, primary="share_pro").to_dict()
    assert same["verdict"]["counts"]["harm"] == same["verdict"]["counts"]["help"] == 0


def test_without_columns_of_gold_the_reference_says_it():
    data = {
        "example_id": list("abcd"),
        "completion": [he, he, she, none],
        "references": [[he], [she], [she], [he]],
    }
    assert value(evenhand.audit(data, min_group_size=1).to_dict(), "gender_accuracy") == pytest.approx(2 / 4)


def test_measures_of_another_table_are_refused():
    data = planted(0.6, np.random.default_rng(0), templates=20)
    with pytest.raises(InputError, match="'option_share' is not a metric of generations"):
        evenhand.audit(data, primary="option_share")
    with pytest.raises(InputError, match="'share_pro' is not a metric of predictions"):
        evenhand.audit({"label": [0, 1], "prediction": [0, 1]}, primary="share_pro")
    with pytest.raises(InputError, match="generations have no options"):
        evenhand.audit(data, scoring="pride")
