"""Lines of text files, as people and programs write them."""

from __future__ import annotations

from pathlib import Path

from evenhand.errors import InputError
from evenhand.tables.io.database import NOT_UTF8


def text_lines(path: Path) -> list[str]:
    """The lines of a file; only a line feed ends one, whatever other separators a sentence holds."""
    try:
        data = path.read_bytes()
        return [line.removesuffix("\r") for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        said = NOT_UTF8.format("LATIN1")
        raise InputError(f"{path}: {said} The first other letter is in line {number}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
