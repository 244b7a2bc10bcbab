"""UTKFace: faces with age, gender and race, from original file names or from a table with the bytes."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, Parts, Picture, from_column, synthetic_portraits
from evenhand.datasets.lib.config import Frozen, Limit
from evenhand.datasets.lib.pictures import content, readable
from evenhand.datasets.lib.placeholder import SMOKE, SMOKE_ROWS
from evenhand.datasets.lib.reading.files import locate, place_of
from evenhand.datasets.lib.reading.read import Wanted, read
from evenhand.errors import InputError
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
        "Age, gender and race were estimated by a model and checked by a person, not said by those shown.",
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
    """Where the faces are and what is predicted.

    Attributes:
        path: a folder of files with their original names, `[age]_[gender]_[race]_[time].jpg.chip.jpg`
            (folders in it too), or parquet files with the columns filename, age, gender, race, image.
        target: what is predicted; the other one stays an attribute.
        split_column: column of a table that says a row's part (train, validation, test).
        limit: keep this many faces, drawn by the hashes of their names.
    """

    path: str
    target: Literal["gender", "age"] = "gender"
    split_column: str | None = None
    limit: Limit | None = None


@dataclass(frozen=True)
class _Faces:
    """Faces before their pictures are looked at.

    Attributes:
        names: [n] names of files.
        fields: [n] age, gender, race.
        pictures: [n] bytes, or where they are.
        parts: [n] part of the split, where a column says it.
        skipped: names of those that do not say age, gender and race.
    """

    names: list[str] = field(default_factory=list)
    fields: list[tuple[int, int, int]] = field(default_factory=list)
    pictures: list[bytes | Path | None] = field(default_factory=list)
    parts: list[str | None] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def load(config: Config) -> Examples:
    """Read the faces.

    Raises:
        InputError: there are none, or more than one in a hundred cannot be decoded.
    """
    folder = place_of("dataset.path", config.path)
    faces = _from_names(folder, config) if _holds_faces(folder) else _from_tables(config)
    if not faces.names:
        skipped = (
            f"; {len(faces.skipped):,} were skipped ({shown(faces.skipped, 3)})" if faces.skipped else ""
        )
        raise InputError(
            f"dataset.path '{config.path}': holds no face with age, gender and race in 0 < age <= 200, "
            f"0 or 1, 0 to 4{skipped}."
        )
    order = range(len(faces.names))
    if config.limit is not None:
        hashed = sorted(order, key=lambda i: hashlib.sha256(f"limit:{faces.names[i]}".encode()).digest())
        chosen = sorted(hashed[: config.limit])
    else:
        chosen = list(order)
    raw = [_bytes(faces.pictures[i]) for i in chosen]
    good, remarks = readable(raw, [faces.names[i] for i in chosen], f"dataset.path '{config.path}'")
    kept = [i for i, fine in zip(chosen, good, strict=True) if fine]
    inputs = [picture for picture, fine in zip(raw, good, strict=True) if fine and picture is not None]
    ids = [faces.names[i] for i in kept]
    fields = np.array([faces.fields[i] for i in kept], np.int64)
    if faces.skipped:
        why = "their names or fields do not say age, gender and race"
        remarks.insert(0, f"{len(faces.skipped):,} files were skipped: {why} ({shown(faces.skipped, 5)}).")
    if len(chosen) < len(faces.names):
        remarks.append(f"{len(chosen):,} of {len(faces.names):,} faces were drawn (limit).")
    parts = from_column([faces.parts[i] for i in kept], ids) if config.split_column else None
    return _examples(config.target, ids, inputs, fields, tuple(remarks), parts)


def smoke(config: Config) -> Examples:
    """Drawn faces in the same form: who is shown is drawn too, and says nothing about people."""
    rows = 2 * SMOKE_ROWS  # for nine classes
    drawn = synthetic_portraits.load(synthetic_portraits.Config(rows=rows, difficulty=0.0))
    rng = np.random.default_rng(0)
    # The mouth tells the sex, and whether the decade is odd: there is something to learn.
    half = rng.integers(np.where(drawn.labels == 1, 4, 5))
    age = 10 * (2 * half + drawn.labels) + rng.integers(1, 11, size=rows)
    race = rng.integers(len(RACES), size=rows)
    fields = np.stack([age, drawn.labels, race], axis=1).astype(np.int64)
    return _examples(config.target, list(drawn.ids), drawn.inputs, fields, (SMOKE,), None)


def _examples(
    target: str,
    ids: list[str],
    inputs: Sequence[str] | Sequence[Picture],
    fields: IntArray,
    remarks: tuple[str, ...],
    parts: Parts | None,
) -> Examples:
    """Labels and attributes out of age, gender and race."""
    bins = np.searchsorted(EDGES, fields[:, 0], side="left").astype(np.int64) - 1
    gender, race = fields[:, 1].copy(), fields[:, 2].copy()
    attributes = [Attribute("race", "partition", RACES, codes=race)]
    if target == "age":
        attributes.append(Attribute("gender", "partition", GENDERS, codes=gender))
        return Examples("image", ids, inputs, bins, AGE_BINS, tuple(attributes), remarks, parts)
    attributes.append(Attribute("age_bin", "partition", AGE_BINS, codes=bins))
    return Examples("image", ids, inputs, gender, GENDERS, tuple(attributes), remarks, parts)


def _holds_faces(folder: Path) -> bool:
    """Whether a path is a folder with picture files."""
    return folder.is_dir() and any(p.name.lower().endswith(_ENDINGS) for p in folder.rglob("*"))


def _from_names(folder: Path, config: Config) -> _Faces:
    """Faces whose file names say who is shown."""
    if config.split_column is not None:
        raise InputError(
            f"dataset.split_column '{config.split_column}': '{folder}' is a folder of files, which have no "
            "columns; give shares, or a table."
        )
    faces = _Faces()
    for file in sorted(p for p in folder.rglob("*") if p.name.lower().endswith(_ENDINGS) and p.is_file()):
        found = _NAME.fullmatch(file.name)
        age, gender, race = (int(found[i]) for i in (1, 2, 3)) if found else (0, 0, 0)
        if found is None or not _valid(age, gender, race):
            faces.skipped.append(file.name)
            continue
        faces.names.append(file.name)
        faces.fields.append((age, gender, race))
        faces.pictures.append(file)
        faces.parts.append(None)
    _refuse_repeated(folder, faces.names)
    return faces


def _from_tables(config: Config) -> _Faces:
    """Faces from tables with their bytes."""
    columns = [("column", name) for name in _COLUMNS]
    if config.split_column is not None:
        columns.append(("split_column", config.split_column))
    rows = read(locate(config.path), Wanted(tuple(columns), picture="image"))
    faces = _Faces()
    names = [name or "" for name in rows.values["filename"]]
    _refuse_repeated(rows.title, names)
    parts = rows.values[config.split_column] if config.split_column is not None else [None] * len(names)
    for i, name in enumerate(names):
        age, gender, race = (
            _number(rows.values["age"][i]),
            _code(rows.values["gender"][i], GENDERS),
            _code(rows.values["race"][i], RACES),
        )
        if not name or not _valid(age, gender, race):
            faces.skipped.append(name or f"row {i + 1}")
            continue
        picture = rows.pictures[i]
        faces.names.append(name)
        faces.fields.append((age, gender, race))
        faces.pictures.append(rows.sources[i].parent / picture if isinstance(picture, str) else picture)
        faces.parts.append(parts[i])
    return faces


def _refuse_repeated(title: object, names: Sequence[str]) -> None:
    """Complain of names that occur twice."""
    twice = [name for name, n in Counter(names).items() if n > 1 and name]
    if twice:
        raise InputError(
            f"{title}: {len(twice):,} file names occur more than once ({shown(twice, 3)}); a name stands for "
            "one face."
        )


def _valid(age: int, gender: int, race: int) -> bool:
    """Whether the fields are what the dataset's page says they can be."""
    return EDGES[0] < age <= EDGES[-1] and gender in {0, 1} and 0 <= race < len(RACES)


def _number(text: str | None) -> int:
    """A whole number, or -1."""
    return int(text) if text is not None and text.isdecimal() else -1


def _code(text: str | None, names: Sequence[str]) -> int:
    """A code, written as a number or by its name; else -1."""
    lowered = [name.lower() for name in names]
    word = (text or "").strip().lower()
    return lowered.index(word) if word in lowered else _number(text)


def _bytes(picture: bytes | Path | None) -> bytes | None:
    return content(picture) if isinstance(picture, Path) else picture
