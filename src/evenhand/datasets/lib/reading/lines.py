"""Lines of text files."""

from __future__ import annotations

from pathlib import Path

from evenhand.errors import InputError
from evenhand.tables.io.database import NOT_UTF8


def text_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file.

    Only a line feed ends a line; other separators may be part of a sentence.

    Raises:
        InputError: the file cannot be read, or it is not UTF-8.
    """
    try:
        data = path.read_bytes()
        return [line.removesuffix("\r") for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        message = NOT_UTF8.format("LATIN1")
        raise InputError(f"{path}: {message} The first invalid character is in line {number}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
