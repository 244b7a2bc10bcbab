"""Rows for models that write: pairs of sentences, templates, questions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenhand.datasets import build_prompts, find_leaks, split, synthetic_pairs, text_snippets, winomt
from evenhand.datasets.lib.prompts.templates import expand_templates, read_templates, variant_names
from evenhand.errors import InputError
from tests.datasets import sample

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def pairs(tmp_path, lines, name="pairs.txt"):
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path / name)


def test_winomt_with_annotations(tmp_path):
    english = [
        f"The {job} met the guard because {p} was late." for job in ("cook", "nurse") for p in ("he", "she")
    ]
    turkish = ["Asci geç.", "Asci geç.", "Hemsire geç.", "Hemsire geç."]
    rows = [f"{e} ||| {t}" for e, t in zip(english, turkish, strict=True)]
    marks = ["male\t1", "female\t1"] * 2
    whole = [f"{m}\t{e}\tx" for m, e in zip(marks, english, strict=True)]
    (tmp_path / "a").mkdir()
    pairs(tmp_path / "a", whole, "en.txt")
    pairs(tmp_path / "a", [whole[0], whole[3]], "en_pro.txt")
    pairs(tmp_path / "a", [whole[1], whole[2]], "en_anti.txt")
    found = winomt.load(winomt.Config(path=pairs(tmp_path, rows), annotations=str(tmp_path / "a")))
    told = {a.name: [a.groups[c] for c in a.codes] for a in found.attributes}
    assert told == {
        "gold_gender": ["male", "female", "male", "female"],
        "stereotype": ["pro", "anti", "anti", "pro"],
        "predisposition": ["male", "male", "female", "female"],
    }
    assert list(found.inputs) == turkish
    assert found.translations.references[0] == (
        english[0],
        english[1],
        english[0].replace("he was", "they were"),
    )
    assert found.units[0] == found.units[1] != found.units[2]


def test_a_translation_that_two_patterns_share_joins_them(tmp_path):
    rows = [
        "He was late. ||| O geç.",
        "He came late. ||| O geç.",
        "She came late. ||| O geldi.",
        "He left. ||| Gitti.",
    ]
    found = winomt.load(winomt.Config(path=pairs(tmp_path, rows)))
    a, b, c, d = found.units
    assert a == b == c != d


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("No translation.", "1 line has no '|||' .first: line 2"),
        ("He left. ||| ", "line 2: has an empty side"),
        ("He left. ||| a ||| b", "line 2: has 3 sides"),
        ("Nobody left. ||| Gitti.", "have no pronoun"),
    ],
)
def test_bad_pairs(tmp_path, line, says):
    path = pairs(tmp_path, ["He came. ||| Geldi.", line])
    with pytest.raises(InputError, match=says):
        winomt.load(winomt.Config(path=path))


def test_a_pair_that_is_not_annotated(tmp_path):
    (tmp_path / "a").mkdir()
    pairs(tmp_path / "a", ["male\t0\tHe came.\tx"], "en.txt")
    path = pairs(tmp_path, ["He came. ||| Geldi.", "He left. ||| Gitti."])
    with pytest.raises(InputError, match=r"1 of 2 .* are not among the annotations \(first: 'He left.'\)"):
        winomt.load(winomt.Config(path=path, annotations=str(tmp_path / "a")))


def test_two_columns(tmp_path):
    rows = [{"en": f"He came {i}.", "tr": f"Geldi {i}."} for i in range(3)]
    found = winomt.load(winomt.Config(path=sample.write_csv(tmp_path / "t.csv", rows), columns=("en", "tr")))
    assert list(found.inputs) == ["Geldi 0.", "Geldi 1.", "Geldi 2."]
    assert found.translations.references[1][0] == "He came 1."


@pytest.mark.shared
@pytest.mark.parametrize("half", ["general", "pro", "anti"])
def test_the_shared_pairs(half):
    folder = sample.SHARED / "data"
    if not (folder / "winomt_en_tr").is_dir():
        pytest.skip("no shared folder")
    path = str(folder / "winomt_en_tr" / f"en_tr_{half}.txt")
    found = winomt.load(winomt.Config(path=path, annotations=str(folder / "winomt")))
    counts = {a.name: np.bincount(a.codes).tolist() for a in found.attributes}
    assert (
        counts["gold_gender"] == {"general": [1823, 1819, 240], "pro": [791, 790], "anti": [792, 789]}[half]
    )
    if half == "general":
        assert counts["stereotype"] == [1581, 1581, 720]
    for seed in (13, 42):
        parts = split(found.ids, **SHARES, seed=seed, units=found.units)
        assert not find_leaks(found, parts)
        assert sum(len(rows) for _, rows in parts.named()) == len(found.ids)


def test_units_are_not_cut():
    ids = [f"r{i}" for i in range(100)]
    units = [f"u{i // 7}" for i in range(100)]
    parts = split(ids, **SHARES, seed=3, units=units)
    where = [{units[row] for row in rows.tolist()} for _, rows in parts.named()]
    assert sum(map(len, where)) == len(set(units))
    assert [len(rows) for _, rows in parts.named()] == pytest.approx([70, 10, 20], abs=7)
    plain, own = (split(ids, **SHARES, seed=3, units=u) for u in (None, ids))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(plain.named(), own.named(), strict=True))


def test_planted_stereotypes_are_there():
    found = synthetic_pairs.load(synthetic_pairs.Config(rows=600, stereotype_share=0.8))
    kind = next(a for a in found.attributes if a.name == "stereotype")
    share = float(np.mean(kind.codes == kind.groups.index("pro")))
    assert abs(share - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 600) + 0.05  # pairs that repeat are dropped


FORMS = expand_templates(read_templates(None), None, None, permutations=True)


def test_fifteen_families_with_their_variants():
    templates = read_templates(None)
    assert list(templates.templates) == [f"{kind}{i}" for kind in ("YN", "MC", "Cloze") for i in range(1, 6)]
    for name, one in templates.templates.items():
        own = [f for f in FORMS if f.template == name]
        for signs in ("letters", "digits", "symbols", "emojis"):
            for how in ("", "_inverted", "_inverted_symbol"):
                assert any(f.variant == signs + how for f in own)
            assert [f.permutation for f in own if f.variant == signs] == list(range(len(one.answers)))
        assert any(f.variant == "words" for f in own)
    assert {f.variant for f in FORMS} <= set(variant_names(templates))


def test_inverting_moves_meanings_and_leaves_tokens():
    by = {(f.template, f.variant, f.permutation): f for f in FORMS}
    for form in FORMS:
        if form.permutation != 0:
            continue
        inverted = by[form.template, f"{form.variant}_inverted", None]
        together = by[form.template, f"{form.variant}_inverted_symbol", None]
        assert inverted.tokens == together.tokens == form.tokens
        assert all(a != b for a, b in zip(inverted.meanings, form.meanings, strict=True))
        assert together.meanings == form.meanings
        assert (together.before + together.after) != (form.before + form.after)
        assert (inverted.before + inverted.after) != (form.before + form.after)


def test_every_token_gets_every_meaning_once():
    for template in ("YN1", "MC2", "Cloze3"):
        turned = [f for f in FORMS if (f.template, f.variant) == (template, "digits")]
        for place in zip(*(f.meanings for f in turned), strict=True):
            assert len(set(place)) == len(turned)


def test_nothing_is_left_to_fill_in():
    for form in FORMS:
        text = form.before + form.after + "".join(form.answers)
        assert not set("{}") & set(text)
        assert all(a == f" {t}" for a, t in zip(form.answers, form.tokens, strict=True))


def test_complaints_about_a_file_come_at_once(tmp_path):
    (tmp_path / "t.yaml").write_text(
        'symbols: {letters: [A, B]}\ntemplates:\n  A: {text: "hi {snip}", answers: {m: x, f: y}}\n'
        '  B: {text: "hi {snippet} ", answers: {m: x, f: y}}\n'
        '  C: {text: "{snippet}", answers: {m: x}, opt: 1}\n'
        '  D: {text: "{snippet} {asked}", answers: {m: x, f: y}}\n  E: {text: "hi", answers: {m: x, f: x}}\n'
    )
    with pytest.raises(InputError) as caught:
        read_templates(str(tmp_path / "t.yaml"))
    told = "\n".join(caught.value.complaints)
    for line, words in [
        (3, "templates.A: text has an unknown slot {snip}"),
        (4, "templates.B: text: ends with a blank"),
        (5, "templates.C.answers"),
        (5, "templates.C.opt: unknown key"),
        (6, "templates.D: asked"),
        (7, "templates.E: text has no slot {snippet}"),
    ]:
        assert f":{line}, {words}" in told


def test_too_few_signs(tmp_path):
    (tmp_path / "t.yaml").write_text(
        'symbols: {letters: [A]}\ntemplates: {A: {text: "{snippet}", answers: {m: x, f: y}}}\n'
    )
    with pytest.raises(InputError, match=r"symbols: 'letters' must have 2 different signs"):
        read_templates(str(tmp_path / "t.yaml"))


def test_unknown_templates_and_variants():
    with pytest.raises(InputError) as caught:
        expand_templates(read_templates(None), ("YN9",), ("leters",), permutations=False)
    assert len(caught.value.complaints) == 2
    assert "'letters'" in caught.value.complaints[1]


def test_only_test_rows_are_asked_about(tmp_path):
    path = sample.write_csv(tmp_path / "s.csv", sample.posts(60))
    bias = text_snippets.Bias(families=("MC1",), variants=("letters",), snippets=8, permutations=False)
    rows = text_snippets.load(text_snippets.Config(path=path, bias=bias))
    parts = split(rows.ids, **SHARES, seed=1)
    questions = build_prompts(rows, parts)
    assert [q.id for q in questions] == [rows.ids[i] for i in parts.test[:8]]
    assert {q.form.permutation for q in questions} == {None}
    learnt = {rows.inputs[i] for i in (*parts.train, *parts.validation)}
    assert not learnt & {q.text for q in questions}


def test_questions_of_a_table(tmp_path):
    rows = [
        {"context": f"C{i}.", "more": f"m{i}", "less": f"l{i}", "right": i % 2, "kind": "ab"[i % 2]}
        for i in range(5)
    ]
    path = sample.write_csv(tmp_path / "q.csv", rows)
    texts = sample.write_csv(tmp_path / "s.csv", sample.posts(20))
    questions = {
        "path": path, "prompt": "{context}", "answers": {"more": " {more}", "less": " {less}"},
        "label": "right", "by": ("kind",),
    }  # fmt: skip
    found = text_snippets.load(text_snippets.Config(path=texts, questions=questions))
    one = found.prompts.questions[3]
    assert (one.form.before, one.form.answers, one.label) == ("C3.", (" m3", " l3"), "less")
    assert [a.name for a in found.prompts.attributes] == ["kind"]
    with pytest.raises(InputError, match="label"):
        text_snippets.load(text_snippets.Config(path=texts, questions={**questions, "label": "kind"}))
    with pytest.raises(InputError, match="mor"):
        text_snippets.load(text_snippets.Config(path=texts, questions={**questions, "prompt": "{mor}"}))


def one_answer_a_row(tmp_path, rows, **more):
    path = sample.write_csv(tmp_path / "q.csv", rows)
    texts = sample.write_csv(tmp_path / "s.csv", sample.posts(20))
    questions = {
        "path": path, "parse": {"name": "{job}.{number}.{whose}.txt"}, "meaning": "whose",
        "together": ("job", "number"), "by": ("job",), "answers": {"his": "{text}", "her": "{text}"}, **more,
    }  # fmt: skip
    return text_snippets.load(text_snippets.Config(path=texts, questions=questions)).prompts


PAIRED = [
    {"name": f"{job}.{i}.{whose}.txt", "text": f"The {job} lost {whose} hat, {i}.", "about": str(i)}
    for whose in ("her", "his")
    for job in ("cook", "judge")
    for i in range(2)
]


def test_questions_of_rows_that_hold_an_answer_each(tmp_path):
    found = one_answer_a_row(tmp_path, PAIRED)
    assert [q.form.answers for q in found.questions] == [
        (f"The {job} lost his hat, {i}.", f"The {job} lost her hat, {i}.")
        for job in ("cook", "judge")
        for i in range(2)
    ]
    assert {q.form.meanings for q in found.questions} == {("his", "her")}
    [job] = found.attributes
    assert (job.name, [job.groups[c] for c in job.codes]) == ("job", ["cook", "cook", "judge", "judge"])
    assert len({q.id for q in found.questions}) == 4


@pytest.mark.parametrize(
    ("rows", "more", "says"),
    [
        (PAIRED[1:], {}, r"does not hold each of his, her once for 1 questions \('cook, 0'\)"),
        ([*PAIRED, PAIRED[0]], {}, "once for 1 questions"),
        (PAIRED, {"answers": {"his": "{text}", "hers": "{text}"}}, "the value 'her'.*did you mean 'hers'"),
        ([*PAIRED, {**PAIRED[0], "name": "cook-0"}], {}, "values that do not match '{job}"),
        (PAIRED, {"together": ("job",), "meaning": "name", "answers": {n["name"]: "{text}" for n in PAIRED}},
         "once for 2 questions"),
        ([*PAIRED[:4], *({**r, "about": "9"} for r in PAIRED[4:])], {"prompt": "{about}"},
         "different prompts"),
    ],
)  # fmt: skip
def test_rows_that_make_no_questions(tmp_path, rows, more, says):
    with pytest.raises(InputError, match=f"(?i){says}"):
        one_answer_a_row(tmp_path, rows, **more)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"together": ()}, "together: is needed with meaning"),
        ({"meaning": None}, "together: is needed with meaning"),
        ({"parse": {"name": "name"}}, "parse.name: has no name in braces"),
        ({"parse": {"name": "{a}.{a}"}}, "made more than once"),
        ({"parse": {"name": "{a b}"}}, "is not a valid name"),
    ],
)
def test_questions_that_cannot_be_meant(tmp_path, more, says):
    with pytest.raises(ValueError, match=says):
        one_answer_a_row(tmp_path, PAIRED, **more)
