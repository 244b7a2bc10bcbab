"""Predictions of ready models on a table: one file per model, and a record of what was loaded."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand import registry
from evenhand.datasets import Examples
from evenhand.errors import InputError
from evenhand.store.digests import sha256_of
from evenhand.store.folder import write_json
from evenhand.study.data import DATASETS, ids_digest
from evenhand.tables.predictions.write import write_predictions

if TYPE_CHECKING:
    from evenhand.finetune.predict import PredictSettings, ReadySource
    from evenhand.spec.base import Frozen

SCHEMA = "evenhand.predict/1"
RECORD = "predict.json"
#: Weights of more bytes are recognised by name, size and time instead of their content.
_MAX_HASHED_BYTES = 2**30


@dataclass(frozen=True)
class ReadyRun:
    """A ready model as a run of an arm.

    Attributes:
        arm: name of the arm.
        run: name of the run within the arm.
        source: the model.
    """

    arm: str
    run: str
    source: ReadySource

    @property
    def file(self) -> str:
        """Name of the run's table: the arm and the run, with the characters of a portable file name."""
        plain = re.sub(r"[^\w.=,+-]+", "_", f"{self.arm}-{self.run}")
        exact = f"{self.arm}-{self.run}"
        digest = "" if plain == exact else "-" + hashlib.sha256(exact.encode()).hexdigest()[:8]
        return f"{plain}{digest}.parquet"


@dataclass(frozen=True)
class PredictProgress:
    """Run number `number` of `total`, and the step that begins."""

    number: int
    total: int
    run: ReadyRun
    step: str


def predict(
    config: Frozen,
    runs: Sequence[ReadyRun],
    settings: PredictSettings,
    folder: Path,
    watch: Callable[[PredictProgress], None] = lambda _: None,
) -> dict[str, Any]:
    """Predict the rows of a table with every model; models whose table exists already are left out.

    Args:
        config: of the dataset `table`.
        runs: the models.
        settings: the same for all models.
        folder: receives a table per model, and the record `predict.json`.
        watch: called before each step.

    Returns:
        The record: the rows, and per table the model, what was loaded, and remarks.

    Raises:
        InputError: the rows or a model cannot be used. Tables that were complete before stay.
    """
    examples: Examples = registry.load(DATASETS, "table").load(config)
    with _folder_of_results(folder):
        return _predict_all(examples, settings, runs, folder, watch)


def _predict_all(
    examples: Examples,
    settings: PredictSettings,
    runs: Sequence[ReadyRun],
    folder: Path,
    watch: Callable[[PredictProgress], None],
) -> dict[str, Any]:
    """Predict with every model, and write its table and the record."""
    from evenhand.finetune.predict import predict_ready  # noqa: PLC0415  (torch)

    rows = {"ids": ids_digest(examples.ids), "inputs": _digest_inputs(examples), "n": len(examples.ids)}
    known = _known(folder)
    tables: dict[str, Any] = {}
    for number, run in enumerate(runs, 1):
        key = _key(run, rows, examples, settings)
        done = known.get(run.file)
        path = folder / run.file
        if done is not None and done["key"] == key and path.is_file() and sha256_of(path) == done["sha256"]:
            tables[run.file] = {**done, "kept": True}
            commit = f", at commit {done['commit'][:12]} of the hub" if done.get("commit") else ""
            watch(PredictProgress(number, len(runs), run, f"done before{commit}"))
            continue
        watch(PredictProgress(number, len(runs), run, "loading"))

        def begin(number: int = number, run: ReadyRun = run) -> None:
            watch(PredictProgress(number, len(runs), run, "predicting"))

        scores, facts = predict_ready(run.source, examples, settings, loaded=begin)
        write_predictions(
            path, examples.ids, _splits(examples), examples.labels, scores, examples.classes,
            examples.attributes, names={"arm": run.arm, "run": run.run, "model": run.source.name},
        )  # fmt: skip
        tables[run.file] = {
            "arm": run.arm, "run": run.run, "key": key, "sha256": sha256_of(path), **facts,
        }  # fmt: skip
        record = _record(examples, rows, settings, {**known, **tables})
        write_json(folder / RECORD, record)
    return _record(examples, rows, settings, tables)


@contextmanager
def _folder_of_results(folder: Path) -> Iterator[None]:
    """Make the folder; remove it again if an error leaves it empty."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def _record(
    examples: Examples, rows: dict[str, Any], settings: PredictSettings, tables: dict[str, Any]
) -> dict[str, Any]:
    """Build the record of a folder."""
    stored = {name: {k: v for k, v in facts.items() if k != "kept"} for name, facts in tables.items()}
    return {
        "schema": SCHEMA,
        "rows": rows,
        "classes": list(examples.classes),
        "settings": asdict(settings),
        "problems": list(examples.problems),
        "trained_on": "It is not known whether the models were trained on these rows.",
        "tables": stored,
        "kept": [name for name, facts in tables.items() if facts.get("kept")],
    }


def _known(folder: Path) -> dict[str, Any]:
    """Read the tables that a folder records already; empty for a new folder.

    Raises:
        InputError: the folder holds something else.
    """
    path = folder / RECORD
    if not path.is_file():
        if others := sorted(p.name for p in folder.iterdir()):
            raise InputError(
                f"--to {folder}: has other files ({', '.join(others[:3])}) and no {RECORD}; give a new or "
                "empty folder, or one that an earlier call has begun."
            )
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        tables: dict[str, Any] = record["tables"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it to begin anew.") from None
    return tables


def _key(run: ReadyRun, rows: dict[str, Any], examples: Examples, settings: PredictSettings) -> str:
    """Compute the identity of a table: its model's files, the rows and the settings."""
    groups = [[a.name, list(a.groups)] for a in examples.attributes]
    parts: list[object] = [
        asdict(run.source),
        run.arm,
        run.run,
        rows,
        list(examples.classes),
        groups,
        asdict(settings),
    ]
    parts += [_files_of(Path(name)) for name in (run.source.name, run.source.base) if name is not None]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _files_of(folder: Path) -> list[list[object]]:
    """Return names and contents of the files in a local folder; empty for a model of the hub."""
    folder = folder.expanduser()
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [[path.name, _content(path)] for path in files]


def _content(path: Path) -> object:
    """Return the digest of a file, or its size and time if it is large."""
    facts = path.stat()
    return sha256_of(path) if facts.st_size <= _MAX_HASHED_BYTES else [facts.st_size, facts.st_mtime_ns]


def _digest_inputs(examples: Examples) -> str:
    """Compute the SHA-256 of texts or pictures, labels and groups, in the order of the rows."""
    digest = hashlib.sha256()
    for value in examples.inputs:
        content = value.encode() if isinstance(value, str) else bytes(value)
        digest.update(hashlib.sha256(content).digest())
    digest.update(examples.labels.tobytes())
    for attribute in examples.attributes:
        values = attribute.codes if attribute.codes is not None else attribute.flags
        digest.update(b"" if values is None else values.tobytes())
    return digest.hexdigest()


def _splits(examples: Examples) -> list[str]:
    """Return the part of each row: that of the table, or `test`."""
    splits = ["test"] * len(examples.ids)
    for part, rows in examples.parts.named() if examples.parts is not None else ():
        for row in rows.tolist():
            splits[row] = part
    return splits
