"""UTKFace: faces with age, gender and race, from original file names or from a table with the bytes."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, Parts, Picture, split_from_column, synthetic_portraits
from evenhand.datasets.lib.config import Frozen, Limit
from evenhand.datasets.lib.deduplicate import draw_rows
from evenhand.datasets.lib.pictures import find_readable, read_bytes
from evenhand.datasets.lib.reading.files import local_path, locate
from evenhand.datasets.lib.reading.read import RequiredColumns, read_columns
from evenhand.datasets.lib.smoke import SMOKE, SMOKE_ROWS
from evenhand.errors import InputError, plural
from evenhand.tables.schema import Attribute, IntArray
from evenhand.tables.values import shown

INFO = DatasetInfo(
    title="UTKFace",
    task="image",
    labels="gender (female is positive), or age in nine bins",
    attributes=("race", "gender", "age_bin"),
    source="https://susanqq.github.io/UTKFace (Zhang, Song and Qi, CVPR 2017)",
    licence="non-commercial research only; the images belong to their owners",
    problems=(
        "Age, gender and race were estimated by a model and checked by a person, not self-reported.",
        "Some file names lack a field; they are skipped and counted.",
    ),
)
RACES = ("White", "Black", "Asian", "Indian", "Others")
GENDERS = ("male", "female")
EDGES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 200)
AGE_BINS = tuple(f"({low},{high}]" for low, high in itertools.pairwise(EDGES))

_NAME = re.compile(r"(\d+)_([01])_([0-4])_(\d+)\.jpg(?:\.chip\.jpg)?", re.IGNORECASE)
_ENDINGS = (".jpg", ".jpeg")
_COLUMNS = ("filename", "age", "gender", "race")


class Config(Frozen):
    """Files of the faces, and the class to predict.

    Attributes:
        path: a folder of files with their original names, `[age]_[gender]_[race]_[time].jpg.chip.jpg`
            (subfolders included), or parquet files with the columns filename, age, gender, race, image.
        target: the class to predict; the other one is an attribute.
        split_column: column of a table with the part of each row (train, validation, test).
        limit: number of faces to keep, drawn by the hashes of their names.
    """

    path: str
    target: Literal["gender", "age"] = "gender"
    split_column: str | None = None
    limit: Limit | None = None


@dataclass(frozen=True)
class _Faces:
    """Faces before their pictures are decoded.

    Attributes:
        names: [n] names of files.
        fields: [n] age, gender, race.
        pictures: [n] bytes, or the path of a file.
        parts: [n] part of the split, where a column gives it.
        skipped: names of files without valid age, gender and race.
    """

    names: list[str] = field(default_factory=list)
    fields: list[tuple[int, int, int]] = field(default_factory=list)
    pictures: list[bytes | Path | None] = field(default_factory=list)
    parts: list[str | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def load(config: Config) -> Examples:
    """Read the faces.

    Raises:
        InputError: no faces were found, or more than 1 % cannot be decoded.
    """
    folder = local_path("dataset.path", config.path)
    faces = _faces_from_names(folder, config) if _holds_faces(folder) else _faces_from_tables(config)
    if not faces.names:
        skipped = (
            f"; {len(faces.skipped):,} were skipped ({shown(faces.skipped, 3)})" if faces.skipped else ""
        )
        raise InputError(
            f"dataset.path '{config.path}': holds no face with age, gender and race in 0 < age <= 200, "
            f"0 or 1, 0 to 4{skipped}."
        )
    chosen = draw_rows(range(len(faces.names)), faces.names, config.limit)
    raw = [_picture_bytes(faces.pictures[i]) for i in chosen]
    good, remarks = find_readable(raw, [faces.names[i] for i in chosen], f"dataset.path '{config.path}'")
    selected = [i for i, fine in zip(chosen, good, strict=True) if fine]
    inputs = [picture for picture, fine in zip(raw, good, strict=True) if fine and picture is not None]
    ids = [faces.names[i] for i in selected]
    fields = np.array([faces.fields[i] for i in selected], np.int64)
    if faces.skipped:
        why = "their names or fields do not give age, gender and race"
        remarks.insert(0, f"Skipped {plural(len(faces.skipped), 'file')}: {why} ({shown(faces.skipped, 5)}).")
    if len(chosen) < len(faces.names):
        remarks.append(f"{len(chosen):,} of {len(faces.names):,} faces were drawn (limit).")
    parts = split_from_column([faces.parts[i] for i in selected], ids) if config.split_column else None
    return _make_examples(config.target, ids, inputs, fields, tuple(remarks), parts)


def smoke(config: Config) -> Examples:
    """Draw synthetic faces in the same form, with random attributes."""
    rows = 2 * SMOKE_ROWS  # for nine classes
    drawn = synthetic_portraits.load(synthetic_portraits.Config(rows=rows, difficulty=0.0))
    rng = np.random.default_rng(0)
    # The mouth determines the gender and the parity of the decade, so that both targets can be learnt.
    half = rng.integers(np.where(drawn.labels == 1, 4, 5))
    age = 10 * (2 * half + drawn.labels) + rng.integers(1, 11, size=rows)
    race = rng.integers(len(RACES), size=rows)
    fields = np.stack([age, drawn.labels, race], axis=1).astype(np.int64)
    return _make_examples(config.target, list(drawn.ids), drawn.inputs, fields, (SMOKE,), None)


def _make_examples(
    target: str,
    ids: list[str],
    inputs: Sequence[str] | Sequence[Picture],
    fields: IntArray,
    remarks: tuple[str, ...],
    parts: Parts | None,
) -> Examples:
    """Build labels and attributes from age, gender and race ([n, 3])."""
    bins = np.searchsorted(EDGES, fields[:, 0], side="left").astype(np.int64) - 1
    gender, race = fields[:, 1].copy(), fields[:, 2].copy()
    attributes = [Attribute("race", "partition", RACES, codes=race)]
    if target == "age":
        attributes.append(Attribute("gender", "partition", GENDERS, codes=gender))
        return Examples("image", ids, inputs, bins, AGE_BINS, tuple(attributes), remarks, parts)
    attributes.append(Attribute("age_bin", "partition", AGE_BINS, codes=bins))
    return Examples("image", ids, inputs, gender, GENDERS, tuple(attributes), remarks, parts)


def _holds_faces(folder: Path) -> bool:
    """Return True for a folder with picture files."""
    return folder.is_dir() and any(p.name.lower().endswith(_ENDINGS) for p in folder.rglob("*"))


def _faces_from_names(folder: Path, config: Config) -> _Faces:
    """List faces with age, gender and race in the file names."""
    if config.split_column is not None:
        raise InputError(
            f"dataset.split_column '{config.split_column}': '{folder}' is a folder of files, which have no "
            "columns; give shares, or a table."
        )
    faces = _Faces()
    for file in sorted(p for p in folder.rglob("*") if p.name.lower().endswith(_ENDINGS) and p.is_file()):
        match = _NAME.fullmatch(file.name)
        age, gender, race = (int(match[i]) for i in (1, 2, 3)) if match else (0, 0, 0)
        if match is None or not _is_valid(age, gender, race):
            faces.skipped.append(file.name)
            continue
        faces.names.append(file.name)
        faces.fields.append((age, gender, race))
        faces.pictures.append(file)
        faces.parts.append(None)
    _refuse_repeated(folder, faces.names)
    return faces


def _faces_from_tables(config: Config) -> _Faces:
    """Read faces from tables with the bytes of the pictures."""
    columns = [("column", name) for name in _COLUMNS]
    if config.split_column is not None:
        columns.append(("split_column", config.split_column))
    rows = read_columns(locate(config.path), RequiredColumns(tuple(columns), picture="image"))
    faces = _Faces()
    names = [name or "" for name in rows.values["filename"]]
    _refuse_repeated(rows.title, names)
    parts = rows.values[config.split_column] if config.split_column is not None else [None] * len(names)
    for i, name in enumerate(names):
        age, gender, race = (
            _parse_integer(rows.values["age"][i]),
            _parse_code(rows.values["gender"][i], GENDERS),
            _parse_code(rows.values["race"][i], RACES),
        )
        if not name or not _is_valid(age, gender, race):
            faces.skipped.append(name or f"row {i + 1}")
            continue
        picture = rows.pictures[i]
        faces.names.append(name)
        faces.fields.append((age, gender, race))
        faces.pictures.append(rows.sources[i].parent / picture if isinstance(picture, str) else picture)
        faces.parts.append(parts[i])
    return faces


def _refuse_repeated(title: object, names: Sequence[str]) -> None:
    """Raise an InputError for names that occur twice."""
    twice = [name for name, n in Counter(names).items() if n > 1 and name]
    if twice:
        raise InputError(
            f"{title}: {len(twice):,} file names occur more than once ({shown(twice, 3)}); a name identifies "
            "one face."
        )


def _is_valid(age: int, gender: int, race: int) -> bool:
    """Return True for fields within the ranges that the dataset's page gives."""
    return EDGES[0] < age <= EDGES[-1] and gender in {0, 1} and 0 <= race < len(RACES)


def _parse_integer(text: str | None) -> int:
    """Parse a non-negative integer; -1 for other texts."""
    return int(text) if text is not None and text.isdecimal() else -1


def _parse_code(text: str | None, names: Sequence[str]) -> int:
    """Parse a code that is written as a number or as a name; -1 for other texts."""
    lowered = [name.lower() for name in names]
    word = (text or "").strip().lower()
    return lowered.index(word) if word in lowered else _parse_integer(text)


def _picture_bytes(picture: bytes | Path | None) -> bytes | None:
    return read_bytes(picture) if isinstance(picture, Path) else picture
