"""Where a command writes: paths are checked before the work, and nothing is written before all is done."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.cli import hush

if TYPE_CHECKING:
    from evenhand.report.document import Document

STANDARD_OUTPUT = "-"


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
        return {kind: path for kind, path in given.items() if path is not None and path != STANDARD_OUTPUT}

    def complaints(self, inputs: Sequence[str]) -> list[str]:
        """Say all that is wrong with the paths, given the files (or globs) that are read."""
        found = [f"--{k} -: only --json can go to standard output; give a file." for k in self._dashed()]
        read = {_real(f): f for pattern in inputs for f in (pattern, *glob.glob(pattern))}
        taken: dict[str, str] = {}
        for kind, path in self.paths.items():
            if kind in self._dashed():
                continue
            found += _wrong(f"--{kind}", path)
            real = _real(path)
            if real in read:
                found.append(f"--{kind} {path}: this is one of the inputs; give another file.")
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
        from evenhand.tables.write import write_atomic  # noqa: PLC0415

        for kind, path in self.paths.items():
            write_atomic(path, made[kind])
        if self.to_standard_output:
            _print(made["json"])

    def _dashed(self) -> list[str]:
        return [k for k, path in (("html", self.html), ("csv", self.csv)) if path == STANDARD_OUTPUT]


def _page(document: Document) -> str:
    """The page of whatever was judged."""
    if "kind" in document:
        from evenhand.report.generative import build_generative_page  # noqa: PLC0415

        return build_generative_page(document)
    from evenhand.report.page import build_page  # noqa: PLC0415

    return build_page(document)


def _wrong(option: str, path: str) -> Iterable[str]:
    target = Path(path)
    if not path.strip():
        yield f"{option}: an empty path; give a file."
    elif target.is_dir():
        yield f"{option} {path}: this is a folder; give a file."
    elif not target.parent.is_dir():
        yield f"{option} {path}: there is no folder {str(target.parent)!r}; make it, or give another path."
    elif target.exists() and not target.is_file():
        yield f"{option} {path}: this is no ordinary file; give another path."
    elif not os.access(target.parent, os.W_OK):
        yield f"{option} {path}: the folder {str(target.parent)!r} cannot be written to."


def _real(path: str) -> str:
    return os.path.realpath(path)


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
