"""Measuring Hate Speech: a small file in the hub's format, every number worked by hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from evenhand.datasets import dlab_hate_speech
from evenhand.errors import EvenhandError
from tests.datasets import sample

ROWS = [
    # comment 1: three annotators; two see jewish, one sees muslim
    sample.annotation(1, 10, 1.2, "first words", "religion_jewish"),
    sample.annotation(2, 10, 0.5, "second words", "religion_muslim", "race_black"),
    sample.annotation(1, 11, 1.2, "first words", "religion_jewish", "religion_muslim"),
    sample.annotation(1, 12, 1.2, "first words", "gender_women"),
    # comment 2: a tie on religion, all see black
    sample.annotation(2, 11, 0.5, "second words", "race_black"),
    # comment 3: one annotator, the attribute without a group
    sample.annotation(3, 13, -2.0, "third words", "religion"),
    # comment 4: its first annotator sees nothing, the other two see christian
    sample.annotation(4, 10, 0.51, "fourth words"),
    sample.annotation(4, 11, 0.51, "fourth words", "religion_christian"),
    sample.annotation(4, 12, 0.51, "fourth words", "religion_christian", "race_white"),
]


@pytest.fixture
def path(tmp_path):
    return sample.write_csv(tmp_path / "mhs.csv", ROWS)


def load(path, **options):
    return dlab_hate_speech.load(dlab_hate_speech.Config(path=str(path), **options))


def groups(examples, attribute="target_religion"):
    """Groups of every comment."""
    (one,) = (a for a in examples.attributes if a.name == attribute)
    return {
        name: {group for group, flags in zip(one.groups, one.flags, strict=True) if flags[i]}
        for i, name in enumerate(examples.ids)
    }


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("majority", {"1": {"jewish"}, "3": set(), "4": {"christian"}}),
        ("first", {"1": {"jewish"}, "2": {"muslim"}, "3": set()}),
        ("any", {"1": {"jewish", "muslim"}, "2": {"muslim"}, "3": set(), "4": {"christian"}}),
    ],
)
def test_targets(path, targets, expected):
    made = load(path, targets=targets)
    assert groups(made) == expected
    hate = {"1": 1, "2": 0, "3": 0, "4": 1}
    assert dict(zip(made.ids, made.labels.tolist(), strict=True)) == {i: hate[i] for i in expected}
    words = {"1": "first words", "2": "second words", "3": "third words", "4": "fourth words"}
    assert list(made.inputs) == [words[i] for i in made.ids]
    assert made.classes == ("no hate", "hate")
    # By hand: the second and the fourth comment change with the first row, the first two with any.
    other, who = ("first", "its first row") if targets == "majority" else ("majority", "the majority")
    assert made.problems == (
        f"2 of 4 comments would be in other groups if {who} decided (targets: {other}; here {targets}).",
        "1 comments target religion but none of its groups.",
    )


def test_one_attribute_and_all(path):
    assert groups(load(path, attribute="race"), "target_race") == {"2": {"black"}}
    made = load(path, attribute="all", targets="any")
    assert made.ids == ["1", "2", "3", "4"]
    assert [a.name for a in made.attributes] == [f"target_{a}" for a in dlab_hate_speech.GROUPS]
    assert groups(made, "target_race") == {"1": set(), "2": {"black"}, "3": set(), "4": {"white"}}
    assert groups(made, "target_gender")["1"] == {"women"}


def test_parquet_and_a_folder(path, tmp_path):
    (tmp_path / "copy").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS[:4]), tmp_path / "copy" / "train-0.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[4:]), tmp_path / "copy" / "train-1.parquet")
    a, b = load(path), load(tmp_path / "copy")
    assert (a.ids, list(a.inputs), a.labels.tolist()) == (b.ids, list(b.inputs), b.labels.tolist())
    assert groups(a) == groups(b)


def test_doubles_and_the_limit(tmp_path):
    rows = [
        sample.annotation(i, 1, i % 2, f"Words {i // 2}" + " " * (i % 2), "religion_hindu") for i in range(20)
    ]
    path = sample.write_csv(tmp_path / "a.csv", rows)
    assert load(path).problems == ("10 comments repeat the text of another comment.",)
    less = load(path, duplicates="drop", limit=4)
    assert len(less.ids) == 4
    assert all(int(i) % 2 == 0 for i in less.ids)
    assert less.problems == (
        "Dropped 10 comments with the text of another comment.",
        "4 of 10 comments were drawn (limit).",
    )


def test_one_row_per_text_is_the_first_one(tmp_path):
    """Of a text that several comments have the first row of the file alone counts, for the attribute too."""
    rows = [
        sample.annotation(1, 1, 0.9, "Same words", "religion_jewish"),
        sample.annotation(1, 2, 0.9, "Same words", "religion_muslim"),
        sample.annotation(2, 1, -1.0, "same  words ", "religion_hindu"),  # the text of comment 1
        sample.annotation(3, 1, -1.0, "Other words"),  # targets nothing, so the text is not of religion
        sample.annotation(4, 1, 0.9, "Other words", "religion_hindu"),
        sample.annotation(5, 1, 0.2, "Third words", "religion_mormon"),
    ]
    path = sample.write_csv(tmp_path / "a.csv", rows)
    made = load(path, targets="first", duplicates="first")
    assert groups(made) == {"1": {"jewish"}, "5": {"mormon"}}
    assert dict(zip(made.ids, made.labels.tolist(), strict=True)) == {"1": 1, "5": 0}
    assert "2 comments that repeat an earlier comment's text count as that comment." in made.problems
    assert groups(load(path, targets="first", duplicates="drop")) == {
        "1": {"jewish"}, "4": {"hindu"}, "5": {"mormon"}
    }  # fmt: skip
    assert groups(load(path, targets="any", duplicates="first"))["1"] == {"jewish", "muslim", "hindu"}


def test_one_row_per_text_changes_nothing_where_texts_differ(path):
    for targets in ("first", "majority", "any"):
        one, other = (load(path, targets=targets, duplicates=how) for how in ("keep", "first"))
        assert (one.ids, one.inputs, one.problems) == (other.ids, other.inputs, other.problems)
        assert one.labels.tolist() == other.labels.tolist()
        assert groups(one) == groups(other)


def test_a_comment_with_two_texts_is_two(tmp_path):
    rows = [sample.annotation(7, i, 0.9, f"text {i % 2}", "religion_jewish") for i in range(4)]
    path = sample.write_csv(tmp_path / "a.csv", rows)
    assert load(path, duplicates="first").ids == ["7", "7-2"]
    assert load(path).ids == ["7"]


def test_scores_that_differ_are_told(tmp_path):
    rows = [*ROWS, sample.annotation(1, 14, 0.0, "first words", "religion_jewish")]
    made = load(sample.write_csv(tmp_path / "a.csv", rows))
    assert "1 comments have rows with different hate_speech_scores; the first row's is used." in made.problems
    assert made.labels[made.ids.index("1")] == 1


def changed(tmp_path, change):
    rows = [dict(row) for row in ROWS]
    change(rows)
    return sample.write_csv(tmp_path / "changed.csv", rows)


def test_what_is_refused(path, tmp_path):
    def said(where, **options):
        with pytest.raises(EvenhandError) as raised:
            load(where, **options)
        return str(raised.value)

    def drop(rows):
        for row in rows:
            del row["target_religion_jewish"], row["hate_speech_score"]

    told = said(changed(tmp_path, drop))
    assert "column 'target_religion_jewish' (column) not found; did you mean 'target_religion" in told
    assert "column 'hate_speech_score' (column) not found" in told
    told = said(
        changed(
            tmp_path,
            lambda rows: (rows[2].update(hate_speech_score="high"), rows[0].update(target_religion="maybe")),
        )
    )
    assert "column 'hate_speech_score' (column) has no number in 1 row (first: row 3)" in told
    assert "1 value outside of 0 and 1 ('maybe')" in told
    assert "has no value in row 2" in said(changed(tmp_path, lambda rows: rows[1].update(comment_id="")))
    assert "no comment targets age (targets: majority)" in said(path, attribute="age")
    assert "no such file" in said(tmp_path / "nothing.csv")
    with pytest.raises(ValidationError, match="'majority', 'first' or 'any'"):
        dlab_hate_speech.Config(targets="most")
    with pytest.raises(ValidationError, match="religion"):
        dlab_hate_speech.Config(attribute="religon")
