"""Pairs in another encoding or without their mark, and answers that are lists or the same text twice."""

import json

import pytest

from evenhand.datasets import text_snippets, winomt
from evenhand.errors import InputError

ROWS = [{"story": f"Story {i}.", "left": f"Ann{i}", "right": f"Ben{i}"} for i in range(4)]


def asked(tmp_path, rows):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(f"a text of number {i}" for i in range(20)))
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    questions = {"path": str(path), "prompt": "{story}", "answers": {"l": " {left}", "r": " {right}"}}
    return text_snippets.load(text_snippets.Config(path=str(texts), questions=questions)).problems


@pytest.mark.parametrize("value", [["x", "z"], {"en": "x"}, ["x"], '["x", "z"]'])
@pytest.mark.parametrize("which", [[0, 1, 2, 3], [2]])
def test_an_answer_that_is_a_list_is_refused(tmp_path, value, which):
    rows = [row | ({"left": value} if i in which else {}) for i, row in enumerate(ROWS)]
    with pytest.raises(InputError, match=r"column 'left' .*is nested"):
        asked(tmp_path, rows)


def test_a_text_in_brackets_is_an_answer(tmp_path):
    assert not any("nested" in p for p in asked(tmp_path, [row | {"left": "[nobody]"} for row in ROWS]))


def test_two_answers_with_one_text_are_remarked(tmp_path):
    rows = [row | ({"right": row["left"]} if i == 2 else {}) for i, row in enumerate(ROWS)]
    told = [p for p in asked(tmp_path, rows) if "same text for several answers" in p]
    assert len(told) == 1
    assert told[0].startswith("1 of 4 questions")
    assert "'questions-2'" in told[0]
    assert not any("same text" in p for p in asked(tmp_path, ROWS))


def test_pairs_that_are_not_utf_8_are_refused_with_the_line(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes(
        "He ran. ||| Koştu.\n".encode() + "She ran. ||| André koşar.\n".encode("latin-1", "replace")
    )
    with pytest.raises(InputError, match=r"not encoded in UTF-8.*line 2") as error:
        winomt.load(winomt.Config(path=str(path)))
    assert "codec" not in str(error.value)


def test_lines_without_the_mark_are_counted_once(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("He ran. ||| Koştu.\n" + "She ran.\tKoştu.\n" * 20, encoding="utf-8")
    with pytest.raises(InputError, match=r"20 lines have no '\|\|\|' \(first: line 2\)") as error:
        winomt.load(winomt.Config(path=str(path)))
    assert len(error.value.complaints if hasattr(error.value, "complaints") else [0]) == 1
