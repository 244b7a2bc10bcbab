"""Where a dataset's files are: a file, a glob, a folder, or a hub id.

Without a network a hub dataset is read from the hub's cache, or from a local folder with the same files.
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
#: Where the hub keeps a dataset's parquet files when its author gave others.
_CONVERTED = "refs/convert/parquet"
_ONLY_HERE: ContextVar[bool] = ContextVar("_ONLY_HERE", default=False)


@contextmanager
def only_here() -> Iterator[None]:
    """Take files of this machine only: within, the hub is not asked, and nothing is downloaded."""
    before = _ONLY_HERE.set(True)
    try:
        yield
    finally:
        _ONLY_HERE.reset(before)


def locate(path: str | Sequence[str], *, files: str | None = None, revision: str | None = None) -> list[Path]:
    """Find the files of a dataset.

    Args:
        path: a file, a glob, a folder or a hub id (`owner/name`), or several of them.
        files: of a folder or a hub dataset only the files whose relative name matches this glob.
        revision: branch, tag or commit of a hub dataset.

    Raises:
        InputError: nothing is there; says which files to place where.
        NotHereError: nothing is wrong, but some are on a hub, which may not be asked (`only_here`).
    """
    found: list[Path] = []
    complaints: list[str] = []
    elsewhere: list[str] = []
    for one in (path,) if isinstance(path, str) else path:
        try:
            found += _located(one, files, revision)
        except NotHereError as error:
            elsewhere += error.complaints
        except InputError as error:
            complaints += [Complaint(what, "dataset", "path", one) for what in error.complaints]
    if elsewhere and not complaints:
        raise NotHereError(elsewhere)
    if complaints or not found:
        empty = "dataset.path: is empty; give a file, a glob, a folder or a hub id."
        raise InputError(complaints or [Complaint(empty, "dataset", "path")])
    return found


def _located(path: str, files: str | None, revision: str | None) -> list[Path]:
    """The files that one path stands for."""
    place = place_of("dataset.path", path)
    if place.is_dir():
        return _in_folder(place, files)
    if is_hub_id(path) and not place.exists():
        return [Path(p) for p in from_hub(path, files=files, revision=revision)]
    given, complaints = resolve_sources(str(place), Columns()) if path else ([], ["dataset.path: is empty."])
    if complaints:
        raise InputError(complaints)
    return [one.path for one in given if one.path is not None]


def place_of(option: str, path: str) -> Path:
    """Where a path leads on this machine, whether something is there or not.

    Args:
        option: what the study calls the path.
        path: what it gives.

    Raises:
        InputError: it can be no path, or means something that is not on this machine.
    """
    why = unsupported_location(local(path)) or path_fault(local(path))
    if why:
        hub = " Of a hub dataset give the id alone, as owner/name." if scheme_of(path) in _HUB else ""
        raise InputError([Complaint(f"{option} '{path}': {why}{hub}", *option.split("."), path)])
    return Path(local(path))


def is_hub_id(path: str) -> bool:
    """Whether a path can be the name of a hub dataset."""
    return bool(_HUB_ID.fullmatch(path)) and not path.lower().endswith(ENDINGS)


def _in_folder(folder: Path, files: str | None) -> list[Path]:
    """A folder's tables: parquet files if there are any, else jsonl, else csv, else json."""
    try:
        below = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error}).") from None
    # What programs put beside their data is hidden, or in folders that begin with _ (Spark, Delta).
    every = sorted(str(p) for p in below if not any(part.startswith(".") for part in p.parts)
                   and not any(part.startswith("_") for part in p.parts[:-1]))  # fmt: skip
    chosen = _tables(every, files)
    if not chosen:
        which = f"no file that matches '{files}'" if files else "no table"
        shown = ", ".join(every[:5]) or "nothing"
        raise InputError(f"{folder}: holds {which} ({', '.join(ENDINGS)}); it holds {shown}.")
    return [folder / name for name in chosen]


def _tables(names: Sequence[str], files: str | None) -> list[str]:
    """Names of the tables of one family."""
    wanted = [n for n in sorted(names) if files is None or fnmatch(n, files)]
    families = [[n for n in wanted if n.lower().endswith(endings)] for endings in _FAMILIES]
    return next((family for family in families if family), [])


def from_hub(name: str, *, files: str | None, revision: str | None) -> list[str]:
    """Download a hub dataset's tables, or take them from the cache.

    Raises:
        InputError: there is no such dataset, no network, or no table in it.
        NotHereError: it is not in the cache, and the hub may not be asked.
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub as hub  # noqa: PLC0415  (0.3 s, and seldom needed)
    except ImportError:
        raise MissingExtraError("Hub datasets need the package huggingface_hub; install it.") from None
    if _ONLY_HERE.get():
        if cached := _cached(hub, name, files, revision):
            return cached
        raise NotHereError(
            f"dataset.path '{name}': there is no such file or folder, and of a hub dataset of this name "
            "nothing was downloaded"
        )
    try:
        for at in (revision,) if revision else (None, _CONVERTED):
            told = hub.HfApi().dataset_info(name, revision=at, timeout=20)
            chosen = _tables([sibling.rfilename for sibling in told.siblings or ()], files)
            if chosen:
                return [hub.hf_hub_download(name, f, repo_type="dataset", revision=at) for f in chosen]
    except Exception as error:
        # The hub's transports (requests, httpx, xet, by its version) have errors without a base in common.
        cached = _cached(hub, name, files, revision)
        if cached:
            return cached
        raise InputError(_unreachable(name, files, error)) from None
    which = f"that matches '{files}' " if files else ""
    raise InputError(
        f"dataset.path '{name}': the hub dataset holds no parquet, jsonl or csv file {which}to read."
    )


def _cached(hub: object, name: str, files: str | None, revision: str | None) -> list[str]:
    """The tables of a hub dataset that were downloaded before."""
    for at in (revision,) if revision else (None, _CONVERTED):
        try:
            folder = Path(
                hub.snapshot_download(name, repo_type="dataset", revision=at, local_files_only=True)  # type: ignore[attr-defined]
            )
        except (OSError, ValueError):  # not in the cache; no name of a dataset
            continue
        chosen = _tables([str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()], files)
        if chosen:
            return [str(folder / f) for f in chosen]
    return []


def _unreachable(name: str, files: str | None, error: Exception) -> str:
    """Say why a hub dataset cannot be had, and what to place where."""
    unanswered = f"the hub cannot be reached ({type(error).__name__}) and nothing of it is in the cache"
    why = hub_reason(error, name, dataset=True) or unanswered
    return (
        f"dataset.path '{name}': there is no such file or folder, and as a hub dataset: {why}. Without a "
        f"network, place its files ({files or '*.parquet'}, from {hub_page(name, dataset=True)}"
        f"/tree/main) in a folder '{name}' where you call evenhand, or in any folder that you give as path."
    )
