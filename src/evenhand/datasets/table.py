"""Any table: CSV, parquet or JSONL files or a hub dataset, with a text or image column, labels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from evenhand.datasets import DatasetInfo, Examples, synthetic_portraits, synthetic_posts
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import Inputs, Value, read_texts, select_inputs
from evenhand.datasets.lib.pictures import find_readable, read_bytes
from evenhand.datasets.lib.reading.columns import attribute_complaints
from evenhand.datasets.lib.reading.files import local_path
from evenhand.datasets.lib.reading.read import Rows, raise_complaints
from evenhand.datasets.lib.smoke import SMOKE, SMOKE_ROWS, draw_partitions
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
_SMOKE_GROUPS = ("a", "b", "c", "d")


class Config(Frozen):
    """Files of the table, and the meaning of its columns.

    Attributes:
        path: file, glob, folder or hub id (`owner/name`), or several.
        files: glob (`data/train-*`); only matching files of a folder or a hub dataset are read.
        revision: branch, tag or commit of a hub dataset.
        text: column of texts; give this or `image`.
        image: column of pictures: bytes, records {bytes, path}, or names of files.
        folder: folder of the files that `image` names; by default that of the table.
        label: column of labels.
        positive: the positive class of two; needed unless it is 1 or true.
        id: column with names of the rows; by default a hash of the content.
        by: partition attributes, one column each.
        memberships: patterns such as `target_race_*` of 0/1 columns, one attribute each.
        where: keep only the rows with this value, or one of these values, in a column.
        split_column: column with the part of each row (train, validation, test).
        limit: number of rows to keep, drawn by the hashes of their ids.
        duplicates: `drop` keeps one of several rows with the same content.
        without_group: `drop` leaves out rows without a value in `by` or `memberships`; `refuse` raises an
            error.
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
            raise ValueError("folder: is for images, and this table has texts")
        complaints = attribute_complaints(self.by, self.memberships)
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


def load(config: Config) -> Examples:
    """Read the table.

    Raises:
        InputError: it cannot be read, or its values cannot be used; every complaint at once.
    """
    try:
        return _read_examples(config)
    except TableError as error:
        raise TableError([*error.complaints, *_further_complaints(config, error.complaints)]) from None


def _further_complaints(config: Config, complaints: Sequence[str]) -> tuple[str, ...]:
    """Find further problems of a table in which some columns cannot be read, by reading the others."""
    unreadable = [
        what.option[1:] for what in complaints if isinstance(what, Complaint) and len(what.option) == 3
    ]
    fewer: dict[str, object] = {}
    for option, name in unreadable:
        setting = fewer.get(option, getattr(config, option, None))
        if isinstance(setting, tuple):
            fewer[option] = tuple(entry for entry in setting if entry != name)
        elif isinstance(setting, dict):
            fewer[option] = {column: value for column, value in setting.items() if column != name}
        elif option in ("id", "split_column"):
            fewer[option] = None
        else:
            return ()  # texts and labels are needed for every further check
    if len(unreadable) < len(complaints):
        return ()
    try:
        _read_examples(config.model_copy(update=fewer))
    except InputError as error:
        return error.complaints
    return ()


def _read_examples(config: Config) -> Examples:
    """Read the table, or raise the first group of complaints."""
    selection = select_inputs(
        config,
        {"label": config.label, "text": config.text},
        partial(read_texts, config.text) if config.text else partial(_read_images, config),
        memberships=config.memberships,
        picture=config.image,
    )
    reader = selection.reader
    labels, classes = reader.read_labels(config.label, selection.rows, config.positive)
    attributes = reader.read_attributes(config.by, config.memberships, selection.rows)
    parts = selection.read_parts()
    raise_complaints(reader.complaints)
    return Examples(
        "text" if config.text else "image", selection.ids, selection.values, labels, classes, attributes,
        (*selection.remarks, *reader.remarks), parts,
    )  # fmt: skip


def smoke(config: Config) -> Examples:
    """Write synthetic posts, or draw synthetic faces, with the table's attributes and random groups."""
    world: Examples
    if config.text is not None:
        world = synthetic_posts.load(synthetic_posts.Config(rows=SMOKE_ROWS, difficulty=0.0))
    else:
        world = synthetic_portraits.load(synthetic_portraits.Config(rows=SMOKE_ROWS, difficulty=0.0))
    rng = np.random.default_rng(0)
    attributes = draw_partitions(config.by, _SMOKE_GROUPS, rng)
    for pattern in config.memberships:
        flags = rng.random((len(_SMOKE_GROUPS), SMOKE_ROWS)) < 1 / len(_SMOKE_GROUPS)
        name = pattern.replace("*", "").rstrip("_") or pattern
        attributes.append(Attribute(name, "memberships", _SMOKE_GROUPS, flags=flags))
    return Examples(
        world.task, world.ids, world.inputs, world.labels, world.classes, tuple(attributes), (SMOKE,)
    )  # fmt: skip


def _read_images(config: Config, rows: Rows, selected: IntArray) -> Inputs:
    """Read the bytes of pictures; pictures that cannot be decoded are skipped and counted."""
    base = None if config.folder is None else local_path("dataset.folder", config.folder)
    if base is not None and not base.is_dir():
        raise_complaints([f"dataset.folder '{config.folder}': folder not found."])
    pictures: list[bytes | None] = []
    names: list[str] = []
    for i in selected:
        value = rows.pictures[i]
        folder = base or rows.sources[i].parent
        pictures.append(read_bytes(folder / value) if isinstance(value, str) else value)
        names.append(value if isinstance(value, str) else f"row {i + 1}")
    good, remarks = find_readable(pictures, names, f"{rows.title}: column '{config.image}' (image)")
    return Inputs(selected[good], [p for p, fine in zip(pictures, good, strict=True) if fine and p], remarks)
