"""Write the table of a run's predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.tables.io.parquet import repeated, run_columns, write_parquet
from evenhand.tables.schema import Attribute, FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name and version of the table's schema, in the file's metadata.
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
    """Write predictions as parquet; the same numbers give the same bytes.

    Classes are numbers, 0 to k - 1, in the order of `classes`, which the file's metadata hold. Of two
    classes, 1 is the positive one.

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

    m, k = scores.shape
    columns: dict[str, object] = {
        "example_id": pa.array(list(ids), pa.string()),
        "split": repeated(splits),
        "label": pa.array(labels.tolist(), pa.int32()),
        "prediction": pa.array(scores.argmax(1).tolist(), pa.int32()),
        "score": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel().tolist(), pa.float64()), k),
        **run_columns(m, attributes, names),
    }
    write_parquet(path, columns, {"schema": SCHEMA, "classes": json.dumps(list(classes))})
