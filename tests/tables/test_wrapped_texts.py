"""Texts that exports wrap: references that hold several, completions that hold more than the answer."""

import numpy as np
import pytest

from evenhand.tables.answers.completions import remarks_on_completions
from evenhand.tables.answers.generations import _remarks_on_references
from evenhand.tables.answers.references import parse
from evenhand.tables.schema import ArmRun


@pytest.mark.parametrize(
    "text",
    [
        '[{"text": "He ran."}]',
        "WrappedArray(He ran., She ran.)",
        "Series(['a'])",
        "{He ran.,She ran.}",
        "[3]",
    ],
)
def test_a_printed_list_is_refused(text):
    assert parse(text) is None


@pytest.mark.parametrize("text", ["[laughs] He ran.", "Set off (he ran).", "He ran; she stayed."])
def test_an_ordinary_text_is_one_reference(text):
    assert parse(text) == (text,)


@pytest.mark.parametrize("mark", ["\n", "; ", " / ", "|"])
def test_joined_references_are_remarked(mark):
    (remark,) = _remarks_on_references(["a1"], [(f"The baker said he ran.{mark}The baker said she ran.",)])
    assert "seem to be several references" in remark
    assert "'a1'" in remark


def test_ordinary_references_are_not_remarked():
    texts = ["The cook left; nobody knew why.", "He paid and / or she did.", '"Run," he said.']
    assert _remarks_on_references(["a", "b", "c"], [(t,) for t in texts]) == []


def test_references_in_quotes_are_remarked():
    (remark,) = _remarks_on_references(["a1"], [('"The baker ran."',)])
    assert "in quotation marks in 1 of 1 rows" in remark


def remarks(texts, references=None):
    references = references or [(f"The baker ran {i} times.",) for i in range(len(texts))]
    ids = [f"r{i}" for i in range(len(texts))]
    return remarks_on_completions(
        [ArmRun("lora", "0")], ids, [texts], np.zeros((1, len(texts)), bool), references
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('["She ran."]', "list or record"),
        ("['She ran.']", "list or record"),
        ('[{"generated_text": "She ran."}]', "list or record"),
        ('"She ran."', "quotation marks"),
        ("Translation: She ran.", "begins with a label"),
        ("Koştu => She ran.", "'=>'"),
        (r"She ran.\nHe ran.", "line break"),
        ("She ran.\u2028He ran.", "separator"),
        ("ERROR: timeout", "error message"),
    ],
)
def test_a_wrapped_completion_is_remarked(text, what):
    assert any(
        what in r and "1 of 2 rows of 'lora' (first: example 'r1')" in r for r in remarks(["He ran.", text])
    )


def test_one_text_in_all_rows_is_remarked():
    assert any("the same text in all 6 rows" in r for r in remarks(["He ran."] * 6))


def test_ordinary_completions_are_not_remarked():
    assert remarks(["He ran.", '"Stop," she said.', "The error was his: he ran.", "He said it [sic]."]) == []
