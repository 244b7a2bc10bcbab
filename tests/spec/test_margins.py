"""Margins and levels of studies: refused by place and value, when read and when judged again."""

from __future__ import annotations

import pytest

from evenhand.cli import main
from evenhand.errors import CallError, SpecError
from evenhand.spec.read import read_studies
from evenhand.spec.stored import as_plain
from evenhand.store.folder import StudyFolder
from evenhand.study.results.document import judge, settings_of

STUDY = """\
name: margins
dataset: {{name: synthetic_posts, rows: 100}}
model: tiny_text
methods: {{full: {{}}, head_only: {{}}}}
seeds: [1]
audit: {audit}
"""
POINTS = "so a margin of {} would make every loss harmless"

WRONG = {
    "{margin: 2}": "audit.margin: got 2; accuracy and other rates are between 0 and 1, " + POINTS.format(2),
    "{margin: 1.0}": "1 point is 0.01",
    "{margin: 2%}": "audit.margin: got '2%'; must be a number, here 0.02.",
    "{margin: '0,02'}": "must be a number, here 0.02.",
    "{margin: {accuracy: 2}}": "audit.margin.accuracy: got 2; accuracy is between 0 and 1",
    "{margin: {log_loss: 3, f1: 5 points}}": "audit.margin.f1: got '5 points'; must be a number, here",
    "{margin: {equalized_odds_ratio: 80}}": "equalized_odds_ratio is between 0 and 1",
    "{margin: .inf}": "got inf; must be a number above 0",
    "{margin: true}": "got true; must be a number above 0",
    "{margin: {f1: 0.1}, metric: [accuracy]}": "'f1' is not computed: audit.metric does not name it.",
    "{alpha: 5}": "audit.alpha: got 5; must be a number above 0 and below 1.",
    "{alpha: 5%}": "audit.alpha: got '5%'; must be a number, here 0.05.",
    "{alpha: 95%}": "here 0.05.",
    "{alpha: 0.95}": "for 95 % intervals give 0.05",
    "{min_group_size: 0.1}": "got 0.1; must be an integer of at least 1",
}


@pytest.mark.parametrize("audit", WRONG)
def test_a_study_is_refused(audit, tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(audit=audit))
    assert main(["validate", str(path)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert WRONG[audit] in told
    assert "study.yaml:6" in told
    assert "problems" not in told  # one mistake, one complaint


def test_a_margin_of_the_command_line_is_refused(tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(audit="{}"))
    assert main(["validate", str(path), "-o", "audit.margin=2"]) == 2
    assert "-o audit.margin=2: got 2; accuracy" in " ".join(capsys.readouterr().err.split())
    assert main(["validate", str(path), "-o", "audit.margin=0.5"]) == 0


def test_margins_of_measures_of_texts():
    study = {
        "name": "texts", "dataset": {"name": "synthetic_pairs", "rows": 200}, "model": "tiny_translator",
        "methods": {"full": {}}, "seeds": [1],
    }  # fmt: skip
    (one,) = read_studies({**study, "audit": {"margin": {"bleu": 2, "share_pro": 0.05}}})
    assert one.audit.margin == {"bleu": 2, "share_pro": 0.05}
    with pytest.raises(SpecError, match="bleu is between 0 and 100"):
        read_studies({**study, "audit": {"margin": {"bleu": 200}}})


def test_a_stored_study_that_is_judged_again_is_refused_by_its_file(tmp_path):
    """What an older version let through is refused where it stands, and nothing is written."""
    (study,) = read_studies(
        {"name": "old", "dataset": {"name": "synthetic_posts", "rows": 100}, "model": "tiny_text",
         "methods": {"full": {}, "head_only": {}}, "seeds": [1], "audit": {"margin": 0.02}}
    )  # fmt: skip
    study = study.model_copy(update={"audit": study.audit.model_copy(update={"margin": 2.0})})
    with pytest.raises(CallError, match="--margin 2: accuracy"):
        settings_of(study.audit)
    folder = StudyFolder(tmp_path / "old")
    folder.create(as_plain(study), {"sha256": "0" * 64, "attributes": [], "classes": [], "task": "text"})
    before = sorted(p.name for p in folder.path.iterdir())
    with pytest.raises(CallError, match=r"study\.json, audit: --margin 2: accuracy"):
        judge(study, folder)
    assert sorted(p.name for p in folder.path.iterdir()) == before
