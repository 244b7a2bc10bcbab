"""Where a command writes: paths are checked before the work, and nothing is written before all is done."""

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

from evenhand.cli import hush
from evenhand.tables.io.paths import local, path_fault, scheme_of

if TYPE_CHECKING:
    from evenhand.report.document import Document

STANDARD_OUTPUT = "-"
#: Endings that promise another content than the text that is written.
_OTHER_CONTENT = (".gz", ".bz2", ".xz", ".zst", ".zip", ".parquet", ".pq", ".xlsx", ".xls")
_SEPARATORS = tuple({os.sep, os.altsep or os.sep})


@dataclass(frozen=True)
class Outputs:
    """The files that were asked for; `-` is standard output, for JSON only."""

    json: str | None = None
    html: str | None = None
    csv: str | None = None

    @property
    def to_standard_output(self) -> bool:
        """Whether standard output is taken by JSON."""
        return self.json == STANDARD_OUTPUT

    @property
    def paths(self) -> dict[str, str]:
        """Paths by kind, without standard output."""
        given = {"html": self.html, "json": self.json, "csv": self.csv}
        return {
            kind: local(path) for kind, path in given.items() if path is not None and path != STANDARD_OUTPUT
        }

    def complaints(self, inputs: Sequence[str]) -> list[str]:
        """Say all that is wrong with the paths, given the files (or globs) that are read."""
        found = [f"--{k} -: only --json can go to standard output; give a file." for k in self._dashed()]
        read = {_identity(str(file)) for file in _files_read(inputs)}
        taken: dict[object, str] = {}
        for kind, path in self.paths.items():
            if kind in self._dashed():
                continue
            wrong = list(_wrong(f"--{kind}", path))
            found += wrong
            if wrong:
                continue
            real = _identity(path)
            if real in read:
                found.append(f"--{kind} {path}: this is one of the inputs; give another file.")
            elif pattern := next((one for one in inputs if _matches(path, one)), None):
                found.append(
                    f"--{kind} {path}: the input '{pattern}' matches this name, so that the next call would "
                    "read it as an input; give another name or folder."
                )
            if real in taken:
                found.append(f"--{kind} {path}: --{taken[real]} goes to the same file; give another one.")
            taken[real] = kind
        return found

    def render(self, document: Document) -> dict[str, str]:
        """Make all outputs in memory, by kind."""
        from evenhand.report import export  # noqa: PLC0415

        made: dict[str, str] = {}
        if self.json is not None:
            made["json"] = export.as_json(document)
        if self.csv is not None:
            made["csv"] = export.as_csv(document)
        if self.html is not None:
            made["html"] = _page(document)
        return made

    def write(self, made: dict[str, str]) -> None:
        """Write what `render` made, each file whole or not at all."""
        from evenhand.tables.io.write import write_atomic  # noqa: PLC0415

        for kind, path in self.paths.items():
            write_atomic(path, made[kind])
        if self.to_standard_output:
            _print(made["json"])

    def _dashed(self) -> list[str]:
        return [k for k, path in (("html", self.html), ("csv", self.csv)) if path == STANDARD_OUTPUT]


def _page(document: Document) -> str:
    """The page of whatever was judged."""
    if str(document["schema"]).startswith("evenhand.attack/"):
        from evenhand.report.privacy.page import build_privacy_page  # noqa: PLC0415

        return build_privacy_page(document)
    if "kind" in document:
        from evenhand.report.language.page import build_generative_page  # noqa: PLC0415

        return build_generative_page(document)
    from evenhand.report.audit.page import build_page  # noqa: PLC0415

    return build_page(document)


def _printable(path: str) -> str:
    """A path without letters that a terminal does not show."""
    return path if path.isprintable() else repr(path)


def _wrong(option: str, path: str) -> Iterable[str]:
    target = Path(path)
    if not path.strip():
        yield f"{option}: an empty path; give a file."
    elif scheme := scheme_of(path):
        yield f"{option} {path}: this is an address ({scheme}), and only files of this machine are written."
    elif why := path_fault(path):
        yield f"{option} {_printable(path)}: {why}"
    elif target.is_dir() or path.endswith(_SEPARATORS):
        yield f"{option} {path}: this is a folder; give a file."
    elif not target.parent.is_dir():
        yield f"{option} {path}: there is no folder {str(target.parent)!r}; make it, or give another path."
    elif path.lower().endswith(_OTHER_CONTENT):
        plain = target.stem if "." in target.stem else f"{target.stem}.{option[2:]}"
        yield (
            f"{option} {path}: plain text is written, and a name in '{target.suffix}' promises something "
            f"else; give another name, for example '{plain}'."
        )
    elif target.exists() and not target.is_file():
        yield f"{option} {path}: this is no ordinary file; give another path."
    elif not os.access(target.parent, os.W_OK):
        yield f"{option} {path}: the folder {str(target.parent)!r} cannot be written to."


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern of inputs stands for a path, whether the file is there yet or not."""
    pattern = local(pattern)
    if "\0" in pattern or not glob.has_magic(pattern) or os.path.lexists(pattern):
        return False
    parts = Path(os.path.abspath(path)).parts
    wanted = Path(os.path.abspath(pattern)).parts
    if "**" in wanted:
        start = wanted.index("**")
        end = len(wanted) - start - 1
        if len(parts) < start + end:
            return False
        parts, wanted = parts[:start] + parts[len(parts) - end :], wanted[:start] + wanted[start + 1 :]
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _files_read(inputs: Sequence[str]) -> list[Path]:
    """The files that are read, and those that a folder of a study has besides."""
    from evenhand.tables.io.sources import files_of  # noqa: PLC0415

    folders = [Path(local(path)) for path in inputs if "\0" not in path and os.path.isdir(local(path))]
    read = files_of(inputs)
    for folder in folders:
        from evenhand.store.folder import StudyFolder  # noqa: PLC0415
        from evenhand.tables.signals.read import files_of as signals_of  # noqa: PLC0415

        with contextlib.suppress(OSError):  # reading it says what is wrong with it
            read += signals_of(folder)
        study = StudyFolder(folder)
        read += [study.study, study.data, study.prepared, study.result, study.report]
        read += folder.glob("runs/*/*")
    return read


def _identity(path: str) -> object:
    """What is the same for two paths of one file, by whatever links or letters they come to it."""
    try:
        facts = os.stat(path)
    except OSError:
        folder, name = os.path.split(os.path.realpath(path))
        same = name.casefold() if sys.platform in {"darwin", "win32"} else name
        return (_identity(folder), same) if folder != path else path
    return facts.st_dev, facts.st_ino


def _print(text: str) -> None:
    """Print as UTF-8 whatever the terminal's encoding: a program reads this."""
    try:
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode("utf-8"))
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        hush(sys.stdout)
