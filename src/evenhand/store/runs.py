"""Runs: what their folders say of them, and how one is written so that it is there whole or not at all.

A run is written into a folder of its own beside the others. When it has ended, `run.json` is written there
last, and the folder takes its place under the run's id. What is in that place was therefore finished or
failed; anything else there is corrupt, and is moved aside, never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from evenhand.store import saved
from evenhand.store.claims import Claim, claim, is_held
from evenhand.tables.io.write import write_atomic

SCHEMA = "evenhand.run/1"
RECORD = "run.json"
PREDICTIONS = "predictions.parquet"
SIGNALS = "signals.parquet"
GENERATIONS, LIKELIHOODS = "generations.parquet", "likelihoods.parquet"
TRAIN_IDS = "train_ids.json"
#: Keys of a record that hold the digests of files.
_DIGESTS = {
    PREDICTIONS: "predictions_sha256", GENERATIONS: "generations_sha256", LIKELIHOODS: "likelihoods_sha256",
    SIGNALS: "signals_sha256", TRAIN_IDS: "train_ids_file_sha256",
}  # fmt: skip
LOG = "train.jsonl"
#: Key of a record that holds sizes and digests of what was saved of the model.
SAVED = "saved"
_TRIES, _PAUSE = 20, 0.01

Status = Literal["planned", "running", "finished", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = ("finished", "failed", "running", "interrupted", "planned")


@dataclass(frozen=True)
class State:
    """What is known of a run by looking.

    Attributes:
        status: planned when nothing of it is there; interrupted when it was begun and its process has
            died, or when what it left is corrupt.
        record: its `run.json`, of finished and failed runs.
        fault: what is wrong with its folder, when that is corrupt.
        lost: what is gone of its model; the run is finished, and nothing else of it is missing.
    """

    status: Status
    record: Mapping[str, Any] | None = None
    fault: str | None = None
    lost: str | None = None

    @property
    def attempts(self) -> int:
        """How often the run was begun until it ended; 0 when it has not ended."""
        return int(self.record["attempts"]) if self.record else 0


@dataclass(frozen=True)
class Runs:
    """The runs of a study.

    Attributes:
        path: the folder of their folders.
        data: digest of the rows that a run must have been trained on.
    """

    path: Path
    data: str

    def folder(self, run_id: str) -> Path:
        """Where a run is when it has ended."""
        return self.path / run_id

    def look(self, run_id: str) -> State:
        """Say how a run stands."""
        held = is_held(self._claim(run_id))
        if held:
            return State("running")
        folder = self.folder(run_id)
        if not os.path.lexists(folder):
            return State("planned" if held is None else "interrupted")
        record, fault = self._read(folder)
        if fault:
            return State("interrupted", None, fault)
        assert record is not None
        return State(record["status"], record, lost=saved.gone(folder, record.get(SAVED)))

    def record(self, run_id: str) -> Mapping[str, Any] | None:
        """What a run's `run.json` says, unchecked; None where it says nothing."""
        try:
            found = json.loads((self.folder(run_id) / RECORD).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def begin(self, run_id: str, *, failures: int = 0) -> Attempt | State:
        """Begin a run, unless it has ended or is under way.

        Args:
            run_id: which.
            failures: attempts of its known failure, which is moved aside; a later failure stands.

        Returns:
            An attempt, or how the run stands when it is not to be done.
        """
        held = claim(self._claim(run_id))
        if held is None:
            return State("running")
        try:
            state = self._look_inside(run_id)
            if state.status == "finished" or (state.status == "failed" and state.attempts > failures):
                held.release()
                return state
            number = max(held.attempts, state.attempts + 1)
            held.count(number)
            remarks = self._clear(run_id, state)
            folder = Path(tempfile.mkdtemp(prefix=f".{run_id}.", dir=self.path))
            folder.chmod(0o777 & ~_umask())
        except BaseException:
            os.close(held.handle)
            raise
        return Attempt(self, run_id, folder, held, number, remarks)

    def record_crash(self, run_id: str, about: Mapping[str, Any], reason: str) -> State:
        """Record that the process of a run died, and say how the run stands then.

        Args:
            run_id: which.
            about: facts of the run for its record.
            reason: how it died.
        """
        for _ in range(_TRIES):
            held = claim(self._claim(run_id), begins=False)
            if held is not None:
                break
            time.sleep(_PAUSE)  # someone looks at it; or another process has begun it again
        else:
            return State("running")
        if os.path.lexists(self.folder(run_id)):
            held.release()
            return self.look(run_id)
        left = sorted(p for p in self.path.glob(f".{run_id}.*") if p.is_dir())
        folder = left[-1] if left else Path(tempfile.mkdtemp(prefix=f".{run_id}.", dir=self.path))
        Attempt(self, run_id, folder, held, max(held.attempts, 1), ()).fail(about, reason)
        return self.look(run_id)

    def _claim(self, run_id: str) -> Path:
        return self.path / f".{run_id}.claim"

    def _look_inside(self, run_id: str) -> State:
        """How a run stands whose claim this process holds."""
        folder = self.folder(run_id)
        if not os.path.lexists(folder):
            return State("planned")
        record, fault = self._read(folder)
        if record is None or fault:
            return State("interrupted", None, fault)
        return State(record["status"], record)

    def _clear(self, run_id: str, state: State) -> tuple[str, ...]:
        """Make room: an ended attempt is moved aside, halves that no process writes are removed."""
        for half in self.path.glob(f".{run_id}.*"):
            if half.is_dir():
                shutil.rmtree(half)
        folder = self.folder(run_id)
        if not os.path.lexists(folder):
            return ()
        number = 1
        kind = "corrupt" if state.fault else "failed"
        while os.path.lexists(aside := self.path / f"{run_id}.{kind}-{number}"):
            number += 1
        folder.rename(aside)
        return (f"Run {run_id}: {state.fault} It is done again; what was there is now in {aside}.",) * bool(
            state.fault
        )

    def _read(self, folder: Path) -> tuple[dict[str, Any] | None, str | None]:
        """The record of an ended run, or what is wrong with its folder."""
        try:
            record = json.loads((folder / RECORD).read_bytes())
            status = record["status"]
            digests = {file: record[key] for file, key in _DIGESTS.items() if key in record}
            rows, _ = record["data"]["sha256"], int(record["attempts"])
        except FileNotFoundError:
            return None, f"there is no {RECORD} in {folder}."
        except (OSError, ValueError, KeyError, TypeError) as error:
            return None, f"{folder / RECORD} cannot be read ({type(error).__name__}: {error})."
        if status not in ("finished", "failed"):
            return None, f"{folder / RECORD} has the status {status!r}."
        if rows != self.data:
            return None, f"it was trained on other rows (digest {rows}, now {self.data})."
        if status == "finished" and not digests:
            return None, f"{folder / RECORD} tells of no table that the run wrote."
        for file, digest in digests.items():
            if (found := _sha256(folder / file)) != digest:
                return None, f"{folder / file} is not what the run wrote (sha256 {found}, not {digest})."
        if fault := _incomplete(record) or _foreign(record, folder.name):
            return None, f"{folder / RECORD}: {fault}"
        return record, saved.damaged(folder, record.get(SAVED)) if status == "finished" else None


@dataclass(frozen=True)
class Attempt:
    """A run under way, in this process.

    Attributes:
        runs: the study's runs.
        run_id: which.
        folder: where to write.
        held: the claim.
        number: how often the run was begun, this time included.
        remarks: what was moved aside to make room.
    """

    runs: Runs
    run_id: str
    folder: Path
    held: Claim
    number: int
    remarks: tuple[str, ...]

    def finish(
        self, about: Mapping[str, Any], facts: Mapping[str, Any], *, tables: Sequence[str] = (PREDICTIONS,)
    ) -> None:
        """Put the run in its place.

        Args:
            about: what was to be done, for the record.
            facts: what training told of it.
            tables: files that it must have written; their digests are kept.

        Raises:
            FileNotFoundError: one is not there.
        """
        digests = {file: _sha256(self.folder / file) for file in tables}
        for file, digest in digests.items():
            if digest is None:
                raise FileNotFoundError(f"training wrote no {file}")
        more = {_DIGESTS[file]: d for file, d in digests.items()}
        self._end("finished", about, {**more, SAVED: saved.files(self.folder), "facts": facts})

    def abandon(self) -> None:
        """Leave nothing of the attempt, as if it had not begun."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.held.release()

    def fail(self, about: Mapping[str, Any], error: str) -> None:
        """Put what there is of the run in its place, with the traceback or the reason of its failure."""
        self._end("failed", about, {"error": error})

    def _end(self, status: Status, about: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        record = {
            "schema": SCHEMA,
            "status": status,
            "run_id": self.run_id,
            **about,
            "attempts": self.number,
            "started": self.held.started,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        write_atomic(self.folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False))
        self.folder.rename(self.runs.folder(self.run_id))
        self.held.release()


def _foreign(record: Mapping[str, Any], run_id: str) -> str | None:
    """Why a record is not that of the run whose folder it is in, or not of what was done there."""
    if record.get("run_id") != run_id:
        return f"it is the record of the run {record.get('run_id')}."
    asked = record.get("job", {}).get("training", {}).get("precision")
    done = record.get("facts", {}).get("precision", asked)  # older records do not say it
    if done != asked:
        return f"the run was made in {done}, but its job asks for {asked}; a study has one precision."
    return None


def _incomplete(record: Mapping[str, Any]) -> str | None:
    """What a record lacks that every record of its status has."""
    if record["status"] == "finished" and not isinstance(record.get("facts"), Mapping):
        return "it has no facts of the run."
    if record["status"] == "failed" and not isinstance(record.get("error"), str):
        return "it does not say why the run failed."
    return None


def _sha256(path: Path) -> str | None:
    """Digest of a file; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
