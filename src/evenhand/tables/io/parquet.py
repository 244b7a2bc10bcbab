"""Write the tables of runs as parquet: the same values give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evenhand.tables.io.write import write_atomic
from evenhand.tables.schema import Attribute, IntArray


def write_parquet(path: Path, columns: Mapping[str, object], metadata: Mapping[str, str]) -> None:
    """Write columns as one file, atomically.

    Args:
        path: of the file.
        columns: Arrow arrays of one length, by name.
        metadata: the file's metadata.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.table(dict(columns)).replace_schema_metadata(dict(metadata))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def run_columns(rows: int, attributes: Sequence[Attribute], names: Mapping[str, str]) -> dict[str, object]:
    """Build the last columns of every table of a run: its groups, and the names of the run.

    Args:
        rows: number of rows.
        attributes: of the same rows.
        names: columns with one value: arm, run, model.
    """
    columns: dict[str, object] = {}
    for attribute in attributes:
        columns |= attribute_columns(attribute)
    return columns | {name: coded(np.zeros(rows, np.int64), (value,)) for name, value in names.items()}


def attribute_columns(attribute: Attribute) -> dict[str, object]:
    """Build the column of group names of a partition, or one 0/1 column per group of memberships."""
    import pyarrow as pa  # noqa: PLC0415

    if attribute.flags is None:
        assert attribute.codes is not None
        return {attribute.name: coded(attribute.codes, attribute.groups)}
    flags = attribute.flags.astype(int)
    return {
        f"{attribute.name}_{group}": pa.array(flags[i].tolist(), pa.int8())
        for i, group in enumerate(attribute.groups)
    }


def coded(codes: IntArray, names: Sequence[str]) -> object:
    """Build a dictionary-encoded column: codes [n] into names."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.tolist(), pa.int32()), pa.array(list(names), pa.string())
    )


def repeated(values: Sequence[str]) -> object:
    """Build a dictionary-encoded column of texts [n], in the order of their first appearance."""
    index = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return coded(np.array([index[value] for value in values], np.int64), tuple(index))
