"""The schema of a table of signals: a model's losses and margins on rows in and outside its training set.

A file has one row per example, or one per (arm, run, model_role, example): `example_id`, `model_role`
(`target`, or `reference 0`, `reference 1`, ...), `in_training`, `loss`, `margin`, perhaps `base_loss`, group
columns, and `arm`, `run`, `model` if one file or folder holds several. A signal is a number, or a list of
numbers: one per view of the example (as it is, mirrored, ...).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand.tables.io.parquet import coded, run_columns, write_parquet
from evenhand.tables.schema import Attribute, BoolArray, FloatArray, Input, IntArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Name and version of the table's schema, in the file's metadata.
SCHEMA = "evenhand.signals/1"

TARGET = "target"


@dataclass(frozen=True)
class SignalArm:
    """Signals of one arm's models, aligned with the rows of its `Signals`.

    Attributes:
        name: the arm, as a study or the user names it.
        runs: [R] names of its models: of targets their run, of references their run and role.
        target: [R] True if a model is attacked.
        member: [R, n] True if an example was in the model's training set.
        loss: [R, n, views] cross-entropy of the true class.
        margin: [R, n, views] logit of the true class minus the log-sum-exp of the others; None if a table
            lacks it.
        base_loss: [R, n, views] loss under the model before training; None if a table lacks it.
    """

    name: str
    runs: tuple[str, ...]
    target: BoolArray
    member: BoolArray
    loss: FloatArray
    margin: FloatArray | None = None
    base_loss: FloatArray | None = None

    @property
    def shared(self) -> bool:
        """True if every model is a target in turn, with the others as references."""
        return bool(self.target.all())

    @property
    def targets(self) -> IntArray:
        """Indices [T] of the models that are attacked."""
        return np.flatnonzero(self.target)

    @property
    def target_runs(self) -> tuple[str, ...]:
        """Names [T] of the runs that are attacked."""
        return tuple(self.runs[i] for i in self.targets)


@dataclass(frozen=True)
class Signals:
    """Checked, aligned signals of all arms.

    Attributes:
        ids: [n] names of the examples.
        arms: the arms; all have the same rows and views.
        attributes: of the rows.
        inputs: the tables that were read.
        problems: remarks on the data that do not prevent the attack.
    """

    ids: tuple[str, ...]
    arms: tuple[SignalArm, ...]
    attributes: tuple[Attribute, ...]
    inputs: tuple[Input, ...] = ()
    problems: tuple[str, ...] = field(default=())


def write_signals(  # noqa: PLR0913  (a public facade)
    path: Path,
    ids: Sequence[str],
    in_training: BoolArray,
    loss: FloatArray,
    margin: FloatArray,
    attributes: Sequence[Attribute],
    *,
    role: str = TARGET,
    base_loss: FloatArray | None = None,
    names: Mapping[str, str],
) -> None:
    """Write the signals of one model as parquet; the same numbers give the same bytes.

    Args:
        path: of the file.
        ids: [n] names of the rows.
        in_training: [n] True if a row was in the training set, from the recorded training ids.
        loss: [n, views] cross-entropy of the true class.
        margin: [n, views] logit of the true class minus the log-sum-exp of the others.
        attributes: of the same n rows.
        role: `target`, or `reference k`.
        base_loss: [n, views] loss under the model before training.
        names: further columns with one value: arm, run, model.
    """
    import pyarrow as pa  # noqa: PLC0415

    n = len(ids)
    columns: dict[str, object] = {
        "example_id": pa.array(list(ids), pa.string()),
        "model_role": coded(np.zeros(n, np.int64), (role,)),
        "in_training": pa.array(np.asarray(in_training, dtype=bool).tolist(), pa.bool_()),
        "loss": _views(loss),
        "margin": _views(margin),
    }
    if base_loss is not None:
        columns["base_loss"] = _views(base_loss)
    write_parquet(path, {**columns, **run_columns(n, attributes, names)}, {"schema": SCHEMA})


def _views(values: FloatArray) -> object:
    """Build a column of lists, one number per view, from [n, views]."""
    import pyarrow as pa  # noqa: PLC0415

    flat = pa.array(np.asarray(values, dtype=np.float64).ravel().tolist(), pa.float64())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
