"""The files of a study's base models, and checks that they stay the same from the first run to the last."""

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
#: Number of changed files that a complaint names.
_MAX_FILES_SHOWN = 4

Files = Mapping[str, str]


@dataclass(frozen=True)
class Bases:
    """The models of a study, by `Model.key`.

    Attributes:
        files: for models in folders, the SHA-256 of their files.
        revisions: for models on the hub, the commit used by the study's first run.
    """

    files: Mapping[str, Files] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)

    def pin(self, revisions: Mapping[str, str]) -> Bases:
        """Add the commits that were just fetched: branches on the hub move, and known commits stay."""
        return replace(self, revisions={**revisions, **self.revisions})

    def pinned(self, planned: Planned) -> Planned:
        """Pin a run to the commit of its model, if that is known; its id does not change."""
        commit = self.revisions.get(planned.job.model.key)
        if commit is None:
            return planned
        model = replace(planned.job.model, options={**planned.job.model.options, "revision": commit})
        return replace(planned, job=replace(planned.job, model=model))

    def record(self, model: Model) -> dict[str, Any]:
        """Return the entry about the model's files in a run's record."""
        files = self.files.get(model.key)
        return {} if files is None else {"base": {"files": dict(files)}}


def read_bases(planned: Sequence[Planned], runs: Runs) -> Bases:
    """Read the current files of the models, and the commits used by finished runs.

    Raises:
        InputError: a model's files or commit differ from those that finished runs were trained on.
    """
    files: dict[str, Files] = {}
    for model in {p.job.model.key: p.job.model for p in planned}.values():
        if (folder := folder_of(model)) is not None:
            files[model.key] = digests.digest_folder(folder)
    revisions: dict[str, str] = {}
    complaints: dict[str, None] = {}
    for run in planned:
        record = runs.record(run.run_id)
        if record is None or record.get("status") != "finished":
            continue
        key, facts = run.job.model.key, record.get("facts")
        commit = facts.get("revision") if isinstance(facts, Mapping) else None
        if isinstance(commit, str):
            first = revisions.setdefault(key, commit)
            if first != commit:
                complaints[_two_commits(runs, run.job.model.name, first, commit)] = None
        before = files_of(record)
        if before is not None and key in files and before != files[key]:
            complaints[_changed(runs, run.job.model.name, before, files[key])] = None
    if complaints:
        raise InputError(complaints)
    return Bases(files, revisions)


def folder_of(model: Model) -> Path | None:
    """Return the folder of a model; None for models on the hub and models built by evenhand."""
    if model.name in registry.names(FAMILIES):
        return None
    folder = Path(model.name).expanduser()
    return folder if folder.is_dir() else None


def files_of(record: Mapping[str, Any]) -> Files | None:
    """Return the digests of the model's files in a record; None in older records."""
    base = record.get("base")
    files = base.get("files") if isinstance(base, Mapping) else None
    return files if isinstance(files, Mapping) else None


def changed_since(about: Mapping[str, Any]) -> str | None:
    """Return a complaint if a model's files have changed since its study began, otherwise None."""
    before, name = files_of(about), str(about["job"]["model"]["name"])
    folder = Path(name).expanduser()
    if before is None or not folder.is_dir():
        return None
    now = digests.digest_folder(folder)
    return None if now == before else _sentence(name, before, now)


def _changed(runs: Runs, name: str, before: Files, now: Files) -> str:
    return f"{runs.path.parent}: {_sentence(name, before, now)}"


def _sentence(name: str, before: Files, now: Files) -> str:
    """Describe the differences between the old and the current files."""
    other = [
        f"{file} is {'new' if file not in before else 'missing' if file not in now else 'different'}"
        for file in sorted({*before, *now})
        if before.get(file) != now.get(file)
    ]
    more = f", and {len(other) - _MAX_FILES_SHOWN} more" if len(other) > _MAX_FILES_SHOWN else ""
    changed = ", ".join(other[:_MAX_FILES_SHOWN]) + more
    return (
        f"the files of the model '{name}' have changed since this study began: {changed} (by their SHA-256). "
        "Its runs would be of two different models. Restore the old files to continue, or start again under "
        "another name or --output."
    )


def _two_commits(runs: Runs, name: str, first: str, other: str) -> str:
    return (
        f"{runs.path.parent}: the runs of the model '{name}' were trained on two commits of it, {first[:12]} "
        f"and {other[:12]}, because its branch has moved. Set the model's revision, which repeats the runs "
        "with one commit, or start again under another name or --output."
    )
