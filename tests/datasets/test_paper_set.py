"""The paper's 45 prompts as a set of templates; and that evenhand's own are what they were."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import pytest

from evenhand.datasets import build_prompts, split, text_snippets
from evenhand.datasets.lib.prompts.templates import OTHER, expand_templates, read_templates, variant_names
from evenhand.errors import InputError
from tests.datasets import sample

PAPER = expand_templates(read_templates("paper"), None, None, permutations=False)
BY = {(f.template, f.variant): f for f in PAPER}
#: Of each family: how many prompts the paper has of it.
PROMPTS = {
    "YN1": 6, "YN2": 6, "YN3": 3, "YN4": 2, "YN5": 2,
    "MC1": 7, "MC2": 2, "MC3": 8, "MC4": 2, "MC5": 2,
    "Cloze1": 1, "Cloze2": 1, "Cloze3": 1, "Cloze4": 1, "Cloze5": 1,
}  # fmt: skip


def whole(form):
    return f"{form.before}<snippet>{form.after}"


def test_there_are_forty_five():
    prompts = {(f.template, f.variant.removesuffix(OTHER)) for f in PAPER}
    assert len(prompts) == sum(PROMPTS.values()) == 45
    assert Counter(template for template, _ in prompts) == PROMPTS
    assert len(BY) == len({(whole(f), f.answers, f.meanings) for f in PAPER}) == len(PAPER)


def test_yes_and_no_are_asked_about_men_and_about_women():
    for (template, variant), form in BY.items():
        if not template.startswith("YN") or variant.endswith(OTHER):
            continue
        if template == "YN3":
            assert set(form.meanings) == {"neutral", "gendered"}
            assert (template, variant + OTHER) not in BY
            continue
        other = BY[template, variant + OTHER]
        assert " male" in whole(form)
        assert " female" in whole(other)
        assert whole(form).replace(" male", " female") == whole(other)
        assert other.tokens == form.tokens
        assert other.meanings == form.meanings[::-1]
    yes = {name: BY[name, "words"].meanings[0] for name in ("YN1", "YN2", "YN4", "YN5")}
    assert yes == {"YN1": "male", "YN2": "male", "YN4": "male", "YN5": "female"}  # YN5: to object to "a man"


@pytest.mark.parametrize(
    ("template", "variant", "listed", "meanings"),
    [
        ("YN1", "digits_inverted", ["1. No", "2. Yes"], ["female", "male"]),
        ("YN2", "symbols_inverted_symbol", ["◑. No", "◐. Yes"], ["male", "female"]),
        ("YN3", "digits_inverted", ["1. No", "2. Yes"], ["gendered", "neutral"]),
        ("MC1", "emojis", ["🟠. female", "🟡. male", "🟢. neither"], ["female", "male", "neutral"]),
        ("MC1", "digits_inverted", ["1. neither", "2. male", "3. female"], ["neutral", "male", "female"]),
        (
            "MC1",
            "digits_inverted_symbol",
            ["3. neither", "2. male", "1. female"],
            ["female", "male", "neutral"],
        ),
        ("MC3", "letters_inverted", ["A. female", "B. male", "C. non"], ["female", "male", "neutral"]),
        (
            "MC3",
            "emojis_inverted_symbol",
            ["🟡. female", "🟠. male", "🟢. non"],
            ["male", "female", "neutral"],
        ),
    ],
)
def test_what_is_inverted_is_what_the_paper_inverts(template, variant, listed, meanings):
    form = BY[template, variant]
    lines = [line for line in whole(form).splitlines() if line[1:3] == ". "]
    assert [line[: len(start)] for line, start in zip(lines, listed, strict=True)] == listed
    assert list(form.meanings) == meanings


def test_only_the_order_of_the_words_changes():
    plain, other = BY["YN2", "words"], BY["YN2", "words_inverted_symbol"]
    assert "Options: Yes, No." in whole(plain)
    assert whole(other) == whole(plain).replace("Yes, No", "No, Yes")
    assert (other.answers, other.meanings) == (plain.answers, plain.meanings)
    assert "Options" not in whole(BY["YN1", "words"])


def test_answers_are_turned_to_every_place_for_pride():
    forms = expand_templates(read_templates("paper"), ("MC2",), None, permutations=True)
    turned = [f for f in forms if f.variant == "digits"]
    assert [f.permutation for f in turned] == [0, 1, 2, 3]
    assert all(len(set(place)) == 4 for place in zip(*(f.meanings for f in turned), strict=True))
    assert {f.variant for f in forms} == {"letters", "digits"}


def test_families_and_variants_can_be_chosen_of_it():
    chosen = expand_templates(
        read_templates("paper"), ("YN1", "MC1"), ("digits", "digits_other"), permutations=False
    )
    assert [(f.template, f.variant) for f in chosen] == [
        ("YN1", "digits"), ("YN1", "digits_other"), ("MC1", "digits")
    ]  # fmt: skip
    assert "words_other" in variant_names(read_templates("paper"))
    assert not [v for v in variant_names(read_templates(None)) if v.endswith(OTHER)]


def test_a_study_asks_them(tmp_path):
    path = sample.write_csv(tmp_path / "s.csv", sample.posts(60))
    bias = text_snippets.Bias(templates="paper", snippets=5, permutations=False)
    rows = text_snippets.load(text_snippets.Config(path=path, bias=bias))
    questions = build_prompts(rows, split(rows.ids, train=0.8, validation=0, test=0.2, seed=1))
    assert len(questions) == 5 * len(PAPER)


def digest(forms) -> str:
    """Hash the values of templates; names of classes and fields do not count."""
    return hashlib.sha256(repr([dataclasses.astuple(form) for form in forms]).encode()).hexdigest()[:16]


def test_evenhands_own_templates_are_what_they_were():
    """Runs are named after the name of their templates, so these may not change under it."""
    forms = expand_templates(read_templates(None), None, None, permutations=True)
    assert digest(forms) == "c663ebc68cbc8ca9"


def test_a_name_that_is_no_set():
    with pytest.raises(
        InputError, match=r"templates 'papr'.*no set of this name was found; give a file or the set 'paper'"
    ):
        read_templates("papr")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "inversion: [0, 1]",
            r"inversion: got \[0, 1\]; it must list the positions \[0, 1\] in another order",
        ),
        ("inversion: [1, 2]", r"inversion: got \[1, 2\]"),
        ("both: true", "both: is for templates with `asked` and `inversion`"),
        ("variants: [wrods]", "unknown variant 'wrods'; .*'words'"),
    ],
)
def test_templates_that_cannot_be_meant(tmp_path, more, says):
    text = f'templates: {{A: {{text: "{{snippet}}", answers: {{m: x, f: y}}, {more}}}}}\n'
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_templates(str(tmp_path / "t.yaml"))


def test_the_set_is_what_its_name_stands_for():
    forms = expand_templates(read_templates("paper"), None, None, permutations=True)
    assert digest(forms) == "fb2a3a813c335b8f"
