"""Membership inference in a study: attacks on the signals of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.judge.settings import MARGIN
from evenhand.spec.study import Study
from evenhand.store.runs import SIGNALS, TRAIN_IDS, Runs, State
from evenhand.study.data import ids_digest, split_of_seed
from evenhand.study.membership import attacked_ids, needs_references
from evenhand.study.plan import Planned
from evenhand.study.results.collect import Collected, in_common
from evenhand.tables.schema import Columns

Numbered = Mapping[int, tuple[Planned, State]]


def attack(
    study: Study,
    collected: Collected,
    seeds: Mapping[str, Sequence[int]],
    runs: Runs,
    columns: Columns,
    data: Mapping[str, Any],
) -> tuple[dict[str, Any] | None, list[str]]:
    """Attack the runs of one base model.

    Args:
        study: the study, with its section `privacy`.
        collected: its runs on this model.
        seeds: seeds of the runs that are judged, by arm.
        runs: the folders of the runs.
        columns: the columns of the attributes.
        data: the stored facts of the rows.

    Returns:
        The document `evenhand.attack/1`, or None without `privacy` or if too few runs are finished; and
        remarks on what was left out, with reasons.
    """
    if study.privacy is None:
        return None, []
    offline, problems = study.privacy.protocol == "offline", list[str]()
    halves, references = {}, dict[str, list[int]]()
    for arm, by_half in collected.halves.items():
        halves[arm], remarks = _fit(by_half, runs, data, offline=offline)
        problems += remarks
    if not offline or needs_references(study.privacy):
        references, remarks = in_common(halves, study.audit.reference, "half")
        problems += [f"attacks: {what}" for what in remarks]
    files = {arm: _files(halves[arm], numbers, runs) for arm, numbers in references.items()}
    if offline:
        files = {
            arm: [*_files(collected.arms[arm], seeds[arm], runs), *files.get(arm, ())]
            for arm in (references or seeds)
            if arm in seeds
        }
    if not any(files.values()):
        return None, [*problems, "attacks: too few runs are finished for an attack."]
    try:
        return _judged(study, files, columns, runs.path.parent), problems
    except InputError as error:
        return None, [*problems, *[f"attacks: {what}" for what in error.complaints]]


def _judged(
    study: Study, files: Mapping[str, Sequence[Path]], columns: Columns, folder: Path
) -> dict[str, Any]:
    """Build the document of the attacks, with paths relative to the study's folder."""
    from evenhand.judge.privacy import PrivacySettings, run_attack  # noqa: PLC0415  (numpy and duckdb)

    assert study.privacy is not None
    audit = study.audit
    settings = PrivacySettings(
        attacks=tuple((attack.name, attack.config) for attack in study.privacy.attacks),
        reference=audit.reference,
        margin=MARGIN if isinstance(audit.margin, dict) else audit.margin,
        alpha=audit.alpha,
        min_group_size=audit.min_group_size,
    )
    signals = Columns(by=columns.by, memberships=columns.memberships, intersect=columns.intersect)
    document: dict[str, Any] = run_attack(dict(files), signals, settings).to_dict()
    for entry in document["inputs"]:
        entry["path"] = str(Path(entry["path"]).relative_to(folder))
    return document


def _files(by_number: Numbered, numbers: Sequence[int], runs: Runs) -> list[Path]:
    """List the tables of signals of some runs of an arm."""
    return [runs.folder(by_number[number][0].run_id) / SIGNALS for number in numbers]


def _fit(
    by_half: Numbered, runs: Runs, data: Mapping[str, Any], *, offline: bool
) -> tuple[Numbered, list[str]]:
    """Select runs on halves whose recorded training ids are correct; other runs count as unfinished."""
    fit, problems = {}, []
    for number, (planned, state) in by_half.items():
        fault = None
        if state.status == "finished" and state.record is not None:
            fault = _fault(planned, state.record, runs, data, offline=offline)
        if fault:
            problems.append(f"attacks: {planned.title}: {fault}, so it is left out.")
        fit[number] = planned, State("interrupted", None, fault) if fault else state
    return fit, problems


def _fault(
    planned: Planned, record: Mapping[str, Any], runs: Runs, data: Mapping[str, Any], *, offline: bool
) -> str | None:
    """Return the defect of the training ids that a run recorded, or None."""
    assert planned.job.membership is not None
    try:
        ids = json.loads((runs.folder(planned.run_id) / TRAIN_IDS).read_bytes())
    except (OSError, ValueError):
        return f"it recorded no training ids ({TRAIN_IDS} cannot be read)"
    if ids_digest(ids) != record["data"]["train_ids_sha256"]:
        return "the training ids that it recorded are not those of its half"
    attacked = attacked_ids(split_of_seed(data, planned.job.seed)["parts"], planned.job.membership)
    both = attacked.intersection(ids)
    if offline and both:
        return f"it was trained on {len(both):,} of the attacked rows, which the protocol 'offline' forbids"
    return None
