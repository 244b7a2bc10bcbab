"""Texts that are given as paths: whether the system can look them up at all, and what they mean here."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_LONGEST = 4096
STANDARD_INPUT = "-"


def path_fault(path: str) -> str | None:
    """Say why the system cannot look up a path; None where it can, whether something is there or not.

    Args:
        path: what was given.

    Returns:
        What goes on where the path ends: `this name is too long (...).`
    """
    if not path.strip():
        return "is empty."
    if "\0" in path:
        return "is no path: it holds a byte of 0."
    try:
        os.stat(path)
    except UnicodeEncodeError:
        return "is no path: it holds letters that no file's name can have."
    except OSError as error:
        return _lookup_fault(path, error)
    except ValueError:
        return "is no path."
    return None


def _lookup_fault(path: str, error: OSError) -> str | None:
    """Say why a path cannot be looked up; None when nothing is there."""
    if error.errno == errno.ENAMETOOLONG:
        longest = max((len(os.fsencode(part)) for part in Path(path).parts), default=0)
        of_it = (
            f"a part of it has {longest:,} bytes, and most systems take 255" if longest > 255 else "in all"
        )
        return f"this name is too long ({of_it}); give a shorter one."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "cannot be looked up (Permission denied)."
    if error.errno == errno.ELOOP:
        return "its links lead round in a circle."
    return None


def local(path: str) -> str:
    """A path as the system knows it: `~` is the home folder, and `file://` a way to write a path."""
    if path.startswith("~") and not os.path.lexists(path):
        return os.path.expanduser(path)
    if path.lower().startswith("file:/"):
        parts = urlsplit(path)
        if parts.netloc in {"", "localhost"}:
            return unquote(parts.path)
    return path


def scheme_of(path: str) -> str | None:
    """The scheme of an address (`s3`, `https`) that stands where a path should; None where it is a path."""
    scheme = _URL.match(path)
    there = len(path) < _LONGEST and "\0" not in path and os.path.lexists(path)
    return None if scheme is None or there else scheme[1]


def unsupported_location(path: str) -> str | None:
    """Say that a path to read means something that is no file of this machine; None where it is a path."""
    if path == STANDARD_INPUT:
        return "standard input is not read; write it to a file first, and give the file."
    scheme = scheme_of(path)
    if scheme is None:
        return None
    if scheme.lower() == "file":
        return (
            f"this is an address ({scheme}) of another machine; is file:///folder/name meant? Give the path."
        )
    return f"only files of this machine are read, and this is an address ({scheme}); download it first."


def unexpanded(path: str) -> str:
    """Say what in a missing path may be meant as a variable, or as a folder of Windows; else nothing."""
    if re.search(r"\$\w|\$\{|%\w+%", path):
        return " Variables are not expanded in it; give the folder itself."
    if os.sep == "/" and re.match(r"[A-Za-z]:\\|\\\\", path):
        return " It is a path of Windows; give the path that the file has on this machine."
    return ""
