"""The folder of a study: its spec, its rows, its runs, its result.

<output>/<study>/
study.json       the study, every default written out
data.json        the rows of each part, with digests
prepared.json    remarks on the models from before training
runs/<run id>/   run.json, train.jsonl, predictions.parquet, adapter/ or model/; signals.parquet and
                 train_ids.json for runs that are attacked, or that an attack learns from
result.json      evenhand.study/1
report.html
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.errors import CallError
from evenhand.store.runs import Runs
from evenhand.tables.io.write import write_atomic

#: Sections that may differ between a study and the one stored in its folder: they only change which runs
#: exist, and every run has its own id.
_CHANGEABLE = ("name", "description", "models", "arms", "seeds", "audit", "privacy")
#: Values that the absence of an option means in older folders.
_OLD_DEFAULTS = {
    "resplit": False,
    "dataset.smoke": False,
    "training.parallel": "data",
    "dataset.config.without_group": "refuse",
    "dataset.config.questions.without_group": "refuse",
}
#: Options outside these sections that may change too, because they do not affect any number.
_WITHOUT_EFFECT = ("dataset.leaks", "training.gradient_checkpointing")


@dataclass(frozen=True)
class StudyFolder:
    """Paths of a study's files. Creating an instance reads and writes nothing.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def study(self) -> Path:
        """The resolved study, study.json."""
        return self.path / "study.json"

    @property
    def data(self) -> Path:
        """Facts of the rows: digests, and ids by part."""
        return self.path / "data.json"

    @property
    def prepared(self) -> Path:
        """Remarks on the models from before training."""
        return self.path / "prepared.json"

    @property
    def result(self) -> Path:
        """The result, schema evenhand.study/1."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def runs(self) -> Runs:
        """Return the runs of the study stored in the folder."""
        return self.runs_of(self.read_data())

    def runs_of(self, data: Mapping[str, Any]) -> Runs:
        """Return the runs of a study with these rows; nothing needs to have been written yet."""
        return Runs(self.path / "runs", data["sha256"])

    def read_data(self) -> dict[str, Any]:
        """Read the stored facts of the rows.

        Raises:
            CallError: the file is missing or cannot be read.
        """
        return _read(self.data)

    def read_study(self) -> dict[str, Any]:
        """Read the stored study as plain data.

        Raises:
            CallError: the file is missing or cannot be read.
        """
        return _read(self.study)

    def remarks(self) -> list[str]:
        """Return the remarks on the models, or a remark on the damage if their file is damaged."""
        if not self.prepared.exists():
            return []
        return [self.prepared_fault] if self.prepared_fault else list(_read(self.prepared)["remarks"])

    @property
    def prepared_fault(self) -> str | None:
        """The defect of the file of remarks on the models; the next `evenhand run` rewrites this file."""
        if not self.prepared.exists():
            return None
        try:
            remarks = _read(self.prepared).get("remarks")
        except CallError as error:
            [fault] = error.complaints
        else:
            if isinstance(remarks, list) and all(isinstance(line, str) for line in remarks):
                return None
            fault = f"{self.prepared}: does not contain a list of remarks."
        return f"{fault} Remarks on the models are left out until `evenhand run` rewrites them."

    def complaints(self, study: Mapping[str, Any], data: Mapping[str, Any] | None) -> list[str]:
        """List the reasons why a study cannot be written here.

        Args:
            study: the resolved study as plain data.
            data: facts of its rows; None if they could not be loaded.
        """
        if (unwritable := _unwritable(self.path)) is not None:
            return [unwritable]
        if not self.study.exists():
            strange = self._strange()
            return [
                f"{self.path}: this folder holds other files ({', '.join(strange[:3])}) but no study; give "
                "another --output, or rename the study."
            ] * bool(strange)
        try:
            differences = _differences(self.read_study(), study)
            if differences:
                return [
                    f"{self.path} contains a different study with this name: {'; '.join(differences)}. "
                    "Rename the study, or give another --output; only arms, seeds, models and the audit may "
                    "change in place."
                ]
            return self._other_rows(data) if data is not None and self.data.exists() else []
        except CallError as error:
            return list(error.complaints)

    def free(self) -> int:
        """Return the free bytes on the disk where the folder is or will be."""
        existing = self.path.absolute()
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        return shutil.disk_usage(existing).free

    def refuse_full(self, needed: int) -> None:
        """Compare the size of the models that will be saved with the free disk space.

        Args:
            needed: estimated size in bytes.

        Raises:
            CallError: the models do not fit.
        """
        if needed > (free := self.free()):
            raise CallError(
                f"{self.path}: the remaining runs will save about {needed / 1e9:,.2f} GB of models, but only "
                f"{free / 1e9:,.2f} GB are free there. Free some space, give another --output, or remove "
                "arms or seeds."
            )

    def create(self, study: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Write the study and the facts of its rows before training."""
        (self.path / "runs").mkdir(parents=True, exist_ok=True)
        write_json(self.data, data)
        write_json(self.study, study)

    def _strange(self) -> list[str]:
        """List files that evenhand did not write; a killed process may leave files without `study.json`."""
        ours = {p.name for p in (self.data, self.prepared, self.result, self.report)} | {"runs"}
        entries = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(p.name for p in entries if p.name not in ours and not p.name.startswith("."))

    def _other_rows(self, data: Mapping[str, Any]) -> list[str]:
        stored = self.read_data()
        if stored["sha256"] == data["sha256"]:
            return []
        key = "train_ids_sha256"  # absent where every seed draws its own split
        ids = "the same ids" if stored.get(key) == data.get(key) else "other ids"
        return [
            f"{self.path}: the data have changed since this study began: the rows now have the digest "
            f"{data['sha256'][:16]}, but its runs were trained on {stored['sha256'][:16]} (training rows "
            f"with {ids}). Restore the old data to continue, or start again under another name or --output."
        ]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON atomically."""
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CallError(f"{path.parent}: not the folder of a study: {path.name} is missing.") from None
    except (OSError, ValueError) as error:
        raise CallError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(content, dict):
        raise CallError(f"{path}: does not contain a mapping.")
    return content


def _differences(stored: Mapping[str, Any], study: Mapping[str, Any]) -> list[str]:
    """List the fixed options that differ, at most 5, as `dataset.config.rows: 100 (was 200)`."""
    now = dict(_flat(study))
    before = {**{key: value for key, value in _OLD_DEFAULTS.items() if key in now}, **dict(_flat(stored))}
    fixed = [
        key
        for key in dict.fromkeys((*now, *before))
        if key.partition(".")[0] not in _CHANGEABLE and key not in _WITHOUT_EFFECT
    ]
    differences = [f"{k}: {now.get(k)} (was {before.get(k)})" for k in fixed if now.get(k) != before.get(k)]
    return [*differences[:5], f"and {len(differences) - 5} more"] if len(differences) > 5 else differences


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401  (any JSON value)
    """Flatten nested mappings to (dotted key, value); an empty mapping counts as a value."""
    if not isinstance(value, Mapping) or not value:
        return [(prefix, value)]
    return [pair for k, v in value.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))]


def _unwritable(path: Path) -> str | None:
    """Return the reason why a folder cannot be created or written to, without writing anything."""
    existing = path
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return f"{path}: cannot be created, because {existing} is not a folder; give another --output."
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{path}: cannot be written, because {existing} is not writable; give another --output."
    return None
