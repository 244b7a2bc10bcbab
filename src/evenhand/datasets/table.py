"""Any table: csv, parquet, jsonl files or a hub dataset with a text or image column, labels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evenhand.datasets import (
    DatasetInfo,
    Examples,
    Parts,
    from_column,
    synthetic_portraits,
    synthetic_posts,
)
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import Inputs, kept_of, names, texts
from evenhand.datasets.lib.leaks import fingerprint
from evenhand.datasets.lib.pictures import content, readable
from evenhand.datasets.lib.placeholder import SMOKE, SMOKE_ROWS
from evenhand.datasets.lib.reading.columns import Reader, impossible
from evenhand.datasets.lib.reading.files import locate, place_of
from evenhand.datasets.lib.reading.read import Rows, Wanted, read, refuse
from evenhand.errors import Complaint, InputError, TableError
from evenhand.tables.schema import Attribute, IntArray

INFO = DatasetInfo(
    title="Table",
    task="either",
    labels="a column of any table",
    attributes=(),
    source="files of the user, or a hub dataset",
    licence="the table's own",
)
Value = str | int | float | bool
_SMOKE_GROUPS = ("a", "b", "c", "d")


class Config(Frozen):
    """Where the table is and what its columns mean.

    Attributes:
        path: file, glob, folder or hub id (`owner/name`), or several.
        files: of a folder or hub dataset only the files that match this glob (`data/train-*`).
        revision: of a hub dataset.
        text: column of texts; give this or `image`.
        image: column of pictures: bytes, records {bytes, path}, or names of files.
        folder: where the files that `image` names are; else beside the table.
        label: column of labels.
        positive: the positive class of two; 1 or true by itself.
        id: column that names a row; else a hash of its content.
        by: partition attributes, one column each.
        memberships: patterns such as `target_race_*` of 0/1 columns, one attribute each.
        where: keep only the rows with this value, or one of these values, in a column.
        split_column: column that says a row's part (train, validation, test).
        limit: keep this many rows, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several rows with the same content.
        without_group: `drop` leaves out rows without a value in `by` or `memberships`; else it is refused.
    """

    path: str | tuple[str, ...]
    files: str | None = None
    revision: str | None = None
    text: str | None = None
    image: str | None = None
    folder: str | None = None
    label: str = "label"
    positive: Value | None = None
    id: str | None = None
    by: tuple[str, ...] = ()
    memberships: tuple[str, ...] = ()
    where: dict[str, Value | tuple[Value, ...]] = Field(default_factory=dict)
    split_column: str | None = None
    limit: Limit | None = None
    duplicates: Literal["keep", "drop"] = "keep"
    without_group: Literal["refuse", "drop"] = "refuse"

    @model_validator(mode="after")
    def _can_be_meant(self) -> Config:
        if (self.text is None) == (self.image is None):
            raise ValueError("give exactly one of text (a column of texts) and image (a column of pictures)")
        if self.folder is not None and self.image is None:
            raise ValueError("folder: is for images; this table has texts")
        complaints = impossible(self.by, self.memberships)
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


def load(config: Config) -> Examples:
    """Read the table.

    Raises:
        InputError: it cannot be read, or its values cannot be used; every complaint at once.
    """
    try:
        return _load(config)
    except TableError as error:
        raise TableError([*error.complaints, *_others(config, error.complaints)]) from None


def _others(config: Config, complaints: Sequence[str]) -> tuple[str, ...]:
    """What else is wrong with a table some of whose columns cannot be read: the others are looked at."""
    lacking = [
        what.option[1:] for what in complaints if isinstance(what, Complaint) and len(what.option) == 3
    ]
    fewer: dict[str, object] = {}
    for option, name in lacking:
        had = fewer.get(option, getattr(config, option, None))
        if isinstance(had, tuple):
            fewer[option] = tuple(one for one in had if one != name)
        elif isinstance(had, dict):
            fewer[option] = {column: value for column, value in had.items() if column != name}
        elif option in ("id", "split_column"):
            fewer[option] = None
        else:
            return ()  # nothing can be said without texts or labels
    if len(lacking) < len(complaints):
        return ()
    try:
        _load(config.model_copy(update=fewer))
    except InputError as error:
        return error.complaints
    return ()


def _load(config: Config) -> Examples:
    """Read the table."""
    rows = read(locate(config.path, files=config.files, revision=config.revision), _wanted(config))
    reader = Reader(rows)
    kept = reader.where(config.where)
    if config.without_group == "drop":
        kept = reader.grouped(config.by, config.memberships, kept)
    refuse(reader.complaints)
    inputs = texts(rows, kept, config.text) if config.text else _images(rows, kept, config)
    marks = [fingerprint(value) for value in inputs.values]
    said = None if config.split_column is None else rows.values[config.split_column]
    ids, told = names(reader, inputs.rows, marks, column=config.id, duplicates=config.duplicates, parts=said)
    chosen, dropped = kept_of(ids, marks, limit=config.limit, duplicates=config.duplicates)
    kept = inputs.rows[chosen]
    labels, classes = reader.labels(config.label, kept, config.positive)
    attributes = reader.attributes(config.by, config.memberships, kept)
    ids = [ids[i] for i in chosen]
    parts = None if said is None else _parts(reader, [said[i] for i in kept], ids)
    refuse(reader.complaints)
    values = [inputs.values[i] for i in chosen]
    remarks = (*inputs.remarks, *told, *dropped, *reader.remarks)
    task: Literal["text", "image"] = "text" if config.text else "image"
    return Examples(task, ids, values, labels, classes, attributes, remarks, parts)  # type: ignore[arg-type]


def smoke(config: Config) -> Examples:
    """Made-up posts or drawn faces with the table's attributes, each of a few groups that are drawn."""
    world: Examples
    if config.text is not None:
        world = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS, difficulty=0.0))
    else:
        world = synthetic_portraits.load(synthetic_portraits.Config(rows=SMOKE_ROWS, difficulty=0.0))
    rng = np.random.default_rng(0)
    attributes = [
        Attribute(name, "partition", _SMOKE_GROUPS, codes=rng.integers(len(_SMOKE_GROUPS), size=SMOKE_ROWS))
        for name in config.by
    ]
    for pattern in config.memberships:
        flags = rng.random((len(_SMOKE_GROUPS), SMOKE_ROWS)) < 1 / len(_SMOKE_GROUPS)
        name = pattern.replace("*", "").rstrip("_") or pattern
        attributes.append(Attribute(name, "memberships", _SMOKE_GROUPS, flags=flags))
    return Examples(
        world.task, world.ids, world.inputs, world.labels, world.classes, tuple(attributes), (SMOKE,)
    )  # fmt: skip


def _parts(reader: Reader, said: Sequence[str | None], ids: Sequence[str]) -> Parts | None:
    """The parts that a column says; None where it says none that can be used."""
    try:
        return from_column(said, ids)
    except InputError as error:
        section = (*reader.rows.section, "split_column")
        reader.complaints.extend(Complaint(what, *section) for what in error.complaints)
        return None


def _wanted(config: Config) -> Wanted:
    """The columns that the options name."""
    named = [("label", config.label), ("text", config.text), ("id", config.id)]
    named += [("split_column", config.split_column), *(("by", name) for name in config.by)]
    named += [("where", name) for name in config.where]
    verbatim = (config.text,) if config.text else ()
    single = tuple((option, name) for option, name in named if name is not None)
    return Wanted(single, config.memberships, verbatim, config.image)


def _images(rows: Rows, kept: IntArray, config: Config) -> Inputs:
    """Bytes of pictures; those that cannot be decoded are left out and counted."""
    beside = None if config.folder is None else place_of("dataset.folder", config.folder)
    if beside is not None and not beside.is_dir():
        refuse([f"dataset.folder '{config.folder}': there is no such folder."])
    pictures: list[bytes | None] = []
    names: list[str] = []
    for i in kept:
        value = rows.pictures[i]
        folder = beside or rows.sources[i].parent
        pictures.append(content(folder / value) if isinstance(value, str) else value)
        names.append(value if isinstance(value, str) else f"row {i + 1}")
    good, remarks = readable(pictures, names, f"{rows.title}: column '{config.image}' (image)")
    return Inputs(kept[good], [p for p, fine in zip(pictures, good, strict=True) if fine and p], remarks)
