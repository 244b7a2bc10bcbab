"""A prompt around a text and its translation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evenhand.datasets import Translations, winomt
from evenhand.spec.identity import run_id
from evenhand.spec.read import read_studies

LINES = ["He was late. ||| O geç kaldı.", "She was late. ||| O geç kaldı.", "They left. ||| Gittiler."]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "pairs.txt").write_text("\n".join(LINES), encoding="utf-8")
    return str(tmp_path / "pairs.txt")


@pytest.mark.parametrize(
    ("prompt", "before", "learnt"),
    [
        ("Turkish: {text} English: {translation}", "Turkish: Gittiler. English:", " They left."),
        ("{text}\n{translation}", "Gittiler.\n", "They left."),
        ("«{text}» auf Englisch:  {translation}", "«Gittiler.» auf Englisch:", "  They left."),
        ("Übersetze.\n\n{text}\n=>{translation}", "Übersetze.\n\nGittiler.\n=>", "They left."),
    ],
)
def test_blanks_before_the_translation_belong_to_it(path, prompt, before, learnt):
    found = winomt.load(winomt.Config(path=path, prompt=prompt)).translations
    assert (found.prompt("Gittiler."), found.learnt(2)) == (before, learnt)
    assert before + learnt == prompt.format(text="Gittiler.", translation="They left.")
    assert found.references[2][0] == "They left."


def test_without_a_prompt_nothing_is_new(path):
    found = winomt.load(winomt.Config(path=path, separator=" = ")).translations
    assert (found.prefix, found.separator, found.blank) == ("", " = ", "")
    assert (found.prompt("a"), found.learnt(2)) == ("a = ", "They left.")
    assert winomt.smoke(winomt.Config(path=path)).translations.separator == "\n"
    made = winomt.smoke(winomt.Config(path=path, prompt="T: {text} E: {translation}")).translations
    assert (made.prefix, made.separator, made.blank) == ("T: ", " E:", " ")
    assert Translations([["a"]], "\n", 3).prompt("b") == "b\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"prompt": "Turkish: {text}"},
            r"with the slots \{text\}; it must have \{text\} and then \{translation\}",
        ),
        ({"prompt": "English: {translation} Turkish: {text}"}, r"with the slots \{translation\}, \{text\}"),
        ({"prompt": "{src} English: {translation}"}, r"with the slots \{src\}, \{translation\}"),
        ({"prompt": "{text} {text} {translation}"}, "once each"),
        ({"prompt": "Turkish English"}, "with the slots none"),
        ({"prompt": "{text} English: {translation}."}, "nothing may follow"),
        ({"prompt": "{text}  {translation}"}, "text other than blanks"),
        ({"prompt": "{text}: {translation}", "separator": " = "}, "give either prompt or separator"),
    ],
)
def test_prompts_that_cannot_be_meant(options, says):
    with pytest.raises(ValidationError, match=says):
        winomt.Config(path="a", **options)


def ids(**options):
    dataset = {"name": "winomt", "path": "pairs.txt", **options}
    methods = {"full": {"learning_rate": 1e-5, "epochs": 2}, "none": {}}
    spec = {"name": "t", "dataset": dataset, "model": "someone/writes", "methods": methods, "seeds": [1]}
    [one] = read_studies({**spec, "audit": {"reference": "none"}})
    return [run_id(one, one.models[0], arm, 1) for arm in one.arms]


def test_runs_without_a_prompt_keep_their_ids():
    """Ids from before there was a prompt."""
    before = ["1-4f8a01d9df00f821", "1-47ebcaf5950dc831"]
    assert ids() == ids(prompt=None) == before
    given = ids(prompt="{text} = {translation}")
    assert not {*given, *ids(prompt="{text} > {translation}")} & set(before)
    assert given != ids(prompt="{text} > {translation}")
