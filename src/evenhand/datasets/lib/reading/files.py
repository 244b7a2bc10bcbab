"""Files of a dataset: located by a file name, a glob, a folder, or a hub id.

Without a network, a hub dataset is read from the hub's cache, or from a local folder with the same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatch
from pathlib import Path

from evenhand.datasets.lib.reading.hub import hub_page, hub_reason
from evenhand.errors import Complaint, InputError, MissingExtraError, NotHereError
from evenhand.tables.io.paths import local, path_fault, scheme_of, unsupported_location
from evenhand.tables.io.sources import ENDINGS, resolve_sources
from evenhand.tables.schema import Columns

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_HUB = frozenset({"hf", "https", "http"})
_FAMILIES = (
    (".parquet", ".pq"),
    (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"),
    (".csv", ".csv.gz", ".tsv", ".tsv.gz"),
    (".json", ".json.gz"),
)
#: Branch with the parquet files that the hub converts from an author's files of other formats.
_CONVERTED = "refs/convert/parquet"
_LOCAL_FILES_ONLY: ContextVar[bool] = ContextVar("_ONLY_HERE", default=False)


@contextmanager
def local_files_only() -> Iterator[None]:
    """Use files of this machine only: within this context the hub is not contacted."""
    before = _LOCAL_FILES_ONLY.set(True)
    try:
        yield
    finally:
        _LOCAL_FILES_ONLY.reset(before)


def locate(path: str | Sequence[str], *, files: str | None = None, revision: str | None = None) -> list[Path]:
    """Find the files of a dataset.

    Args:
        path: a file, a glob, a folder or a hub id (`owner/name`), or several of them.
        files: glob; only files of a folder or a hub dataset whose relative name matches it are used.
        revision: branch, tag or commit of a hub dataset.

    Raises:
        InputError: files were not found; the message says which files to place where.
        NotHereError: files are on the hub only, which may not be contacted (`local_files_only`).
    """
    located: list[Path] = []
    complaints: list[str] = []
    on_hub: list[str] = []
    for entry in (path,) if isinstance(path, str) else path:
        try:
            located += _locate_path(entry, files, revision)
        except NotHereError as error:
            on_hub += error.complaints
        except InputError as error:
            complaints += [Complaint(what, "dataset", "path", entry) for what in error.complaints]
    if on_hub and not complaints:
        raise NotHereError(on_hub)
    if complaints or not located:
        missing = "dataset.path: is empty; give a file, a glob, a folder or a hub id."
        raise InputError(complaints or [Complaint(missing, "dataset", "path")])
    return located


def _locate_path(path: str, files: str | None, revision: str | None) -> list[Path]:
    """Locate the files of one path."""
    local = local_path("dataset.path", path)
    if local.is_dir():
        return _tables_in_folder(local, files)
    if is_hub_id(path) and not local.exists():
        return [Path(p) for p in download_tables(path, files=files, revision=revision)]
    sources, complaints = (
        resolve_sources(str(local), Columns()) if path else ([], ["dataset.path: is empty."])
    )
    if complaints:
        raise InputError(complaints)
    return [source.path for source in sources if source.path is not None]


def local_path(option: str, path: str) -> Path:
    """Convert a path of a study to a local path, which need not exist.

    Args:
        option: dotted key of the path in the study.
        path: the value.

    Raises:
        InputError: it is not a valid path, or it refers to another machine.
    """
    why = unsupported_location(local(path)) or path_fault(local(path))
    if why:
        hub = " For a hub dataset, give the id alone, as owner/name." if scheme_of(path) in _HUB else ""
        raise InputError([Complaint(f"{option} '{path}': {why}{hub}", *option.split("."), path)])
    return Path(local(path))


def is_hub_id(path: str) -> bool:
    """Return True for a path that can be the id of a hub dataset."""
    return bool(_HUB_ID.fullmatch(path)) and not path.lower().endswith(ENDINGS)


def _tables_in_folder(folder: Path, files: str | None) -> list[Path]:
    """List a folder's tables: parquet files if it has any, else jsonl, else csv, else json."""
    try:
        below = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error}).") from None
    # Files that programs write beside their data are hidden, or in folders that begin with _ (Spark, Delta).
    every = sorted(str(p) for p in below if not any(part.startswith(".") for part in p.parts)
                   and not any(part.startswith("_") for part in p.parts[:-1]))  # fmt: skip
    chosen = _select_tables(every, files)
    if not chosen:
        which = f"no file that matches '{files}'" if files else "no table"
        shown = ", ".join(every[:5]) or "nothing"
        raise InputError(f"{folder}: holds {which} ({', '.join(ENDINGS)}); it holds {shown}.")
    return [folder / name for name in chosen]


def _select_tables(names: Sequence[str], files: str | None) -> list[str]:
    """Select the names of tables of the first family of formats that occurs."""
    matching = [n for n in sorted(names) if files is None or fnmatch(n, files)]
    families = [[n for n in matching if n.lower().endswith(endings)] for endings in _FAMILIES]
    return next((family for family in families if family), [])


def download_tables(name: str, *, files: str | None, revision: str | None) -> list[str]:
    """Download a hub dataset's tables, or take them from the cache.

    Raises:
        InputError: the dataset was not found, the network is unavailable, or the dataset has no table.
        NotHereError: it is not in the cache, and the hub may not be contacted.
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub as hub  # noqa: PLC0415  (0.3 s, and seldom needed)
    except ImportError:
        raise MissingExtraError("Hub datasets need the package huggingface_hub; install it.") from None
    if _LOCAL_FILES_ONLY.get():
        if cached := _cached_tables(hub, name, files, revision):
            return cached
        raise NotHereError(
            f"dataset.path '{name}': file or folder not found, and no hub dataset of this name was "
            "downloaded to this machine"
        )
    try:
        for at in (revision,) if revision else (None, _CONVERTED):
            info = hub.HfApi().dataset_info(name, revision=at, timeout=20)
            chosen = _select_tables([sibling.rfilename for sibling in info.siblings or ()], files)
            if chosen:
                return [hub.hf_hub_download(name, f, repo_type="dataset", revision=at) for f in chosen]
    except Exception as error:
        # Depending on the version, the hub uses requests, httpx or xet; their errors share no base class.
        cached = _cached_tables(hub, name, files, revision)
        if cached:
            return cached
        raise InputError(_hub_complaint(name, files, revision, error)) from None
    which = f"that matches '{files}' " if files else ""
    raise InputError(
        f"dataset.path '{name}': the hub dataset holds no parquet, jsonl or csv file {which}to read."
    )


def _cached_tables(hub: object, name: str, files: str | None, revision: str | None) -> list[str]:
    """List the tables of a hub dataset that were downloaded earlier."""
    for at in (revision,) if revision else (None, _CONVERTED):
        try:
            folder = Path(
                hub.snapshot_download(name, repo_type="dataset", revision=at, local_files_only=True)  # type: ignore[attr-defined]
            )
        except (OSError, ValueError):  # not in the cache; no name of a dataset
            continue
        chosen = _select_tables([str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()], files)
        if chosen:
            return [str(folder / f) for f in chosen]
    return []


def _hub_complaint(name: str, files: str | None, revision: str | None, error: Exception) -> str:
    """Explain why a hub dataset is unavailable, and which files to place where."""
    unanswered = f"the hub cannot be reached ({type(error).__name__}), and the cache has no files of it"
    why = hub_reason(error, name, revision, dataset=True) or unanswered
    return (
        f"dataset.path '{name}': file or folder not found, and as a hub dataset: {why}. Without a "
        f"network, place its files ({files or '*.parquet'}, from {hub_page(name, dataset=True)}"
        f"/tree/main) in a folder '{name}' where you call evenhand, or in any folder that you give as path."
    )
