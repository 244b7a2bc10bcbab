"""Write a run's predictions: the table that judges read, and anyone else may."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand.tables.schema import Attribute, FloatArray, IntArray
from evenhand.tables.write import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name and version of the table's form, in the file's metadata.
SCHEMA = "evenhand.predictions/1"


def write_predictions(
    path: Path,
    ids: Sequence[str],
    splits: Sequence[str],
    labels: IntArray,
    scores: FloatArray,
    classes: tuple[str, ...],
    attributes: Sequence[Attribute],
    *,
    names: dict[str, str],
) -> None:
    """Write predictions as parquet, the same bytes for the same numbers.

    Classes are numbers, 0 to k - 1, in the order of `classes`, which the file's metadata hold; of two, 1 is
    the positive one, as every reader of such files takes it.

    Args:
        path: of the file.
        ids: [m] names of the rows.
        splits: [m] part of each row.
        labels: [m] true classes.
        scores: [m, k] probabilities.
        classes: [k] names.
        attributes: of the same m rows.
        names: further columns with one value: arm, run, model.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    m, k = scores.shape
    columns: dict[str, pa.Array] = {
        "example_id": pa.array(list(ids), pa.string()),
        "split": coded(np.array(_codes(splits)), tuple(dict.fromkeys(splits))),
        "label": pa.array(labels.tolist(), pa.int32()),
        "prediction": pa.array(scores.argmax(1).tolist(), pa.int32()),
        "score": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel().tolist(), pa.float64()), k),
    }
    for attribute in attributes:
        columns |= attribute_columns(attribute)
    columns |= {name: coded(np.zeros(m, np.int64), (value,)) for name, value in names.items()}
    told = {"schema": SCHEMA, "classes": json.dumps(list(classes))}
    table = pa.table(columns).replace_schema_metadata(told)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def attribute_columns(attribute: Attribute) -> dict[str, object]:
    """A partition's column of names, or one 0/1 column per group of memberships."""
    import pyarrow as pa  # noqa: PLC0415

    if attribute.flags is None:
        assert attribute.codes is not None
        return {attribute.name: coded(attribute.codes, attribute.groups)}
    flags = attribute.flags.astype(int)
    return {
        f"{attribute.name}_{group}": pa.array(flags[i].tolist(), pa.int8())
        for i, group in enumerate(attribute.groups)
    }


def coded(codes: IntArray, names: tuple[str, ...]) -> object:
    """A column of names by their codes."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.tolist(), pa.int32()), pa.array(list(names), pa.string())
    )


def _codes(values: Sequence[str]) -> list[int]:
    place = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return [place[value] for value in values]
