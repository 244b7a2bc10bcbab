"""The folder of a study: its spec, its rows, its runs, its result.

<output>/<study>/
study.json       the study, every default written out
data.json        which rows were for what, with digests
prepared.json    what was told of the models before training
runs/<run id>/   run.json, train.jsonl, predictions.parquet, adapter/ or model/; signals.parquet and
                 train_ids.json where a run is attacked, or an attack learns from it
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

#: What may differ between a study and the one that its folder holds: runs have ids of their own.
_FREE = ("name", "description", "models", "arms", "seeds", "audit", "privacy")
#: What older folders mean by not saying it.
_ABSENT = {
    "resplit": False,
    "dataset.smoke": False,
    "training.parallel": "data",
    "dataset.config.without_group": "refuse",
    "dataset.config.questions.without_group": "refuse",
}
#: Of what must be the same otherwise: what moves no number.
_NEUTRAL = ("dataset.leaks", "training.gradient_checkpointing")


@dataclass(frozen=True)
class StudyFolder:
    """Where the files of a study are. Making one reads and writes nothing.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def study(self) -> Path:
        """The resolved study."""
        return self.path / "study.json"

    @property
    def data(self) -> Path:
        """Which rows were for what."""
        return self.path / "data.json"

    @property
    def prepared(self) -> Path:
        """What was told of the models before training."""
        return self.path / "prepared.json"

    @property
    def result(self) -> Path:
        """The result, schema evenhand.study/1."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def runs(self) -> Runs:
        """The runs of the study that the folder holds."""
        return self.runs_of(self.read_data())

    def runs_of(self, data: Mapping[str, Any]) -> Runs:
        """The runs of a study with these rows, also before anything is written."""
        return Runs(self.path / "runs", data["sha256"])

    def read_data(self) -> dict[str, Any]:
        """The stored facts of the rows.

        Raises:
            CallError: they are not there, or cannot be read.
        """
        return _read(self.data)

    def read_study(self) -> dict[str, Any]:
        """The stored study as plain data.

        Raises:
            CallError: it is not there, or cannot be read.
        """
        return _read(self.study)

    def remarks(self) -> list[str]:
        """What was told of the models before training; where that is damaged, a remark that says so."""
        if not self.prepared.exists():
            return []
        return [self.prepared_fault] if self.prepared_fault else list(_read(self.prepared)["remarks"])

    @property
    def prepared_fault(self) -> str | None:
        """What is wrong with the file of remarks on the models, which the next `evenhand run` makes anew."""
        if not self.prepared.exists():
            return None
        try:
            told = _read(self.prepared).get("remarks")
        except CallError as error:
            [said] = error.complaints
        else:
            if isinstance(told, list) and all(isinstance(line, str) for line in told):
                return None
            said = f"{self.prepared}: holds no remarks."
        return f"{said} The remarks on the models are left out until `evenhand run` makes them anew."

    def complaints(self, study: Mapping[str, Any], data: Mapping[str, Any] | None) -> list[str]:
        """Say why a study cannot be written here.

        Args:
            study: the resolved study as plain data.
            data: facts of its rows; None when they could not be loaded.
        """
        if (unwritable := _unwritable(self.path)) is not None:
            return [unwritable]
        if not self.study.exists():
            strange = self._strange()
            return [
                f"{self.path}: this folder holds other files ({', '.join(strange[:3])}) and no study; give "
                "another --output, or rename the study."
            ] * bool(strange)
        try:
            found = _differences(self.read_study(), study)
            if found:
                return [
                    f"{self.path} holds another study of this name: {'; '.join(found)}. Rename the study, or "
                    "give another --output; arms, seeds, models and the audit may change in place."
                ]
            return self._other_rows(data) if data is not None and self.data.exists() else []
        except CallError as error:
            return list(error.complaints)

    def free(self) -> int:
        """Free bytes where the folder is, or will be."""
        place = self.path.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        return shutil.disk_usage(place).free

    def refuse_full(self, wanted: int) -> None:
        """Compare what runs will leave of their models with the room there is.

        Args:
            wanted: bytes, about.

        Raises:
            CallError: it does not fit.
        """
        if wanted > (free := self.free()):
            raise CallError(
                f"{self.path}: the runs to be done leave about {wanted / 1e9:,.2f} GB of models, and "
                f"{free / 1e9:,.2f} GB are free there. Make room, give another --output, or take arms or "
                "seeds out."
            )

    def create(self, study: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Write what is known before training; what is the same already stays as it is."""
        (self.path / "runs").mkdir(parents=True, exist_ok=True)
        write_json(self.data, data)
        write_json(self.study, study)

    def _strange(self) -> list[str]:
        """Files that are not ours; a kill may leave ours without `study.json`, and hidden halves."""
        ours = {p.name for p in (self.data, self.prepared, self.result, self.report)} | {"runs"}
        found = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(p.name for p in found if p.name not in ours and not p.name.startswith("."))

    def _other_rows(self, data: Mapping[str, Any]) -> list[str]:
        stored = self.read_data()
        if stored["sha256"] == data["sha256"]:
            return []
        key = "train_ids_sha256"  # absent where every seed draws its own split
        ids = "the same ids" if stored.get(key) == data.get(key) else "other ids"
        return [
            f"{self.path}: the data have changed since this study began: the rows have the digest "
            f"{data['sha256'][:16]}, its runs were trained on {stored['sha256'][:16]} (training rows with "
            f"{ids}). Put the old data back to go on, or begin anew under another name or --output."
        ]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people and programs, whole or not at all."""
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CallError(f"{path.parent}: this is no folder of a study: there is no {path.name}.") from None
    except (OSError, ValueError) as error:
        raise CallError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(found, dict):
        raise CallError(f"{path}: holds no mapping.")
    return found


def _differences(stored: Mapping[str, Any], study: Mapping[str, Any]) -> list[str]:
    """What differs of all that must be the same, as `dataset.config.rows: 100 (was 200)`."""
    now = dict(_flat(study))
    before = {**{key: value for key, value in _ABSENT.items() if key in now}, **dict(_flat(stored))}
    fixed = [
        key
        for key in dict.fromkeys((*now, *before))
        if key.partition(".")[0] not in _FREE and key not in _NEUTRAL
    ]
    told = [f"{k}: {now.get(k)} (was {before.get(k)})" for k in fixed if now.get(k) != before.get(k)]
    return [*told[:5], f"and {len(told) - 5} more"] if len(told) > 5 else told


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401  (any JSON value)
    """(dotted key, value) of everything in nested mappings; an empty mapping is a value."""
    if not isinstance(value, Mapping) or not value:
        return [(prefix, value)]
    return [pair for k, v in value.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))]


def _unwritable(path: Path) -> str | None:
    """Why a folder cannot be made or written to; nothing is written to find out."""
    place = path
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{path}: cannot be made, because {place} is no folder; give another --output."
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{path}: cannot be written, because {place} is not writable; give another --output."
    return None
