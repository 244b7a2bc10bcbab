"""Any table: every format says the same, options do what they say, and what is wrong is told at once."""

import gzip
import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from evenhand.datasets import check_split, find_leaks, split, table
from evenhand.datasets.lib.deduplicate import draw_rows
from evenhand.errors import EvenhandError
from tests.datasets import sample


def load(path, **options):
    return table.load(table.Config(path=path, **({"text": "text", "id": "name"} | options)))


def refused(path, **options):
    with pytest.raises(EvenhandError) as raised:
        load(path, **options)
    return str(raised.value)


@pytest.fixture
def posts(tmp_path):
    return sample.write_csv(tmp_path / "posts.csv", sample.posts())


def test_every_format_says_the_same(tmp_path):
    rows = sample.posts()
    sample.write_csv(tmp_path / "a.csv", rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    given = {"by": ("group",), "memberships": ("target_*",)}
    first = load(str(tmp_path / "a.csv"), **given)
    assert first.ids == [r["name"] for r in rows]
    assert first.inputs == [r["text"] for r in rows]
    assert first.labels.tolist() == [r["label"] for r in rows]
    assert first.classes == ("0", "1")
    assert [(a.name, a.kind, a.groups) for a in first.attributes] == [
        ("group", "partition", ("a", "b")),
        ("target", "memberships", ("x", "y")),
    ]
    assert first.attributes[0].codes.tolist() == ["ab".index(r["group"]) for r in rows]
    assert first.attributes[1].flags.tolist() == [[r[f"target_{t}"] == 1 for r in rows] for t in "xy"]
    for name in ("a.csv.gz", "a.jsonl", "a.parquet"):
        other = load(str(tmp_path / name), **given)
        assert (other.ids, other.inputs, other.classes) == (first.ids, first.inputs, first.classes)
        assert other.labels.tolist() == first.labels.tolist()
        for a, b in zip(other.attributes, first.attributes, strict=True):
            assert np.array_equal(a.codes if a.codes is not None else a.flags,
                                  b.codes if b.codes is not None else b.flags)  # fmt: skip


def test_texts_stay_as_they_are(tmp_path):
    words = ["1.0", " blank ", "True", 'quo"te', "two\nlines", "é, ü"] * 2
    rows = [{"name": i, "text": w + ("" if i < 6 else "."), "label": i % 2} for i, w in enumerate(words)]
    path = sample.write_csv(tmp_path / "a.csv", rows)
    assert load(path).inputs == [r["text"] for r in rows]


def test_globs_folders_and_lists(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = sample.posts()
    pq.write_table(pa.Table.from_pylist(rows[:25]), folder / "train-0.parquet")
    pq.write_table(pa.Table.from_pylist(rows[25:]), folder / "test-0.parquet")
    (folder / "notes.csv").write_text("a\n1\n")
    assert sorted(load(str(folder)).ids) == sorted(r["name"] for r in rows)
    assert sorted(load(str(folder / "*.parquet")).ids) == sorted(r["name"] for r in rows)
    assert load((str(folder / "train-0.parquet"), str(folder / "test-0.parquet"))).ids == [
        r["name"] for r in rows
    ]
    assert len(load(str(folder), files="train-*").ids) == 25


def test_large_files_keep_the_order_of_their_rows(tmp_path):
    rows = [{"name": f"r{i}", "text": f"words {i}", "label": i % 2} for i in range(60_000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=5000)
    assert load(str(tmp_path / "a.parquet")).ids == [r["name"] for r in rows]


def test_labels_by_name(tmp_path):
    path = sample.write_csv(tmp_path / "a.csv", sample.posts(label=lambda i: ["hate", "normal"][i % 2]))
    assert load(path, positive="hate").classes == ("normal", "hate")
    assert load(path, positive="hate").labels[:2].tolist() == [1, 0]
    said = refused(path)
    assert "name the positive one with 'positive'" in said
    assert "did you mean 'hate'" in refused(path, positive="hat")
    three = sample.write_csv(tmp_path / "b.csv", sample.posts(label=lambda i: "xyz"[i % 3]))
    assert load(three).classes == ("x", "y", "z")


def test_positive_as_yaml_writes_it(posts):
    assert load(posts, positive=1).classes == ("0", "1")
    assert load(posts, positive=0).classes == ("1", "0")


def test_a_draw_depends_on_hashed_names_only():
    names = [f"row {i}" for i in range(50)]
    by_hash = sorted(range(50), key=lambda i: hashlib.sha256(f"limit:{names[i]}".encode()).digest())
    assert draw_rows(range(50), names, 7) == sorted(by_hash[:7])
    back = draw_rows(range(50), names[::-1], 7)
    assert {names[::-1][i] for i in back} == {names[i] for i in by_hash[:7]}
    assert draw_rows(range(50), names, None) == draw_rows(range(50), names, 60) == list(range(50))


def test_where_limit_and_split_column(tmp_path):
    path = sample.write_csv(tmp_path / "a.csv", sample.posts(part=lambda i: ["train", "test", "dev"][i % 3]))
    kept = load(path, where={"group": "b"})
    assert len(kept.ids) == sum(r["group"] == "b" for r in sample.posts())
    assert len(load(path, where={"group": ("a", "b"), "target_y": 1}).ids) == 8
    parts = load(path, split_column="part").parts
    assert [len(rows) for _, rows in parts.named()] == [14, 13, 13]
    assert {i % 3 for i in parts.test.tolist()} == {1}
    few = load(path, limit=15)
    assert len(few.ids) == 15
    assert any("15 of 40 rows were drawn" in what for what in few.problems)
    back = sample.write_csv(tmp_path / "b.csv", sample.posts()[::-1])
    assert set(load(back, limit=15).ids) == set(few.ids)


def test_ids_from_content(tmp_path):
    rows = [*sample.posts(), {**sample.posts()[0], "label": 1}]
    path = sample.write_csv(tmp_path / "a.csv", rows)
    made = load(path, id=None)
    assert len(set(made.ids)) == 41
    assert made.ids[40] == f"{made.ids[0]}-2"
    assert made.problems == ("1 row with the content of another row.",)
    turned = load(sample.write_csv(tmp_path / "b.csv", sample.posts()[::-1]), id=None)
    assert turned.ids[::-1] == made.ids[:40]
    less = load(path, id=None, duplicates="drop")
    assert less.ids == made.ids[:40]
    assert "Dropped 1 row with the content" in less.problems[0]


def test_pictures_in_every_form(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    pictures = [sample.jpeg(i, "PNG" if i % 2 else "JPEG") for i in range(12)]
    for i, picture in enumerate(pictures):
        (folder / f"{i}.jpg").write_bytes(picture)
    base = {"name": [f"r{i}" for i in range(12)], "label": [i % 2 for i in range(12)]}
    forms = {
        "bytes": pictures,
        "struct": [{"bytes": p, "path": "x.jpg"} for p in pictures],
        "names": [f"{i}.jpg" for i in range(12)],
        "paths": [{"bytes": None, "path": f"{i}.jpg"} for i in range(12)],
    }
    for form, column in forms.items():
        pq.write_table(pa.table({**base, "image": column}), tmp_path / f"{form}.parquet")
        made = load(str(tmp_path / f"{form}.parquet"), text=None, image="image", folder=str(folder))
        assert made.task == "image"
        assert made.inputs == pictures
    rows = [{"name": f"r{i}", "label": i % 2, "image": f"p/{i}.jpg"} for i in range(12)]
    beside = load(sample.write_csv(tmp_path / "b.csv", rows), text=None, image="image")
    assert beside.inputs == pictures


def broken_pictures(path, broken, n=300):
    pictures = [sample.jpeg(i) for i in range(n)]
    for i in broken:
        pictures[i] = pictures[i][: len(pictures[i]) // 2] if i % 2 else b"no picture"
    pq.write_table(
        pa.table(
            {"name": [f"r{i}" for i in range(n)], "label": [i // 2 % 2 for i in range(n)], "image": pictures}
        ),
        path,
    )
    return str(path)


def test_few_broken_pictures_are_skipped_and_named(tmp_path):
    path = broken_pictures(tmp_path / "a.parquet", [4, 7, 100])
    made = load(path, text=None, image="image")
    assert len(made.ids) == 297
    assert not {"r4", "r7", "r100"} & set(made.ids)
    assert made.problems == (
        "3 of 300 images are missing or cannot be decoded ('row 5', 'row 8', 'row 101'); they were skipped.",
    )


def test_many_broken_pictures_are_refused(tmp_path):
    said = refused(broken_pictures(tmp_path / "a.parquet", [4, 7, 100, 101]), text=None, image="image")
    assert "4 of 300 images" in said
    assert "at most 1% are skipped" in said


def test_a_bomb_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "12 of 12 images" in refused(
        broken_pictures(tmp_path / "a.parquet", [], 12), text=None, image="image"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "txt"}, "column 'txt' (text) not found; did you mean 'text'"),
        ({"label": "lable"}, "column 'lable' (label) not found; did you mean 'label'"),
        ({"by": ("grop",)}, "column 'grop' (by) not found; did you mean 'group'"),
        ({"id": "nam"}, "column 'nam' (id) not found; did you mean 'name'"),
        ({"id": "group"}, "names 2 rows more than once"),
        ({"memberships": ("targets_*",)}, "memberships 'targets_*' matches no column"),
        ({"memberships": ("na*",)}, "outside of 0 and 1 ('r0', 'r1', 'r2', and 37 more)"),
        ({"where": {"group": "c"}}, "has no value 'c'"),
        ({"where": {"gruop": "a"}}, "column 'gruop' (where) not found; did you mean 'group'"),
        ({"where": {"group": "a", "label": "1", "target_x": 1}}, "no rows are left where group=a"),
        ({"where": {"label": "1"}}, "is '1' in all 20 rows; at least two classes are needed"),
        ({"split_column": "splt"}, "column 'splt' (split_column) not found"),
        ({"split_column": "group"}, "rows with 'b'"),
        ({"by": ("group", "text"), "label": "name", "positive": "r1"}, "give classes, not texts"),
    ],
)
def test_what_cannot_be_meant(posts, options, said):
    assert said in refused(posts, **options)


def test_every_missing_column_is_told_at_once(posts):
    said = refused(posts, label="a", by=("b", "c"), id="d", memberships=("e_*",), where={"f": 1})
    assert all(f"'{name}'" in said for name in ("a", "b", "c", "d", "e_*", "f"))


def test_missing_values(tmp_path):
    path = sample.write_csv(
        tmp_path / "a.csv",
        sample.posts(label=lambda i: i % 2 if i != 3 else "", group=lambda i: "a" if i % 2 else ""),
    )
    said = refused(path, by=("group",))
    assert "column 'label' (label) has no value in 1 of 40 rows (first: row 4)" in said
    assert "column 'group' (by) has no value in 20 of 40 rows" in said


def test_missing_texts(tmp_path):
    rows = sample.posts(200, text=lambda i: " " if i in {5, 6} else f"text {i}")
    made = load(sample.write_csv(tmp_path / "a.csv", rows))
    assert len(made.ids) == 198
    assert made.problems == ("2 rows have no text; they were skipped.",)
    said = refused(sample.write_csv(tmp_path / "b.csv", rows[:100]))
    assert "has no text in 2 of 100 rows" in said


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "posts.csv").write_text("a\n")
    assert "did you mean 'posts.csv'" in refused(str(tmp_path / "post.csv"))
    assert "no file matches this pattern" in refused(str(tmp_path / "*.parquet"))
    assert "does not exist" in refused(str(tmp_path / "x" / "post.csv"))
    (tmp_path / "empty").mkdir()
    assert "holds no table" in refused(str(tmp_path / "empty"))
    said = refused((str(tmp_path / "1.csv"), str(tmp_path / "2.csv")))
    assert "1.csv" in said
    assert "2.csv" in said


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "b.csv").write_bytes(b"")
    (tmp_path / "c.xlsx").write_bytes(b"PK")
    (tmp_path / "d.csv").write_text("name,text,label\n")
    (tmp_path / "e.csv").write_text("name,text,label\n1,2\n")
    assert "not a parquet file" in refused(str(tmp_path / "a.parquet"))
    assert "empty (0 bytes)" in refused(str(tmp_path / "b.csv"))
    assert "unknown format" in refused(str(tmp_path / "c.xlsx"))
    assert "has no rows" in refused(str(tmp_path / "d.csv"))
    assert "line 2 has 2 values" in refused(str(tmp_path / "e.csv"))


def test_pictures_that_are_none(tmp_path):
    pq.write_table(pa.table({"name": ["a"], "label": [1], "image": [[1, 2]]}), tmp_path / "a.parquet")
    assert "holds list values; give bytes" in refused(str(tmp_path / "a.parquet"), text=None, image="image")
    rows = [{"name": i, "label": i % 2, "image": f"{i}.jpg"} for i in range(4)]
    path = sample.write_csv(tmp_path / "b.csv", rows)
    assert "4 of 4 images are missing" in refused(path, text=None, image="image")
    assert "folder not found" in refused(path, text=None, image="image", folder=str(tmp_path / "no"))


def test_text_or_image():
    with pytest.raises(ValidationError, match="exactly one of text"):
        table.Config(path="a.csv")
    with pytest.raises(ValidationError, match="exactly one of text"):
        table.Config(path="a.csv", text="a", image="b")
    with pytest.raises(ValidationError, match="folder: is for images"):
        table.Config(path="a.csv", text="a", folder="b")
    with pytest.raises(ValidationError, match="memberships 'target_x': a pattern has exactly one star"):
        table.Config(path="a.csv", text="a", memberships=("target_x",))
    with pytest.raises(ValidationError, match="Two attributes are called 'a'"):
        table.Config(path="a.csv", text="a", by=("a",), memberships=("a*",))


@pytest.mark.shared
@pytest.mark.skipif(not sample.SHARED.is_dir(), reason="the data folder beside the checkout is not there")
def test_hatexplain():
    path = str(sample.SHARED / "data" / "hatexplain" / "hatexplain_*.csv.gz")
    by = ("target_race", "target_religion", "target_gender")
    every = load(path, id="post_id", label="label", by=by)
    assert every.classes == ("hatespeech", "normal", "offensive")
    assert np.bincount(every.labels).tolist() == [4736 + 591, 6199 + 777, 4364 + 546]
    sizes = dict(
        zip(every.attributes[1].groups, np.bincount(every.attributes[1].codes).tolist(), strict=True)
    )
    assert sizes == {"Nonreligious": 13204, "Islam": 2161, "Jewish": 1668, "Christian": 134, "Hindu": 38,
                     "Buddhism": 8}  # fmt: skip
    two = load(path, id="post_id", label="hateful", by=by, where={"label": ("hatespeech", "normal")})
    assert np.bincount(two.labels).tolist() == [6976, 5327]
    parts = split(two.ids, train=0.7, validation=0.1, test=0.2, seed=13)
    assert check_split(two, parts).complaints == ()
    assert not find_leaks(two, parts)


@pytest.mark.shared
@pytest.mark.skipif(not sample.SHARED.is_dir(), reason="the data folder beside the checkout is not there")
def test_utkface_as_a_table():
    path = str(sample.SHARED / "data" / "utkface64" / "utkface64.parquet")
    made = load(
        path, text=None, image="image", label="gender", id="filename", by=("race",), split_column="split"
    )
    assert np.bincount(made.labels).tolist() == [2599, 2401]
    assert [len(rows) for _, rows in made.parts.named()] == [3500, 500, 1000]
