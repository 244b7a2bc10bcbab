"""Read tables of signals: from files, a folder or tables in memory to checked, aligned arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import CallError, TableError
from evenhand.tables.groups import refuse_impossible
from evenhand.tables.io.database import session
from evenhand.tables.io.formats import validate_each
from evenhand.tables.io.paths import local
from evenhand.tables.io.rephrasing import rephrase
from evenhand.tables.io.sources import ENDINGS, resolve_sources
from evenhand.tables.reader.merge import RunRows, describe_differences, list_gaps, merge
from evenhand.tables.reader.runs import run_index_sql
from evenhand.tables.reader.selection import filter_options
from evenhand.tables.reader.shared import SharedGroups, share_groups
from evenhand.tables.schema import Columns, FloatArray, Source
from evenhand.tables.signals.schema import SignalArm, Signals
from evenhand.tables.signals.validate import MEMBER, SIGNALS, Model, ValidatedSignals, validate
from evenhand.tables.values import in_order, shown

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def load_signals(source: Source, columns: Columns, signals: Collection[str] = SIGNALS) -> Signals:
    """Read, check and align the signals of all arms and runs.

    Args:
        source: a path, a folder (a study's, or one of signals files), a glob, a table in memory, a list of
            those, or a mapping of arm names to those.
        columns: names of the columns; columns `arm` and `run` are used by default if a table has them.
        signals: the signals to read, besides the loss.

    Raises:
        CallError: options contradict each other.
        TableError: tables are wrong; carries every complaint about every table.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    refuse_impossible(columns)
    sources, complaints = resolve_sources(_without_folders(source), columns)
    with session() as db:
        tables, more = validate_each(db, sources, lambda table: validate(db, table, columns, signals))
        complaints += more
        if sources and not tables and not complaints:
            complaints.append(f"No table has rows that match the filters ({filter_options(columns)}).")
        if complaints:
            raise TableError(complaints)
        try:
            return _align(db, tables, columns)
        except duckdb.Error as error:
            raise TableError(f"{sources[0].title}: {rephrase(error, sources[0])}") from None


def files_of(folder: Path) -> list[Path]:
    """List the files of signals in a folder: those of a study's runs, else all tables in the folder."""
    runs = sorted(folder.glob("runs/*/signals.parquet"))
    if runs:
        return runs
    single = folder / "signals.parquet"
    if single.is_file():
        return [single]
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(ENDINGS))


def _without_folders(source: Source) -> Source:
    """Replace every folder in a source by its files."""
    if isinstance(source, str | os.PathLike) and os.path.isdir(local(os.fspath(source))):
        try:
            files = files_of(Path(local(os.fspath(source))))
        except OSError as error:
            raise CallError(f"{os.fspath(source)}: cannot be read ({error.strerror or error}).") from None
        if not files:
            raise CallError(
                f"{os.fspath(source)}: holds no signals: neither runs/*/signals.parquet (a study whose runs "
                "wrote signals) nor a table."
            )
        return files
    if isinstance(source, list | tuple):
        flat: list[object] = []
        for item in source:
            expanded = _without_folders(item)
            flat += expanded if isinstance(expanded, list) else [expanded]
        return flat
    return source


def _align(db: DuckDBPyConnection, tables: Sequence[ValidatedSignals], columns: Columns) -> Signals:
    """Align the rows of all models by id.

    Raises:
        TableError: models differ in their rows, views or groups, or cannot be attacked.
    """
    models = _sorted([model for table in tables for model in table.models])
    complaints = _complain_of_models(models, tables)
    groups, more = share_groups([table.selected for table in tables], columns)
    complaints += more
    if complaints:
        raise TableError(complaints)
    coded = " UNION ALL ".join(_coded(db, table, models, groups, columns) for table in tables)
    db.execute(f"CREATE TEMP TABLE signals AS {coded}")  # a copy, since it is read three times
    titles = {name: f"group ('{title}')" for name, title in groups.titles.items()}
    rows = RunRows(
        "FROM signals", [model.name for model in models], ["id"], "id", titles, {}, ["id"], quote="'"
    )
    merged = merge(db, rows, resplit=False)
    complaints = _complain_of_members(db, rows, models)
    if merged.lacking:
        complaints.append(f"Models need the same rows, but {list_gaps(rows, merged)}.")
    complaints += describe_differences(db, rows, merged, "row", groups.text_of)
    if complaints:
        raise TableError(complaints)
    fetched: dict[str, Any] = db.execute("SELECT * FROM signals ORDER BY k, id").fetchnumpy()
    n = merged.total
    arms = [
        _arm(models, [k for k, model in enumerate(models) if model.arm == arm], tables, fetched, n)
        for arm in dict.fromkeys(model.arm for model in models)
    ]
    codes = {name: np.ma.getdata(fetched[name][:n]) for name in groups.titles}  # the same in all models
    return Signals(
        ids=tuple(map(str, fetched["id"][:n])),
        arms=tuple(arms),
        attributes=groups.attributes(columns, codes),
        inputs=tuple(table.selected.input for table in tables),
        problems=tuple(_remarks(arms)),
    )


def _sorted(models: Sequence[Model]) -> list[Model]:
    """Sort models: arms as they come; targets first, runs as numbers or text, then references."""
    ordered = []
    for arm in dict.fromkeys(model.arm for model in models):
        of_arm = [model for model in models if model.arm == arm]
        runs, roles = in_order(m.run for m in of_arm), in_order(m.role for m in of_arm)
        index = {m: (not m.target, runs.index(m.run), roles.index(m.role)) for m in of_arm}
        ordered += sorted(of_arm, key=index.__getitem__)
    return ordered


def _coded(
    db: DuckDBPyConnection,
    validated: ValidatedSignals,
    models: Sequence[Model],
    groups: SharedGroups,
    columns: Columns,
) -> str:
    """Return SQL for one table: index `k` of the model, id, membership `m`, views of signals, and groups."""
    table, joins = validated.selected.table, list[str]()
    indices = [
        (run, models.index(model))
        for run, model in zip(validated.selected.runs, validated.models, strict=True)
    ]
    chosen = [
        f"{run_index_sql(db, table, validated.texts, indices, joins)} AS k",
        f"{table.columns[columns.id].of('t').name_sql} AS id",
        f"{table.columns[MEMBER].of('t').flag_sql} AS m",
    ]
    for name in SIGNALS:
        views = validated.signal_sql(name)
        chosen += [
            f"{'NULL::DOUBLE' if views is None else f'({views})[{v + 1}]'} AS {name}{v}"
            for v in range(validated.views)
        ]
    chosen += groups.coded_sql(db, validated.selected, joins)
    return f"SELECT {', '.join(chosen)} FROM {table.relation} AS t {' '.join(joins)}"


def _complain_of_models(models: Sequence[Model], tables: Sequence[ValidatedSignals]) -> list[str]:
    """Complain of models that are given twice, or cannot be attacked or compared."""
    complaints = [
        f"{model} is given {times} times; give every model once."
        for model, times in Counter(models).items()
        if times > 1
    ]
    bases = sorted({base for table in tables for base in table.bases})
    if len(bases) > 1:
        complaints.append(
            f"The tables hold several base models ({shown(bases)}), but references need the base model "
            f"of their target; keep one with --where 'model={bases[0]}'."
        )
    targets = {model.arm for model in models if model.target}
    complaints += [
        f"'{arm}' has references only; attacks need a model with model_role 'target'."
        for arm in dict.fromkeys(model.arm for model in models if model.arm not in targets)
    ]
    first = tables[0]
    complaints += [
        f"{table.models[0]} has {table.views} views of a row, {first.models[0]} {first.views}."
        for table in tables[1:]
        if table.views != first.views
    ]
    return complaints


def _complain_of_members(db: DuckDBPyConnection, rows: RunRows, models: Sequence[Model]) -> list[str]:
    """Complain of targets without members or without non-members; references need not have both."""
    counts = db.execute(f"SELECT k, count(*), sum(m) FROM ({rows.sql}) GROUP BY k ORDER BY k").fetchall()
    return [
        f"{models[k]} has no {'non-' if members else ''}members among its {n:,} rows (column "
        f"'{MEMBER}' is {int(members > 0)} in all of them); an attack is measured on both members and "
        "non-members of the training set."
        for k, n, members in counts
        if models[k].target and members in {0, n}
    ]


def _arm(
    models: Sequence[Model],
    runs: Sequence[int],
    tables: Sequence[ValidatedSignals],
    fetched: Mapping[str, Any],
    n: int,
) -> SignalArm:
    """Build the signals of one arm from the rows of its models.

    Args:
        models: the models in the order of the rows.
        runs: indices of the arm's models, which are adjacent.
        tables: the tables.
        fetched: columns of the rows of all models.
        n: number of rows of a model.
    """
    arm, at = models[runs[0]].arm, slice(runs[0] * n, (runs[-1] + 1) * n)
    having = [table for table in tables if any(model.arm == arm for model in table.models)]

    def signal(name: str) -> FloatArray | None:
        if any(table.signal_sql(name) is None for table in having):
            return None
        views = [np.ma.getdata(fetched[f"{name}{v}"])[at] for v in range(having[0].views)]
        return np.stack(views, axis=1).astype(np.float64).reshape(len(runs), n, -1)

    loss = signal("loss")
    assert loss is not None
    return SignalArm(
        name=arm,
        runs=tuple(models[k].name.run for k in runs),
        target=np.array([models[k].target for k in runs]),
        member=np.ma.getdata(fetched["m"])[at].reshape(len(runs), n) == 1,
        loss=loss,
        margin=signal("margin"),
        base_loss=signal("base_loss"),
    )


def _remarks(arms: Sequence[SignalArm]) -> list[str]:
    """Remark on designs that themselves reveal membership."""
    remarks = []
    for arm in arms:
        counts = arm.member.sum(axis=0)
        if arm.shared and len(arm.runs) > 2 and arm.member.shape[1] > 50 and len(set(counts.tolist())) == 1:
            remarks.append(
                f"{arm.name}: every row is in the training set of exactly {counts[0]} of {len(arm.runs)} "
                f"runs. "
                "If a run is attacked with the others as references, the number of references trained on a "
                "row then reveals membership: scores are slightly biased. Draw each run's half independently."
            )
    return remarks
