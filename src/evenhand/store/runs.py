"""Runs: reading their status from their folders, and writing a run atomically.

A run is written into a temporary folder beside the others. When it ends, `run.json` is written last, and the
folder is renamed to the run's id. A folder with that name is therefore a finished or a failed run; any other
content is corrupt, and is moved aside, never deleted.
"""

from __future__ import annotations

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
from evenhand.store.digests import sha256_of
from evenhand.tables.io.write import write_atomic

SCHEMA = "evenhand.run/1"
RECORD = "run.json"
PREDICTIONS = "predictions.parquet"
SIGNALS = "signals.parquet"
GENERATIONS, LIKELIHOODS = "generations.parquet", "likelihoods.parquet"
TRAIN_IDS = "train_ids.json"
#: Keys of a run's record that hold the SHA-256 of its files.
_DIGESTS = {
    PREDICTIONS: "predictions_sha256", GENERATIONS: "generations_sha256", LIKELIHOODS: "likelihoods_sha256",
    SIGNALS: "signals_sha256", TRAIN_IDS: "train_ids_file_sha256",
}  # fmt: skip
LOG = "train.jsonl"
#: Key of a run's record that holds the sizes and digests of the saved model's files.
SAVED = "saved"
_MAX_TRIES, _PAUSE_SECONDS = 20, 0.01

Status = Literal["planned", "running", "finished", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = ("finished", "failed", "running", "interrupted", "planned")


@dataclass(frozen=True)
class State:
    """The status of a run, as its files record it.

    Attributes:
        status: planned if it has no files; interrupted if its process died before the run ended, or if its
            folder is corrupt.
        record: content of `run.json`, for finished and failed runs.
        fault: the defect of its folder, if that is corrupt.
        lost: missing files of its saved model; the run is finished, and all its other files exist.
    """

    status: Status
    record: Mapping[str, Any] | None = None
    fault: str | None = None
    lost: str | None = None

    @property
    def attempts(self) -> int:
        """Number of times the run was started until it ended; 0 if it has not ended."""
        return int(self.record["attempts"]) if self.record else 0


@dataclass(frozen=True)
class Runs:
    """The runs of a study.

    Attributes:
        path: the folder that contains their folders.
        data: SHA-256 of the rows that every run must have been trained on.
    """

    path: Path
    data: str

    def folder(self, run_id: str) -> Path:
        """Return the folder of a run that has ended."""
        return self.path / run_id

    def look(self, run_id: str) -> State:
        """Read the status of a run."""
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
        return State(record["status"], record, lost=saved.find_missing(folder, record.get(SAVED)))

    def record(self, run_id: str) -> Mapping[str, Any] | None:
        """Return the content of a run's `run.json`, unchecked; None if it cannot be read."""
        try:
            record = json.loads((self.folder(run_id) / RECORD).read_bytes())
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def begin(self, run_id: str, *, failures: int = 0) -> Attempt | State:
        """Start a run, unless it has ended or is running.

        Args:
            run_id: the run.
            failures: attempts of its known failure, which is moved aside; a later failure is kept.

        Returns:
            An attempt, or the run's status if it must not be started.
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
        """Record that the process of a run died, and return the resulting status.

        Args:
            run_id: the run.
            about: facts of the run for its record.
            reason: how the process died.
        """
        for _ in range(_MAX_TRIES):
            held = claim(self._claim(run_id), begins=False)
            if held is not None:
                break
            time.sleep(_PAUSE_SECONDS)  # another process is reading the claim, or has restarted the run
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
        """Read the status of a run whose claim this process holds."""
        folder = self.folder(run_id)
        if not os.path.lexists(folder):
            return State("planned")
        record, fault = self._read(folder)
        if record is None or fault:
            return State("interrupted", None, fault)
        return State(record["status"], record)

    def _clear(self, run_id: str, state: State) -> tuple[str, ...]:
        """Move an ended attempt aside, and remove unfinished folders, which no other process can hold."""
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
        return (f"Run {run_id}: {state.fault} The run is repeated; its old folder is now {aside}.",) * bool(
            state.fault
        )

    def _read(self, folder: Path) -> tuple[dict[str, Any] | None, str | None]:
        """Read the record of an ended run, or the defect of its folder."""
        try:
            record = json.loads((folder / RECORD).read_bytes())
            status = record["status"]
            digests = {file: record[key] for file, key in _DIGESTS.items() if key in record}
            rows, _ = record["data"]["sha256"], int(record["attempts"])
        except FileNotFoundError:
            return None, f"{RECORD} is missing in {folder}."
        except (OSError, ValueError, KeyError, TypeError) as error:
            return None, f"{folder / RECORD} cannot be read ({type(error).__name__}: {error})."
        if status not in ("finished", "failed"):
            return None, f"{folder / RECORD} has the status {status!r}."
        if rows != self.data:
            return None, f"it was trained on other rows (digest {rows}, now {self.data})."
        if status == "finished" and not digests:
            return None, f"{folder / RECORD} lists no table written by the run."
        for file, digest in digests.items():
            if (actual := _sha256(folder / file)) != digest:
                return (
                    None,
                    f"{folder / file} differs from what the run wrote (sha256 {actual}, not {digest}).",
                )
        if fault := _incomplete(record) or _foreign(record, folder.name):
            return None, f"{folder / RECORD}: {fault}"
        return record, saved.find_damage(folder, record.get(SAVED)) if status == "finished" else None


@dataclass(frozen=True)
class Attempt:
    """A run in progress, in this process.

    Attributes:
        runs: the study's runs.
        run_id: the run.
        folder: the temporary folder to write to.
        held: the claim.
        number: number of times the run was started, including this one.
        remarks: remarks on corrupt folders that were moved aside.
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
        """Record the run as finished, and rename its folder to the run's id.

        Args:
            about: the planned job, for the record.
            facts: facts reported by training.
            tables: files that training must have written; their digests are recorded.

        Raises:
            FileNotFoundError: training did not write one of the tables.
        """
        digests = {file: _sha256(self.folder / file) for file in tables}
        for file, digest in digests.items():
            if digest is None:
                raise FileNotFoundError(f"training did not write {file}")
        more = {_DIGESTS[file]: d for file, d in digests.items()}
        self._end("finished", about, {**more, SAVED: saved.list_files(self.folder), "facts": facts})

    def abandon(self) -> None:
        """Delete the attempt and its claim, as if it had not started."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.held.release()

    def fail(self, about: Mapping[str, Any], error: str) -> None:
        """Record the run as failed, with the traceback or the reason; files written so far are kept."""
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
    """Return the reason why a record belongs to another run, or contradicts its own job."""
    if record.get("run_id") != run_id:
        return f"it is the record of the run {record.get('run_id')}."
    planned = record.get("job", {}).get("training", {}).get("precision")
    done = record.get("facts", {}).get("precision", planned)  # older records lack it
    if done != planned:
        return f"the run was trained in {done}, but its job requires {planned}; a study has one precision."
    return None


def _incomplete(record: Mapping[str, Any]) -> str | None:
    """Return what a record lacks that every record with its status has."""
    if record["status"] == "finished" and not isinstance(record.get("facts"), Mapping):
        return "the facts of the run are missing."
    if record["status"] == "failed" and not isinstance(record.get("error"), str):
        return "the reason of the failure is missing."
    return None


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
