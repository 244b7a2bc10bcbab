"""Questions and pairs as data sets write them: which answer is right, what is missing, where a line ends."""

import csv
import json
from collections import Counter

import pytest

from evenhand.datasets import text_snippets, winomt
from evenhand.errors import InputError

KEYS = ("ans0", "ans1", "ans2")
ITEMS = [("Ada", "Bo", "nobody"), ("Cem", "Dua", "either"), ("Eli", "Fay", "nobody"), ("Gil", "Hal", "both")]


def table(labels, names=KEYS, items=ITEMS):
    return [
        {"story": f"Story {i}.", **dict(zip(names, own, strict=True)), "gold": label}
        for i, (own, label) in enumerate(zip(items, labels, strict=True))
    ]


def loaded(tmp_path, rows, answers, ending="jsonl", **more):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "\n".join(f"a text of number {i}" for i in range(20)))
    path = tmp_path / f"questions.{ending}"
    if ending == "jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    asked = {"path": str(path), "prompt": "{story}", "answers": answers, "label": "gold", **more}
    return text_snippets.load(text_snippets.Config(path=str(texts), questions=asked))


def labels_of(examples):
    return [q.label for q in examples.prompts.questions]


#: The study lists the last column first.
TURNED = {"open": " {ans2}", "one": " {ans0}", "other": " {ans1}"}
RIGHT = ["one", "other", "open", "one"]


# ---- Which answer is right.


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 0],
        ["0", "1", "2", "0"],
        [0.0, 1.0, 2.0, 0.0],
        ["ans0", "ans1", "ans2", "ans0"],
        ["one", "other", "open", "one"],
        ["A", "B", "C", "A"],
        ["a", "b", "c", "a"],
        ["Ada", "Dua", "nobody", "Gil"],
        [" ada", "DUA", "Nobody", "Gil "],
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_label_means_the_column_of_its_number_whatever_the_order(tmp_path, labels, ending):
    assert labels_of(loaded(tmp_path, table(labels), TURNED, ending)) == RIGHT


def test_how_labels_are_read_is_remarked_unless_they_are_names(tmp_path):
    numbers = loaded(tmp_path, table([0, 1, 2, 0]), TURNED)
    assert any(
        "'0' as 'one' ({ans0}), '1' as 'other' ({ans1}), '2' as 'open' ({ans2}): by the columns" in p
        for p in numbers.problems
    )
    texts = loaded(tmp_path, table(["Ada", "Dua", "nobody", "Gil"]), TURNED)
    assert any("is read as the texts of the answers" in p for p in texts.problems)
    assert loaded(tmp_path, table(RIGHT), TURNED).problems == ()


@pytest.mark.parametrize(
    ("names", "answers", "labels", "right"),
    [
        # Columns without numbers: the order of the answers.
        (("first", "second", "third"), {"x1": "{first}", "y": "{second}", "z": "{third}"}, [2, 0, 1, 0],
         ["z", "x1", "y", "x1"]),
        # Numbers in the meanings, where the columns have none.
        (("first", "second", "third"), {"m2": "{third}", "m0": "{first}", "m1": "{second}"}, [2, 0, 1, 0],
         ["m2", "m0", "m1", "m0"]),
        # Columns from 1, labels from 1.
        (("sol1", "sol2", "sol3"), {"c": "{sol3}", "a": "{sol1}", "b": "{sol2}"}, [1, 2, 3, 1],
         ["a", "b", "c", "a"]),
        # Columns from 1, labels from 0.
        (("sol1", "sol2", "sol3"), {"c": "{sol3}", "a": "{sol1}", "b": "{sol2}"}, [0, 1, 2, 0],
         ["a", "b", "c", "a"]),
        # Columns with letters.
        (("opa", "opb", "opc"), {"last": "{opc}", "middle": "{opb}", "head": "{opa}"}, ["a", "B", "c", "A"],
         ["head", "middle", "last", "head"]),
        (("to_A", "to_B", "to_C"), {"last": "{to_C}", "middle": "{to_B}", "head": "{to_A}"}, [0, 1, 2, 0],
         ["head", "middle", "last", "head"]),
        # Meanings that are numbers are names.
        (KEYS, {"2": "{ans0}", "1": "{ans1}", "0": "{ans2}"}, [0, 1, 2, 0], ["0", "1", "2", "0"]),
    ],
)  # fmt: skip
def test_numbers_and_letters_of_labels(tmp_path, names, answers, labels, right):
    assert labels_of(loaded(tmp_path, table(labels, names), answers)) == right


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (
            [1, 2, 3, 1],
            "'gold' .label. is '3' in 1 row; must be one of open, one, other, 0, 1, 2.*the columns",
        ),
        (["D", "A", "A", "A"], "is 'D' in 1 row"),
        (["Ada", "nobody", "nobody", "both"], "is 'Ada' in 1 row"),  # 'nobody' is no answer of story 1
        ([True, False, True, True], "is '(true|false)' in"),
    ],
)
def test_labels_that_are_not_sure_are_refused(tmp_path, labels, says):
    with pytest.raises(InputError, match=says):
        loaded(tmp_path, table(labels), TURNED)


def test_numbers_that_are_also_texts_are_refused(tmp_path):
    sums = [("1", "0", "2"), ("0", "2", "1"), ("2", "1", "0"), ("1", "2", "0")]
    with pytest.raises(InputError, match="holds '0', '1', '2', which may be numbers or texts"):
        loaded(tmp_path, table([0, 1, 2, 0], items=sums), TURNED)


def test_a_letter_beside_meanings_of_one_letter_is_no_place(tmp_path):
    answers = {"unknown": "{ans2}", "b": "{ans0}", "a": "{ans1}"}
    names = ("first", "second", "third")
    lettered = {m: text.replace("ans0", "first").replace("ans1", "second").replace("ans2", "third")
                for m, text in answers.items()}  # fmt: skip
    assert labels_of(loaded(tmp_path, table(["a", "b", "a", "b"], names), lettered)) == ["a", "b", "a", "b"]
    with pytest.raises(InputError, match="is 'A' in 4 rows"):
        loaded(tmp_path, table(["A"] * 4, names), lettered)


def test_questions_without_a_label_are_counted(tmp_path):
    found = loaded(tmp_path, table([0, None, "", 2]), TURNED)
    assert labels_of(found) == ["one", None, None, "open"]
    assert any("'gold' (label) has no value in 2 of 4 questions" in p for p in found.problems)


# ---- What is missing.


@pytest.mark.parametrize("nothing", [None, "", "  ", "nan", "NaN"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_answer_that_is_missing_is_refused_with_its_question(tmp_path, nothing, ending):
    rows = table([0, 1, 2, 0])
    rows[2]["ans1"] = nothing
    with pytest.raises(
        InputError, match=r"'ans1' \(answers\) has no text.* in 1 of 4 questions .first: 'Story 2\.'"
    ):
        loaded(tmp_path, rows, TURNED, ending, id="story")


def test_a_prompt_that_is_missing_is_refused(tmp_path):
    rows = table([0, 1, 2, 0])
    rows[0]["story"] = rows[3]["story"] = None
    with pytest.raises(
        InputError, match=r"'story' \(prompt\) has no text in 2 of 4 questions .first: 'questions-0'"
    ):
        loaded(tmp_path, rows, TURNED)


def test_words_for_nothing_may_be_answers_and_are_remarked(tmp_path):
    items = [*ITEMS[:3], ("Gil", "Hal", "None")]
    found = loaded(tmp_path, table([0, 1, 2, 0], items=items), TURNED)
    assert found.prompts.questions[3].form.answers[0] == " None"
    assert any(
        "'ans2' (answers) is 'None' in 1 of 4 questions (first: 'questions-3')" in p for p in found.problems
    )


def test_rows_that_are_not_asked_may_lack_an_answer(tmp_path):
    rows = [r for i in range(10) for r in table([0, 1, 2, 0])]
    for i, row in enumerate(rows):
        row["story"] = f"Story {i}."
    whole = loaded(tmp_path, rows, TURNED, limit=5)
    asked = {q.id for q in whole.prompts.questions}
    for i, row in enumerate(rows):
        if f"questions-{i}" not in asked:
            row["ans1"] = None
    assert labels_of(loaded(tmp_path, rows, TURNED, limit=5)) == labels_of(whole)


# ---- Pairs of lines.

PEOPLE = [("she", "female"), ("he", "male")]


def sentence(i):
    return f"The cook of inn {i} said {PEOPLE[i % 2][0]} slept."


def pairs_file(tmp_path, sentences, ends="\n", head=""):
    path = tmp_path / "pairs.txt"
    text = head + "".join(f"{s} ||| Han {i} uyudu.{ends}" for i, s in enumerate(sentences))
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
def test_only_a_line_feed_ends_a_line(tmp_path, sign):
    sentences = [sentence(i) for i in range(6)]
    sentences[3] = sentences[3].replace(" said", f"{sign} said")
    (tmp_path / "en.txt").write_bytes(
        "".join(f"{PEOPLE[i % 2][1]}\t1\t{s}\tcook\n" for i, s in enumerate(sentences)).encode()
    )
    path = pairs_file(tmp_path, sentences)
    for annotations in (None, str(tmp_path / "en.txt")):
        found = winomt.load(winomt.Config(path=str(path), annotations=annotations))
        assert len(found.ids) == 6
        assert found.translations.references[3][0] == sentences[3]


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_sentence(tmp_path):
    sentences = [sentence(i) for i in range(4)]
    plain = winomt.load(winomt.Config(path=str(pairs_file(tmp_path, sentences))))
    other = winomt.load(winomt.Config(path=str(pairs_file(tmp_path, sentences, "\r\n", "\ufeff"))))
    assert (other.ids, list(other.inputs)) == (plain.ids, list(plain.inputs))


def test_the_line_of_a_complaint_is_the_line_of_the_file(tmp_path):
    path = pairs_file(tmp_path, ["One\u2028she.", "Two she.", "Three she ||| x", "Four he."])
    with pytest.raises(InputError, match="line 3: has 3 sides"):
        winomt.load(winomt.Config(path=str(path)))


# ---- Annotations that contradict each other.


def annotated(tmp_path, **files):
    folder = tmp_path / "notes"
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        text = "".join(f"{gender}\t1\t{s}\tcook\n" for gender, s in lines)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return str(folder)


def counted(examples, name):
    [attribute] = [a for a in examples.attributes if a.name == name]
    return dict(Counter(attribute.groups[code] for code in attribute.codes))


def notes_of(n, change=None):
    return [((change or {}).get(i, PEOPLE[i % 2][1]), sentence(i)) for i in range(n)]


def test_a_sentence_that_is_pro_and_anti_is_neither_and_is_remarked(tmp_path):
    every = notes_of(12)
    folder = annotated(tmp_path, en=every, en_pro=every[:8], en_anti=every[6:])
    found = winomt.load(
        winomt.Config(path=str(pairs_file(tmp_path, [s for _, s in every])), annotations=folder)
    )
    assert counted(found, "stereotype") == {"pro": 6, "anti": 4, "none": 2}
    assert counted(found, "predisposition") == {"male": 5, "female": 5, "none": 2}
    [remark] = found.problems
    assert "2 sentences are annotated both pro and anti (first: 'The cook of inn 6" in remark
    assert "en_anti.txt line 1" in remark


def test_a_sentence_with_two_genders_has_none(tmp_path):
    every = notes_of(200)
    folder = annotated(tmp_path, en=every, en_pro=notes_of(100, {5: "female"}), en_anti=every[100:])
    path = str(pairs_file(tmp_path, [s for _, s in every]))
    found = winomt.load(winomt.Config(path=path, annotations=folder))
    assert len(found.ids) == 199
    first, second = found.problems
    assert "1 sentences are annotated with several genders" in first
    assert "male in en.txt line 6 and female in en_pro.txt line 6" in first
    assert "1 pairs without a unique gender of the person in the sentence were skipped" in second
    folder = annotated(tmp_path, en=every, en_pro=notes_of(100, dict.fromkeys(range(0, 20, 2), "male")))
    with pytest.raises(InputError, match=r"contradict themselves.*\n.*several genders"):
        winomt.load(winomt.Config(path=path, annotations=folder))


def test_one_file_that_contradicts_itself(tmp_path):
    every = notes_of(200)
    folder = annotated(tmp_path, en=[*every, ("female", sentence(1))])
    found = winomt.load(
        winomt.Config(path=str(pairs_file(tmp_path, [s for _, s in every])), annotations=folder)
    )
    assert "male in en.txt line 2 and female in en.txt line 201" in found.problems[0]


def test_an_annotation_against_the_pronoun_is_remarked(tmp_path):
    every = notes_of(10, {2: "male"})
    folder = annotated(tmp_path, en=every)
    found = winomt.load(
        winomt.Config(path=str(pairs_file(tmp_path, [s for _, s in every])), annotations=folder)
    )
    assert counted(found, "gold_gender") == {"male": 6, "female": 4}
    assert "1 sentences are annotated with another gender than their pronouns'" in found.problems[0]


def test_the_same_annotation_twice_and_contradictions_about_others_are_no_matter(tmp_path):
    every = notes_of(10)
    others = [("male", "A guard slept."), ("female", "A guard slept.")]
    folder = annotated(tmp_path, en=[*every, *every, *others], en_pro=every[:5], en_anti=every[5:])
    found = winomt.load(
        winomt.Config(path=str(pairs_file(tmp_path, [s for _, s in every])), annotations=folder)
    )
    assert found.problems == ()


def test_genders_of_annotations_in_any_usual_spelling(tmp_path):
    every = [({"female": "Female", "male": "M"}[gender], s) for gender, s in notes_of(6)]
    path = str(pairs_file(tmp_path, [s for _, s in every]))
    found = winomt.load(winomt.Config(path=path, annotations=annotated(tmp_path, en=every)))
    assert counted(found, "gold_gender") == {"male": 3, "female": 3}
    with pytest.raises(InputError, match=r"line 1: is 'kadin\t1.*must be gender"):
        winomt.load(winomt.Config(path=path, annotations=annotated(tmp_path, en=[("kadin", every[0][1])])))


def test_a_word_for_a_missing_text_is_no_sentence(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("en,tr\nShe slept.,Uyudu.\nnan,Uyudu.\n")
    with pytest.raises(InputError, match=r"'en' .columns. has no text in row 2 but 'nan'"):
        winomt.load(winomt.Config(path=str(path), columns=("en", "tr")))
