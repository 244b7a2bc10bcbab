"""Output files of a command: paths are checked before the work, and files are written after all of it."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.cli import silence
from evenhand.tables.io.paths import local, path_fault, scheme_of

if TYPE_CHECKING:
    from rich.console import Console

    from evenhand.report.document import Document

STANDARD_OUTPUT = "-"
#: Extensions of binary formats; evenhand writes plain text.
_OTHER_CONTENT = (".gz", ".bz2", ".xz", ".zst", ".zip", ".parquet", ".pq", ".xlsx", ".xls")
_SEPARATORS = tuple({os.sep, os.altsep or os.sep})


@dataclass(frozen=True)
class Outputs:
    """Paths of the requested output files; `-` is standard output, for JSON only."""

    json: str | None = None
    html: str | None = None
    csv: str | None = None

    @property
    def to_standard_output(self) -> bool:
        """True if JSON is written to standard output."""
        return self.json == STANDARD_OUTPUT

    @property
    def paths(self) -> dict[str, str]:
        """Paths by kind, without standard output."""
        paths = {"html": self.html, "json": self.json, "csv": self.csv}
        return {
            kind: local(path) for kind, path in paths.items() if path is not None and path != STANDARD_OUTPUT
        }

    def complaints(self, inputs: Sequence[str]) -> list[str]:
        """List all problems with the paths, given the files (or globs) that are read."""
        complaints = [f"--{k} -: only --json can go to standard output; give a file." for k in self._dashed()]
        read = {_file_identity(str(file)) for file in _files_read(inputs)}
        taken: dict[object, str] = {}
        for kind, path in self.paths.items():
            if kind in self._dashed():
                continue
            wrong = list(_path_complaints(f"--{kind}", path))
            complaints += wrong
            if wrong:
                continue
            real = _file_identity(path)
            if real in read:
                complaints.append(f"--{kind} {path}: this is one of the inputs; give another file.")
            elif pattern := next((text for text in inputs if _matches(path, text)), None):
                complaints.append(
                    f"--{kind} {path}: the input '{pattern}' matches this name, so the next call would "
                    "read it as an input; give another name or folder."
                )
            if real in taken:
                complaints.append(f"--{kind} {path}: --{taken[real]} names the same file; give another one.")
            taken[real] = kind
        return complaints

    def render(self, document: Document) -> dict[str, str]:
        """Render all outputs in memory, by kind."""
        from evenhand.report import export  # noqa: PLC0415

        contents: dict[str, str] = {}
        if self.json is not None:
            contents["json"] = export.as_json(document)
        if self.csv is not None:
            contents["csv"] = export.as_csv(document)
        if self.html is not None:
            contents["html"] = _page(document)
        return contents

    def write(self, contents: dict[str, str]) -> None:
        """Write the rendered outputs, each file atomically."""
        from evenhand.tables.io.write import write_atomic  # noqa: PLC0415

        for kind, path in self.paths.items():
            write_atomic(path, contents[kind])
        if self.to_standard_output:
            _print(contents["json"])

    def summarise(self, document: Document, console: Console) -> None:
        """Print the summary of a result, with the paths of the files."""
        if _is(document, "attack"):
            from evenhand.report.privacy.terminal import summarise_attack as summarise  # noqa: PLC0415
        elif _is(document, "plan"):
            from evenhand.report.plan.terminal import summarise_plan as summarise  # noqa: PLC0415
        elif "kind" in document:
            from evenhand.report.language.page import summarise_generative as summarise  # noqa: PLC0415
        else:
            from evenhand.report.audit.terminal import summarise  # noqa: PLC0415
        summarise(document, console, self.paths)

    def _dashed(self) -> list[str]:
        return [k for k, path in (("html", self.html), ("csv", self.csv)) if path == STANDARD_OUTPUT]


def _page(document: Document) -> str:
    """Build the HTML page for the kind of a document."""
    if _is(document, "attack"):
        from evenhand.report.privacy.page import build_privacy_page as build  # noqa: PLC0415
    elif _is(document, "plan"):
        from evenhand.report.plan.page import build_plan_page as build  # noqa: PLC0415
    elif "kind" in document:
        from evenhand.report.language.page import build_generative_page as build  # noqa: PLC0415
    else:
        from evenhand.report.audit.page import build_page as build  # noqa: PLC0415
    return build(document)


def _is(document: Document, kind: str) -> bool:
    return str(document["schema"]).startswith(f"evenhand.{kind}/")


def _printable(path: str) -> str:
    """Return a path with unprintable characters escaped."""
    return path if path.isprintable() else repr(path)


def _path_complaints(option: str, path: str) -> Iterable[str]:
    target = Path(path)
    if not path.strip():
        yield f"{option}: the path is empty; give a file."
    elif scheme := scheme_of(path):
        yield f"{option} {path}: an address ({scheme}); give a local file."
    elif why := path_fault(path):
        yield f"{option} {_printable(path)}: {why}"
    elif target.is_dir() or path.endswith(_SEPARATORS):
        yield f"{option} {path}: this is a folder; give a file."
    elif not target.parent.is_dir():
        folder = str(target.parent)
        yield f"{option} {path}: the folder {folder!r} does not exist; create it, or give another path."
    elif path.lower().endswith(_OTHER_CONTENT):
        plain = target.stem if "." in target.stem else f"{target.stem}.{option[2:]}"
        yield (
            f"{option} {path}: evenhand writes plain text, which does not fit the extension "
            f"'{target.suffix}'; give another name, for example '{plain}'."
        )
    elif target.exists() and not target.is_file():
        yield f"{option} {path}: this is not a regular file; give another path."
    elif not os.access(target.parent, os.W_OK):
        yield f"{option} {path}: the folder {str(target.parent)!r} cannot be written to."


def _matches(path: str, pattern: str) -> bool:
    """Check whether a glob pattern of the inputs matches a path, even if the file does not exist yet."""
    pattern = local(pattern)
    if "\0" in pattern or not glob.has_magic(pattern) or os.path.lexists(pattern):
        return False
    parts = Path(os.path.abspath(path)).parts
    pattern_parts = Path(os.path.abspath(pattern)).parts
    if "**" in pattern_parts:
        start = pattern_parts.index("**")
        end = len(pattern_parts) - start - 1
        if len(parts) < start + end:
            return False
        parts, pattern_parts = (
            parts[:start] + parts[len(parts) - end :],
            pattern_parts[:start] + pattern_parts[start + 1 :],
        )
    return len(parts) == len(pattern_parts) and all(map(fnmatch.fnmatchcase, parts, pattern_parts))


def _files_read(inputs: Sequence[str]) -> list[Path]:
    """List the files that are read, and all other files of studies among the inputs."""
    from evenhand.tables.io.sources import files_of  # noqa: PLC0415

    folders = [Path(local(path)) for path in inputs if "\0" not in path and os.path.isdir(local(path))]
    read = files_of(inputs)
    for folder in folders:
        from evenhand.store.folder import StudyFolder  # noqa: PLC0415
        from evenhand.tables.signals.read import files_of as signals_of  # noqa: PLC0415

        with contextlib.suppress(OSError):  # the error is reported when the folder is read
            read += signals_of(folder)
        study = StudyFolder(folder)
        read += [study.study, study.data, study.prepared, study.result, study.report]
        read += folder.glob("runs/*/*")
    return read


def _file_identity(path: str) -> object:
    """Return a key that is equal for all paths of a file, also through links and case-insensitive names."""
    try:
        facts = os.stat(path)
    except OSError:
        folder, name = os.path.split(os.path.realpath(path))
        same = name.casefold() if sys.platform in {"darwin", "win32"} else name
        return (_file_identity(folder), same) if folder != path else path
    return facts.st_dev, facts.st_ino


def _print(text: str) -> None:
    """Print as UTF-8, whatever the encoding of the terminal, because programs read this output."""
    try:
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode("utf-8"))
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
