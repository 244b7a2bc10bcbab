"""Read tables of signals: from files, a folder or tables in memory to checked, aligned arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from evenhand.errors import CallError, TableError
from evenhand.tables.groups import build_attributes, oversized_intersections, refuse_impossible
from evenhand.tables.io.database import session
from evenhand.tables.io.formats import validate_each
from evenhand.tables.io.paths import local
from evenhand.tables.io.sources import ENDINGS, resolve_sources
from evenhand.tables.reader.selection import filter_options
from evenhand.tables.schema import Attribute, Columns, FloatArray, Source
from evenhand.tables.signals.schema import SignalArm, Signals
from evenhand.tables.signals.validate import MEMBER, SIGNALS, ModelRows, ValidatedSignals, validate
from evenhand.tables.values import in_order, shown


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
    refuse_impossible(columns)
    sources, complaints = resolve_sources(_without_folders(source), columns)
    with session() as db:
        tables, more = validate_each(db, sources, lambda table: validate(db, table, columns, signals))
    complaints += more
    if sources and not tables and not complaints:
        complaints.append(f"No table has rows that match the filters ({filter_options(columns)}).")
    if not complaints:
        complaints = _complain_of_disagreements(tables, columns)
    if complaints:
        raise TableError(complaints)
    parts = [part for table in tables for part in table.parts]
    arms = tuple(_arm(name, [p for p in parts if p.key.arm == name]) for name in _arm_names(tables))
    return Signals(
        ids=tuple(parts[0].ids),
        arms=arms,
        attributes=_attributes(parts, tables, columns),
        inputs=tuple(table.selected.input for table in tables),
        problems=tuple(_remarks(arms)),
    )


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


def _arm_names(tables: Sequence[ValidatedSignals]) -> list[str]:
    return list(dict.fromkeys(part.key.arm for table in tables for part in table.parts))


def _complain_of_disagreements(tables: Sequence[ValidatedSignals], columns: Columns) -> list[str]:
    """Complain of tables that disagree, and of runs that cannot be attacked."""
    parts = [part for table in tables for part in table.parts]
    complaints = [
        f"{key} is given {times} times; give every model once." for key, times in
        Counter(p.key for p in parts).items() if times > 1
    ]  # fmt: skip
    models = sorted({model for table in tables for model in table.models})
    if len(models) > 1:
        complaints.append(
            f"The tables hold several base models ({shown(models)}), but references need the base model "
            f"of their target; keep one with --where 'model={models[0]}'."
        )
    for name in _arm_names(tables):
        if not any(p.key.target for p in parts if p.key.arm == name):
            complaints.append(f"'{name}' has references only; attacks need a model with model_role 'target'.")
    # An attack on a target needs both members and non-members; references need not have both.
    for part in parts:
        share = int(part.member.sum())
        if part.key.target and share in (0, len(part.ids)):
            lacking = "no members" if share == 0 else "no non-members"
            complaints.append(
                f"{part.key} has {lacking} among its {len(part.ids):,} rows (column '{MEMBER}' is "
                f"{int(share > 0)} in all of them); an attack is measured on "
                "both members and non-members of the training set."
            )
    complaints += _complain_of_unlike_models(parts, tables)
    groups = {name: list(set(parts[0].groups[name])) for name in parts[0].groups}
    return complaints + oversized_intersections(columns, groups)


def _complain_of_unlike_models(parts: Sequence[ModelRows], tables: Sequence[ValidatedSignals]) -> list[str]:
    """Complain of models whose rows, views or groups differ from the first model's."""
    first, complaints = parts[0], []
    rows, views = set(first.ids), first.signals["loss"].shape[1]
    for table in tables[1:]:
        if table.selected.members != tables[0].selected.members:
            complaints.append(
                table.selected.table.complaint("--memberships matches other columns than in the first table.")
            )
    for part in parts[1:]:
        if part.ids != first.ids:
            ids = set(part.ids)
            lacks, has = rows - ids, ids - rows
            differences = "; ".join(
                f"{verb} {len(some):,} (first: '{min(some)}')"
                for verb, some in (("lacks", lacks), ("has besides", has))
                if some
            )
            complaints.append(
                f"{part.key} has other rows than {first.key}: it {differences}. Models need the same rows."
            )
            continue
        if part.signals["loss"].shape[1] != views:
            complaints.append(
                f"{part.key} has {part.signals['loss'].shape[1]} views of a row, {first.key} {views}."
            )
        complaints += _complain_of_unlike_groups(first, part)
    return complaints


def _complain_of_unlike_groups(first: ModelRows, part: ModelRows) -> list[str]:
    """Complain of rows whose groups differ between two models, and quote the first of them."""
    columns: dict[str, tuple[Sequence[object], Sequence[object]]] = {
        g: (first.groups[g], part.groups[g]) for g in first.groups if g in part.groups
    }
    columns |= {
        f: (first.flags[f].astype(int).tolist(), part.flags[f].astype(int).tolist())
        for f in first.flags
        if f in part.flags
    }
    complaints = []
    for name, (expected, actual) in columns.items():
        unlike = [i for i, (a, b) in enumerate(zip(expected, actual, strict=True)) if a != b]
        if unlike:
            i = unlike[0]
            complaints.append(
                f"{part.key} has rows in other groups than {first.key}: column '{name}' differs for "
                f"{len(unlike):,} rows (first: example '{first.ids[i]}' is '{expected[i]}' in {first.key}, "
                f"'{actual[i]}' in {part.key}); a row is in one group for all models."
            )
    return complaints


def _arm(name: str, parts: Sequence[ModelRows]) -> SignalArm:
    """Stack the models of one arm: targets first, runs as numbers or text, then references."""
    runs = in_order(p.key.run for p in parts)
    roles = in_order(p.key.role for p in parts)
    order = sorted(parts, key=lambda p: (not p.key.target, runs.index(p.key.run), roles.index(p.key.role)))
    names = tuple(p.key.run if p.key.target else f"{p.key.run} {p.key.role}" for p in order)
    signals: dict[str, FloatArray | None] = {
        k: np.stack([p.signals[k] for p in order]) if all(k in p.signals for p in order) else None
        for k in SIGNALS
    }
    loss = signals["loss"]
    assert loss is not None
    return SignalArm(
        name=name,
        runs=names,
        target=np.array([p.key.target for p in order]),
        member=np.stack([p.member for p in order]),
        loss=loss,
        margin=signals["margin"],
        base_loss=signals["base_loss"],
    )


def _attributes(
    parts: Sequence[ModelRows], tables: Sequence[ValidatedSignals], columns: Columns
) -> tuple[Attribute, ...]:
    """Build the attributes of the rows, which all models share."""
    first = parts[0]
    groups = {}
    for name, values in first.groups.items():
        names = in_order(values)
        index = {value: i for i, value in enumerate(names)}
        groups[name] = (names, np.array([index[v] for v in values], dtype=np.int64))
    members = {
        pattern: (names, np.array([first.flags[n] for n in names], dtype=bool))
        for pattern, names in tables[0].selected.members.items()
    }
    return build_attributes(columns, groups, members)


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
