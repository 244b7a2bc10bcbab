"""Which files the models of a study have, and that they stay the same from its first run to its last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.store import digests
from evenhand.store.runs import Runs
from evenhand.study.plan import Planned

FAMILIES = "evenhand.finetune.models"
#: Names of files that a complaint shows.
_MOST = 4

Files = Mapping[str, str]


@dataclass(frozen=True)
class Bases:
    """The models of a study, by `Model.key`.

    Attributes:
        files: of folders, the digests of their files.
        revisions: of hub ids, the commit that the study's first run had.
    """

    files: Mapping[str, Files] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)

    def pinned(self, planned: Planned) -> Planned:
        """The run with the commit of its model, where that is known; its id stays as it is."""
        commit = self.revisions.get(planned.job.model.key)
        if commit is None:
            return planned
        model = replace(planned.job.model, options={**planned.job.model.options, "revision": commit})
        return replace(planned, job=replace(planned.job, model=model))

    def record(self, model: Model) -> dict[str, Any]:
        """What a run's record says of its model's files."""
        files = self.files.get(model.key)
        return {} if files is None else {"base": {"files": dict(files)}}


def look(planned: Sequence[Planned], runs: Runs) -> Bases:
    """See which files the models have now, and which commits the runs that are finished had.

    Raises:
        InputError: a model's files are not those that finished runs were trained on.
    """
    files: dict[str, Files] = {}
    for model in {p.job.model.key: p.job.model for p in planned}.values():
        if (folder := folder_of(model)) is not None:
            files[model.key] = digests.of_folder(folder)
    revisions: dict[str, str] = {}
    complaints: dict[str, None] = {}
    for one in planned:
        record = runs.record(one.run_id)
        if record is None or record.get("status") != "finished":
            continue
        key, facts = one.job.model.key, record.get("facts")
        commit = facts.get("revision") if isinstance(facts, Mapping) else None
        if isinstance(commit, str):
            first = revisions.setdefault(key, commit)
            if first != commit:
                complaints[_two_commits(runs, one.job.model.name, first, commit)] = None
        before = files_of(record)
        if before is not None and key in files and before != files[key]:
            complaints[_changed(runs, one.job.model.name, before, files[key])] = None
    if complaints:
        raise InputError(complaints)
    return Bases(files, revisions)


def folder_of(model: Model) -> Path | None:
    """The folder that a model is named by; None of a hub id, and of one that evenhand makes itself."""
    if model.name in registry.names(FAMILIES):
        return None
    folder = Path(model.name).expanduser()
    return folder if folder.is_dir() else None


def files_of(record: Mapping[str, Any]) -> Files | None:
    """Digests of the model's files in a record or in what is to be recorded; older ones have none."""
    base = record.get("base")
    files = base.get("files") if isinstance(base, Mapping) else None
    return files if isinstance(files, Mapping) else None


def changed_since(about: Mapping[str, Any]) -> str | None:
    """Say that a model's files are not those any more with which its study was begun; None if they are."""
    before, name = files_of(about), str(about["job"]["model"]["name"])
    folder = Path(name).expanduser()
    if before is None or not folder.is_dir():
        return None
    now = digests.of_folder(folder)
    return None if now == before else _sentence(name, before, now)


def _changed(runs: Runs, name: str, before: Files, now: Files) -> str:
    return f"{runs.path.parent}: {_sentence(name, before, now)}"


def _sentence(name: str, before: Files, now: Files) -> str:
    """What differs between the files of then and of now."""
    other = [
        f"{file} is {'new' if file not in before else 'gone' if file not in now else 'another'}"
        for file in sorted({*before, *now})
        if before.get(file) != now.get(file)
    ]
    more = f", and {len(other) - _MOST} more" if len(other) > _MOST else ""
    return (
        f"the files of the model '{name}' have changed since this study began: {', '.join(other[:_MOST])}"
        f"{more} (by their SHA-256). Its runs would be of two models. Put the old files back to go on, or "
        "begin anew under another name or --output."
    )


def _two_commits(runs: Runs, name: str, first: str, other: str) -> str:
    return (
        f"{runs.path.parent}: the runs of the model '{name}' were trained on two commits of it, {first[:12]} "
        f"and {other[:12]}: its branch has moved on. Give the model's revision, so that the runs are done "
        "again with one, or begin anew under another name or --output."
    )
