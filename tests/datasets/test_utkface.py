"""UTKFace, from names and from tables, small ones made here and the real ones."""

import numpy as np
import pytest
from pydantic import ValidationError

from evenhand.datasets import utkface
from evenhand.errors import EvenhandError
from tests.datasets import sample


def load(path, **options):
    return utkface.load(utkface.Config(path=str(path), **options))


def refused(path, **options):
    with pytest.raises(EvenhandError) as raised:
        load(path, **options)
    return str(raised.value)


def test_names(tmp_path):
    ages = [1, 10, 11, 20, 21, 50, 70, 71, 80, 81, 116, 200]
    made = load(sample.faces(tmp_path, age=ages.__getitem__), target="age")
    by_age = {name.split("_")[0]: label for name, label in zip(made.ids, made.labels, strict=True)}
    assert [by_age[str(age)] for age in ages] == [0, 0, 1, 1, 2, 4, 6, 7, 7, 8, 8, 8]
    assert made.classes == ("(0,10]", "(10,20]", "(20,30]", "(30,40]", "(40,50]", "(50,60]", "(60,70]",
                            "(70,80]", "(80,200]")  # fmt: skip
    assert [a.name for a in made.attributes] == ["race", "gender"]
    fields = [[int(x) for x in name.split("_")[1:3]] for name in made.ids]
    assert made.attributes[0].codes.tolist() == [race for _, race in fields]
    assert made.attributes[1].codes.tolist() == [gender for gender, _ in fields]


def test_gender_and_a_table_say_the_same(tmp_path):
    (tmp_path / "f").mkdir()
    made = load(sample.face_table(tmp_path / "a.parquet"))
    assert made.classes == ("male", "female")
    assert made.labels.tolist() == [0, 1] * 6
    assert [(a.name, a.groups) for a in made.attributes] == [
        ("race", utkface.RACES),
        ("age_bin", utkface.AGE_BINS),
    ]
    worded = sample.face_table(
        tmp_path / "b.parquet",
        gender=[["male", "Female"][i % 2] for i in range(12)],
        race=[utkface.RACES[i % 5] for i in range(12)],
    )
    assert load(worded).labels.tolist() == made.labels.tolist()
    assert load(worded).attributes[0].codes.tolist() == made.attributes[0].codes.tolist()


def test_names_with_a_missing_field_are_skipped_and_counted(tmp_path):
    sample.faces(tmp_path)
    for name in ("39_1_20170116174525125.jpg.chip.jpg", "0_1_1_2017.jpg.chip.jpg", "holiday.jpg"):
        (tmp_path / name).write_bytes(sample.jpeg(99))
    (tmp_path / "notes.txt").write_text("x")
    made = load(tmp_path)
    assert len(made.ids) == 12
    assert made.problems == (
        "Skipped 3 files: their names or fields do not give age, gender and race "
        "('0_1_1_2017.jpg.chip.jpg', '39_1_20170116174525125.jpg.chip.jpg', 'holiday.jpg').",
    )


def test_folders_in_the_folder_and_a_limit(tmp_path):
    for part in ("part1", "part2"):
        (tmp_path / part).mkdir()
    sample.faces(tmp_path / "part1", 6)
    sample.faces(tmp_path / "part2", 5, age=lambda i: 60 + i)
    assert len(load(tmp_path).ids) == 11
    few = load(tmp_path, limit=4)
    assert len(few.ids) == 4
    assert few.problems == ("4 of 11 faces were drawn (limit).",)


def test_a_split_column(tmp_path):
    path = sample.face_table(tmp_path / "a.parquet", split=["train"] * 6 + ["val"] * 2 + ["test"] * 4)
    assert [sorted(rows) for _, rows in load(path, split_column="split").parts.named()] == [
        [0, 1, 2, 3, 4, 5], [6, 7], [8, 9, 10, 11],
    ]  # fmt: skip
    assert "is a folder of files, which have no columns" in refused(
        sample.faces(tmp_path), split_column="split"
    )


def test_what_is_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "no" / "faces")
    (tmp_path / "e").mkdir()
    assert "holds no table" in refused(tmp_path / "e")
    (tmp_path / "e" / "x.jpg").write_bytes(sample.jpeg(1))
    assert "holds no face with age, gender and race" in refused(tmp_path / "e")
    assert "'x.jpg'" in refused(tmp_path / "e")
    sample.faces(tmp_path / "e")
    broken = "30_1_1_2017.jpg.chip.jpg"
    (tmp_path / "e" / broken).write_bytes(b"")
    said = refused(tmp_path / "e")
    assert f"1 of 13 images are missing or cannot be decoded ('{broken}')" in said
    twice = sample.face_table(tmp_path / "a.parquet", filename=["same.jpg"] * 12)
    assert "1 file names occur more than once ('same.jpg')" in refused(twice)
    path = sample.write_csv(
        tmp_path / "b.csv", [{"filename": "a", "age": 1, "gender": 1, "rase": 2, "image": "x"}]
    )
    assert "column 'race' (column) not found; did you mean 'rase'" in refused(path)
    with pytest.raises(ValidationError, match="'gender' or 'age'"):
        utkface.Config(path="x", target="race")


@pytest.mark.parametrize("path", ["utkface64", "utkface64/utkface64.parquet"])
@pytest.mark.shared
@pytest.mark.skipif(not sample.SHARED.is_dir(), reason="the data folder beside the checkout is not there")
def test_five_thousand_real_faces(path):
    made = load(sample.SHARED / "data" / path, split_column="split")
    assert np.bincount(made.labels).tolist() == [2599, 2401]
    race = dict(zip(utkface.RACES, np.bincount(made.attributes[0].codes).tolist(), strict=True))
    assert race == {"White": 2102, "Black": 991, "Indian": 797, "Asian": 755, "Others": 355}
    female = {
        r: round(float(made.labels[made.attributes[0].codes == i].mean()), 2) for i, r in enumerate(race)
    }
    assert female == {"White": 0.45, "Black": 0.5, "Asian": 0.55, "Indian": 0.43, "Others": 0.55}
    assert {name: len(rows) for name, rows in made.parts.named()} == {
        "train": 3500,
        "validation": 500,
        "test": 1000,
    }
    assert made.problems == ()
    assert len(set(made.inputs)) == 5000


@pytest.mark.shared
@pytest.mark.skipif(not sample.SHARED.is_dir(), reason="the data folder beside the checkout is not there")
def test_real_names():
    made = load(sample.SHARED / "data" / "utkface_original_mini", target="age")
    assert len(made.ids) == 120
    assert [np.bincount(a.codes).tolist() for a in made.attributes] == [[24] * 5, [60, 60]]
    ages = np.array([int(name.split("_")[0]) for name in made.ids])
    assert made.labels.tolist() == [min((age - 1) // 10, 8) for age in ages]
    assert made.problems == ()
