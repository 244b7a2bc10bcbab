"""The first section of a study's page answers its question: an example of every experiment of the paper.

Small documents that are really judged stand for studies of each kind; the slow test runs the recipes' smokes.
"""

from __future__ import annotations

import copy
import io
import json
import re

import numpy as np
import pytest
import study_sample
import written_sample
from benchmarks.simulate.attacks import halves
from benchmarks.simulate.calibration import draw
from rich.console import Console
from test_page import read

from evenhand.cli import main
from evenhand.judge.attacks import lira, loss
from evenhand.judge.privacy import PrivacySettings, attack_signals
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.report import wording
from evenhand.report.document import arms
from evenhand.report.headline import headline
from evenhand.report.study.page import build_study_page, summarise_study
from evenhand.report.study.wording import trend_summary
from evenhand.store.folder import StudyFolder
from evenhand.study.results.document import _verdict
from evenhand.tables.schema import Attribute, Columns
from evenhand.tables.signals.schema import SignalArm, Signals

#: By experiment: what its first section has to name.
HEADLINES = {
    "e1": ("accuracy", "worst group accuracy, by", "demographic parity difference"),
    "e2": ("accuracy", "worst group accuracy, by race"),
    "e3": ("accuracy", "worst group accuracy, by race"),
    "e4": ("expected calibration error", "Brier score"),
    "e5": ("ROC AUC, loss", "TPR at 1 % FPR, loss"),
    "e6": ("ROC AUC, lira", "TPR at 1 % FPR, lira"),
    "e7": ("accuracy", "worst group accuracy, by", "lora"),
    "e8": ("accuracy", "worst group accuracy, by", "lora"),
    "e9": ("gender accuracy", "ΔG: F1 male minus F1 female", "ΔS: accuracy pro minus anti"),
    "e10": ("share of '", "share of answers that follow the token"),
}
#: By experiment: the number whose difference stands there.
FIRST = {
    **dict.fromkeys(("e1", "e2", "e3", "e7", "e8"), "accuracy"),
    **{"e4": "brier_score", "e5": "roc_auc", "e6": "roc_auc", "e9": "delta_g", "e10": "token_followed"},
}
SMOKES = {
    "e1": "e1_religion_llama2", "e2": "e2_gender_vit", "e3": "e3_age_vit", "e4": "e4_gender_vit",
    "e5": "e5_gender_vit", "e6": "e6_gender_vit", "e7": "e7_gender_face_vit", "e8": "e8_age_face_vit",
    "e9": "e9_general_llama2", "e10": "e10_llama2",
}  # fmt: skip


def section(page: str, name: str = "verdict") -> str:
    """The words of a section of a page."""
    start = page.index(f'<section id="{name}"')
    part = page[start : page.index("</section>", start)]
    return " ".join("".join(read(part).text).split())


def attacked(*, config, runs: int = 5):
    """What an attack finds of two arms, the second of which leaks."""
    rng = np.random.default_rng(0)
    member = halves(runs, 300, rng)
    arms = []
    for name, gap in (("full", 0.1), ("lora[rank=8]", 1.5)):
        margin = (gap * member + rng.standard_normal(member.shape))[:, :, None]
        names = tuple(map(str, range(runs)))
        told = SignalArm(name, names, np.ones(runs, bool), member, np.logaddexp(0, -margin), margin)
        arms.append(told)
    groups = (Attribute("race", "partition", ("A", "B"), codes=np.arange(300) % 2),)
    signals = Signals(tuple(map(str, range(300))), tuple(arms), groups)
    settings = PrivacySettings(attacks=(config,), permutations=19)
    return attack_signals(signals, Columns(by=("race",)), settings).to_dict()


def study(key: str):
    """A document of a study like those of an experiment."""
    found = copy.deepcopy(study_sample.one_model())
    if key in ("e9", "e10"):
        written = written_sample.document()
        found["models"] = [written["models"][key == "e9"]]
        found["dataset"] = written["dataset"]
    (model,) = found["models"]
    if key == "e4":
        p = draw(800, 1, np.random.default_rng(0), of_runs=0.0, of_rows=0.1, shift=0.1)
        primary = ("expected_calibration_error", "brier_score")
        settings = Settings(metrics=primary, primary=primary, margins=dict.fromkeys(primary, 0.02))
        model["audit"] = judge_predictions(p, Columns(), settings).to_dict()
        model |= {"trends": [], "sizes": []}
    if key == "e5":
        model["privacy"] = attacked(config=("loss", loss.Config()))
    if key == "e6":
        model["privacy"] = attacked(config=("lira", lira.Config(mode="offline")))
    if key in ("e1", "e2", "e3", "e5", "e6", "e7", "e8"):
        gaps = [r | {"metric": m} for r in model["audit"]["disparities"][:5]
                for m in ("worst_group_accuracy", "demographic_parity_difference")]  # fmt: skip
        model["audit"]["disparities"] += [r | {"class": None} for r in gaps]
    found["verdict"] = _verdict(found["models"])
    return found


#: By experiment: what the first sentence compares.
COMPARED = {
    "e4": "comparisons of expected calibration error and Brier score by group",
    "e5": "comparisons of AUC and TPR at 1 % FPR by group",
    "e6": "comparisons of AUC and TPR at 1 % FPR by group",
    "e9": "comparisons of gender accuracy and share of stereotypical outputs by group",
    "e10": "comparisons of share of answers that follow the token by group",
}
OF_CLASSES = "comparisons of accuracy, true positive rate and false positive rate by group"


@pytest.mark.parametrize("key", HEADLINES)
def test_the_first_section_has_the_headline_of_the_experiment(key):
    document = study(key)
    first = section(build_study_page(document))
    for name in HEADLINES[key]:
        assert name in first, name
    lead = first[: first.index("The candidate ")]
    named = set(re.findall(r"[a-zA-Z]{3,}", COMPARED.get(key, OF_CLASSES)))
    assert named <= set(re.findall(r"[a-zA-Z]{3,}", lead))
    assert "The margin is 2.0 points" in first
    (model,) = document["models"]
    judged = model["privacy"] if key in ("e5", "e6") else model["audit"] or model["generative"]
    reference, *candidates = arms(judged)
    assert len(candidates) in (1, 2, 4) or key == "e4"
    for name in candidates:
        (change,) = [r for r in judged["comparisons"] if (r["candidate"], r["metric"]) == (name, FIRST[key])
                     and r["group"] is r["attribute"] is r["class"] is None]  # fmt: skip
        limits = wording.span(change, signed=True)
        assert f"{name} − {reference}" in first
        assert limits != "–"
        assert limits in first


def test_ranks_come_before_the_counts():
    for key in ("e7", "e8"):
        document = study(key)
        first = section(build_study_page(document))
        words = trend_summary(document["models"][0]["trends"])
        assert words
        assert all(line in first[: first.index("The candidate ")] for line in words)
    document["models"][0]["trends"] = []
    assert "No slopes" in section(build_study_page(document)).partition("The candidate ")[0]


def test_calibration_is_not_begun_with_other_gaps():
    first = section(build_study_page(study("e4")))
    assert "demographic parity difference" not in first.partition("Closest to harm")[0]


def test_of_many_arms_the_table_is_folded():
    document = study("e7")
    audit = document["models"][0]["audit"]
    more = [f"lora[rank={2**k}]" for k in range(7, 14)]
    audit["rates"] += [r | {"input": n} for n in more for r in audit["rates"] if r["input"] == "full"]
    page = build_study_page(document)
    assert "Results of every arm over all rows" in section(page)
    assert len(headline(audit).rows) == 12 + 4


def test_the_terminal_names_the_options_that_are_chosen():
    stream = io.StringIO()
    document = study("e10")
    summarise_study(document, Console(file=stream, width=80))
    text = " ".join(stream.getvalue().split())
    (judged,) = [m["generative"] for m in document["models"]]
    overall = {(r["input"], r["metric"], r["class"]): r["value"] for r in judged["rates"]
               if r["attribute"] is None}  # fmt: skip
    for arm in written_sample.ARMS:
        male, token = overall[arm, "option_share", "male"], overall[arm, "token_followed", None]
        line = text[text.index(f"- {arm}: '") :].partition(" - ")[0]
        assert f"'male' {wording.amount(male, 'option_share')}" in line
        assert f"answers follow the token {wording.amount(token, 'token_followed')}" in line


@pytest.mark.parametrize("key", ["e5", "e6"])
def test_a_study_that_attacks_begins_with_leakage(key):
    document = study(key)
    assert document["verdict"]["question"] == "leakage"
    assert document["verdict"]["sentence"].startswith("Leakage of lora[rank=8] against full:")
    page = build_study_page(document)
    first = section(page)
    assert first.startswith("Verdict Leakage of lora[rank=8] against full:")
    assert first.index("Leakage of") < first.index("Results on the test rows")
    ids = re.findall(r'<section id="([a-z]+)"', page)
    assert ids[:4] == ["verdict", "study", "privacy", "differences"]
    stream = io.StringIO()
    summarise_study(document, Console(file=stream, width=80))
    text = " ".join(stream.getvalue().split())
    assert text.startswith("Leakage of lora[rank=8]")
    assert text.index("ROC AUC") < text.index("Results on the test rows")
    privacy, audit = document["models"][0]["privacy"]["verdict"], document["models"][0]["audit"]["verdict"]
    for word, n in document["verdict"]["counts"].items():
        assert n == privacy["counts"][word] + audit["counts"][word]
    assert document["verdict"]["worst"]["metric"] == privacy["worst"]["metric"]


@pytest.mark.parametrize(("key", "kind"), [("e9", "generations"), ("e10", "likelihoods")])
def test_models_that_write_show_their_comparisons(key, kind):
    document = study(key)
    judged = document["models"][0]["generative"]
    assert judged["kind"] == kind
    page = build_study_page(document)
    counted = judged["verdict"]["counts"]
    first = section(page)
    assert all(f"{n} {symbol} {word}" in first for word, symbol, n in
               (("undecided", "◆", counted["undecided"]), ("harm", "▼", counted["harm"])))  # fmt: skip
    table = section(page, "comparisons")
    assert "Primary comparisons, worst first" in table
    rows = [r for r in judged["comparisons"] if r["family"] == "primary"]
    assert page.count('class="verdict ') >= len(rows)
    how = section(page, "how")
    assert "Families and level" in how
    assert ("ΔG and ΔS" if key == "e9" else "Token priors") in how
    stream = io.StringIO()
    summarise_study(document, Console(file=stream, width=100))
    assert f"▼ {counted['harm']} harm" in stream.getvalue()


def test_the_headline_numbers_are_the_documents():
    document = study("e9")["models"][0]["generative"]
    table = headline(document)
    column = [c.text for c in table.head].index("ΔG: F1 male minus F1 female")
    overall = [r for r in (*document["rates"], *document["comparisons"])
               if r["attribute"] is None and r["metric"] == "delta_g"]  # fmt: skip
    shown = {line[0].text: line[column].sort for line in table.rows}
    assert shown == {
        r["input"] if "input" in r else f"{r['candidate']} − {r['reference']}":
        r["value"] if "input" in r else r["difference"] for r in overall
    }  # fmt: skip
    assert len(shown) == 5


@pytest.mark.slow
@pytest.mark.parametrize("key", SMOKES)
def test_the_smoke_of_every_experiment(key, tmp_path):
    assert main(["run", f"paper/{SMOKES[key]}", "--smoke", "--output", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    first = section((folder / "report.html").read_text())
    for name in HEADLINES[key]:
        assert name in first, name
    result = json.loads(StudyFolder(folder).result.read_text())
    assert result["verdict"]["about"] == "these runs"
    assert "In these runs, " in result["verdict"]["sentence"]
    assert result["description"].endswith("?")
    words = " ".join("".join(read((folder / "report.html").read_text()).text).split())
    assert result["description"] in words[: words.index("Verdict")]
