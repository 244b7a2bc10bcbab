"""Tables of language models as other programs write them: read as meant, or refused with the value."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import evenhand
from evenhand.errors import InputError
from evenhand.tables.answers.generations import load_generations
from evenhand.tables.answers.likelihoods import load_likelihoods
from evenhand.tables.answers.references import parse
from evenhand.tables.answers.vocabulary import word_of
from evenhand.tables.schema import Columns

SAID = ["She mends shoes.", "He mends boats.", "She mends nets.", "He mends clocks."]
GOLD = ["female", "male", "female", "male"]
TWINS = [
    ["She mends shoes.", "He mends shoes."],
    ["He mends boats."],
    ["She mends nets."],
    ["He mends clocks."],
]


def rows(**columns):
    table = {"example_id": ["k", "l", "m", "n"], "completion": SAID, "references": TWINS, "gold_gender": GOLD}
    return {name: values for name, values in {**table, **columns}.items() if values is not None}


def written(path, table):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def rate(result, metric, class_name=None):
    [value] = [
        r["value"]
        for r in result.to_dict()["rates"]
        if r["metric"] == metric and r["class"] == class_name and r["attribute"] is None
    ]
    return value


# ---- References, as exports write lists.

REFERENCE_FORMS = {
    "json": json.dumps,
    "python": repr,
    "numpy": lambda texts: str(np.array(texts, dtype=object)),
    "numpy repr": lambda texts: repr(np.array(texts, dtype=object)),
    "numpy strings": lambda texts: f"[{', '.join(f'np.str_({t!r})' for t in texts)}]",
    "tuple": lambda texts: repr(tuple(texts)),
    "json in json": lambda texts: json.dumps([texts]),
    "json twice": lambda texts: json.dumps(json.dumps(texts)),
    "r": lambda texts: "c(" + ", ".join(json.dumps(t) for t in texts) + ")",
}


@pytest.mark.parametrize("form", REFERENCE_FORMS)
def test_references_in_every_form_of_a_list(tmp_path, form):
    texts = [REFERENCE_FORMS[form](own) for own in TWINS]
    path = written(tmp_path / "g.csv", rows(references=texts))
    told = load_generations(path, Columns())
    assert told.references == tuple(tuple(own) for own in TWINS)
    assert rate(evenhand.audit(path), "bleu", "gold") == pytest.approx(100)


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("[laughs] She left.", ("[laughs] She left.",)),
        ("[x]", ("[x]",)),
        ('"Go!" she said.', ('"Go!" she said.',)),
        ('("Go!" she said.)', ('("Go!" she said.)',)),
        ("A ||| B", ("A ||| B",)),
        ("[\"it's hers\", 'his']", ("it's hers", "his")),
        (r"['O\'Neil left', 'x']", ("O'Neil left", "x")),
        ("['a'\n 'b']", ("a", "b")),  # numpy writes no commas: never one text 'ab'
        ('["a", null, " "]', ("a",)),
        ("[None, 'a']", ("a",)),
        ("['a',]", ("a",)),
        ("[]", ()),
        ("", ()),
        ("nan", ()),
        ("None", ()),
        ("['a', 'b", None),
        ("['a' ... 'b']", None),
        ("['a'; 'b']", None),
        ("['a'], ['b']", None),
        ("[['a'], ['b']]", None),
        ("[1, 2]", None),
        ("[She left, He left]", None),
        ('{"en": "She left."}', None),
        ("{'a', 'b'}", None),
    ],
)
def test_texts_of_references(text, texts):
    assert parse(text) == texts


def test_a_list_that_cannot_be_read_is_refused_with_its_text(tmp_path):
    texts = [json.dumps(own) for own in TWINS]
    texts[2] = "['She mends nets.', 'He men"
    path = written(tmp_path / "g.csv", rows(references=texts))
    with pytest.raises(InputError, match=r"'references' .* in 1 row \(first: example 'm': \['She mends nets"):
        load_generations(path, Columns())


def test_lists_of_parquet_and_text_agree(tmp_path):
    pq.write_table(pa.table(rows()), tmp_path / "lists.parquet")
    text = written(tmp_path / "text.csv", rows(references=[repr(own) for own in TWINS]))
    told = load_generations([tmp_path / "lists.parquet", text], Columns())
    assert told.references[0] == ("She mends shoes.", "He mends shoes.")
    with pytest.raises(
        InputError, match=r"differ in 'references' for 1 row .*example_id k: .*shoes.* in a.*hats.* in b"
    ):
        load_generations({"a": rows(), "b": rows(references=[["She mends hats."], *TWINS[1:]])}, Columns())


@pytest.mark.parametrize(
    ("references", "says"),
    [
        ([[["a"]]] * 4, "'references' is nested .it holds lists of lists.; give a list of texts per row"),
        ([{"en": "a"}] * 4, "'references' is nested .it holds records.; give a list of texts"),
        ([[{"en": "a"}]] * 4, "'references' is nested .it holds lists of records.; give a list of texts"),
    ],
)
def test_other_nested_references_are_refused(references, says):
    with pytest.raises(InputError, match=says):
        load_generations(rows(references=references), Columns())


def test_one_text_in_a_true_list_stays():
    told = load_generations(rows(references=[["[x] she"], ["['a', 'b']"], ["c"], []]), Columns())
    assert told.references == (("[x] she",), ("a", "b"), ("c",), ())
    assert any("no text in 1 of 4 rows (first: example 'n')" in p for p in told.problems)


def test_several_references_in_one_text_are_remarked():
    told = load_generations(rows(references=["She left. ||| He left.", "b", "c", "d"]), Columns())
    assert told.references[0] == ("She left. ||| He left.",)
    assert any("'|||'" in p and "example 'k'" in p for p in told.problems)


# ---- Words of gender and stereotype.


@pytest.mark.parametrize(
    ("female", "male"),
    [("Female", "Male"), ("FEMALE ", " MALE"), ("F", "M"), ("f", "m"), ("woman", "man"), ("She", "He")],
)
def test_genders_in_any_usual_spelling(tmp_path, female, male):
    gold = [female, male, female, male]
    path = written(tmp_path / "g.csv", rows(references=None, gold_gender=gold, predisposition=gold))
    result = evenhand.audit(path)
    assert rate(result, "gender_accuracy") == 1
    assert rate(result, "share_pro") == 1
    groups = [r["group"] for r in result.to_dict()["rates"] if r["attribute"] == "gold_gender"]
    assert set(groups) == {"female", "male"}
    assert any(
        f"'{female.strip()}' as female" in p or f"'{female}' as female" in p
        for p in result.to_dict()["problems"]
    )


def test_spellings_of_two_arms_are_one_gender():
    told = load_generations({"a": rows(), "b": rows(gold_gender=["F", "M", "F", "M"])}, Columns())
    [attribute] = told.attributes
    assert attribute.groups == ("female", "male")
    assert attribute.codes.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("gold_gender", ["weiblich", "male", "female", "male"], "is 'weiblich' in 1 row; .*neutral or"),
        ("gold_gender", [1, 0, 1, 0], "is '0' in 2 rows, '1' in 2 rows; each value is one of male"),
        ("gold_gender", ["female", None, "female", "male"], "has no value in 1 row .first: example 'l'"),
        ("predisposition", ["male", "pro", "none", "male"], "is 'pro' in 1 row; .*female or none"),
        ("stereotype", [1, 0, 1, 0], "is '0' in 2 rows, '1' in 2 rows; .*pro, anti or none"),
        ("stereotype", [True, False, True, True], "is 'false' in 1 row, 'true' in 3 rows"),
        ("stereotype", ["pro", "non-stereotypical", "anti", "pro"], "is 'non-stereotypical' in 1 row"),
    ],
)  # fmt: skip
def test_words_that_are_not_sure_are_refused(column, values, says):
    with pytest.raises(InputError, match=f"column '{column}' {says}"):
        load_generations(rows(**{column: values}), Columns())


def test_words_of_stereotypes():
    words = [
        word_of("stereotype", w) for w in ("PRO", "pro-stereotypical", "Anti_Stereotype", "neutral", "x")
    ]
    assert words == ["pro", "pro", "anti", "none", None]


# ---- Completions that are missing.


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_missing_completions_are_counted_by_arm(tmp_path, ending):
    lacking = rows(completion=[None, SAID[1], None, SAID[3]])
    for name, table in (("whole", rows()), ("failed", lacking)):
        path = tmp_path / f"{name}.{ending}"
        if ending == "csv":
            written(path, {**table, "references": [json.dumps(own) for own in TWINS]})
        elif ending == "parquet":
            pq.write_table(pa.table(table), path)
        else:
            path.write_text(
                "\n".join(
                    json.dumps(dict(zip(table, r, strict=True))) for r in zip(*table.values(), strict=True)
                )
            )
    told = load_generations([tmp_path / f"{n}.{ending}" for n in ("whole", "failed")], Columns())
    [remark] = told.problems
    assert "no value in 0 of 4 rows of 'whole', 2 of 4 rows of 'failed' (first: example 'k')" in remark
    assert "judged as an empty text" in remark
    assert told.completions[1] == ("", SAID[1], "", SAID[3])


def test_empty_completions_and_words_for_nothing_are_remarked():
    told = load_generations(rows(completion=["", " \n", "NaN", "He mends clocks."]), Columns())
    empty, words = told.problems
    assert "empty or blank in 2 of 4 rows of 'table'" in empty
    assert "('NaN') in 1 of 4 rows" in words
    assert told.completions[0][2] == "NaN"


def test_an_arm_without_any_completion_is_refused():
    with pytest.raises(InputError, match="'completion' has no value in any row of 'b' run"):
        load_generations({"a": rows(), "b": rows(completion=[None] * 4)}, Columns())


# ---- Completions that go on after the answer.


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("\nGerman: Er geht.\nEnglish: He goes.", "several lines"),
        ("\r\nHe goes.", "several lines"),
        ("\n\nShe goes.", "several lines"),
        (" Q: Who goes? A: He goes.", "next turn"),
        (" English translation: He goes.", "next turn"),
        ("</s>", "mark of an end"),
        ("<|endoftext|>He goes.", "mark of an end"),
        ("<|im_end|>", "mark of an end"),
        (" [INST] Go on [/INST]", "mark of an end"),
        (" He" + " goes" * 12, "much longer"),
    ],
)
def test_completions_that_go_on_are_counted_by_arm(after, kind):
    longer = rows(completion=[SAID[0] + after, *SAID[1:]])
    told = load_generations({"cut": rows(), "on": longer}, Columns())
    [remark] = told.problems
    assert "0 of 4 rows of 'cut', 1 of 4 rows of 'on'" in remark
    assert kind in remark
    assert "example 'k'" in remark
    assert told.completions[1][0] == SAID[0] + after  # judged as it is


def test_what_references_do_too_is_no_going_on():
    long = "She reads:\n“Note: go home.” Reply: never. </s>"
    table = rows(
        completion=[long, "She left.\n", "Note: she left.", "He"], references=[[long], ["x"], ["y"], ["z"]]
    )
    assert load_generations(table, Columns()).problems == ()


def test_going_on_is_not_remarked_where_it_is_rare():
    n = 300
    table = {"example_id": list(range(n)), "completion": ["She left."] * (n - 1) + ["She left.\nHe left."]}
    assert load_generations(table, Columns()).problems == ()


# ---- Likelihoods.

OPTIONS = {
    "example_id": ["1", "1", "2", "2"],
    "template": ["t"] * 4,
    "variant": ["v"] * 4,
    "option_token": [" A", " B", " A", " B"],
    "option_meaning": ["yes", "no", "yes", "no"],
    "log_prob": [-1.0, -2.0, -1.5, -0.5],
    "n_tokens": [1, 1, 1, 1],
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"log_prob": [0.7, 0.3, 0.5, 0.5]}, "above 0 in 4 rows .*: '0.5', '0.3', '0.7'; .*logarithm"),
        ({"log_prob": ["-1", "-inf", "n/a", "-1"]}, "not a finite number in 2 rows .*: '-inf', 'n/a'"),
        ({"log_prob": [True, False, True, True]}, "not a finite number in 4 rows .*: 'true', 'false'"),
        ({"n_tokens": [1.5, 1, 1, 1]}, "at least 1 in 1 row .*: '1.5'"),
        ({"n_tokens": [None, 1, 1, 1]}, "not a finite number in 1 row .*: nothing"),
        ({"truncated": ["perhaps", "0", "1", "true"]}, "neither 0 nor 1 in 1 row .*but 'perhaps'"),
        ({"label_meaning": ["Yes", "Yes", "no", "no"]}, "no option has in 1 contexts .first: 'Yes'.*no, yes"),
    ],
)  # fmt: skip
def test_likelihoods_are_refused_with_their_values(change, says):
    with pytest.raises(InputError, match=says):
        load_likelihoods(OPTIONS | change, Columns())


def test_meanings_are_one_in_every_format(tmp_path):
    """Of whole numbers and truth values pandas, R and parquet write different texts."""
    for first, second in (("1.0", "0"), ("True", "FALSE")):
        meanings = {"option_meaning": [first, second] * 2, "label_meaning": ["", "", second, second]}
        text = load_likelihoods(written(tmp_path / "l.csv", OPTIONS | meanings), Columns())
        typed = [first == "True" or 1, first != "True" and 0] * 2
        label = [None, None, typed[1], typed[1]]
        table = load_likelihoods(OPTIONS | {"option_meaning": typed, "label_meaning": label}, Columns())
        assert text.meanings == table.meanings == (("0", "1") if first == "1.0" else ("false", "true"))
        assert text.label.tolist() == table.label.tolist() == [-1, 0]


def test_whole_numbers_of_tokens_may_be_floats(tmp_path):
    told = load_likelihoods(written(tmp_path / "l.csv", OPTIONS | {"n_tokens": ["2.0"] * 4}), Columns())
    assert told.n_tokens.tolist() == [[[2, 2], [2, 2]]]


def test_a_gold_that_no_reference_says_is_remarked():
    references = [
        ["She mends shoes."],
        ["He or she mends boats."],
        ["Nets are mended."],
        ["He mends clocks."],
    ]
    document = evenhand.audit(rows(references=references, gold_gender=None)).to_dict()
    assert any(
        "first reference of 2 of 4 rows names no gender, or several" in p for p in document["problems"]
    )
    document = evenhand.audit(rows(gold_gender=None)).to_dict()
    assert document["problems"] == []


def test_meanings_that_differ_in_spelling_only_are_remarked():
    told = load_likelihoods(OPTIONS | {"option_meaning": ["yes", "no", "Yes", "no"]}, Columns())
    [remark] = told.problems
    assert "holds 'Yes' and 'yes', which are judged as 2 meanings" in remark
    assert load_likelihoods(OPTIONS, Columns()).problems == ()
