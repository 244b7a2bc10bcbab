"""Check paths that users give, and translate `~` and `file://` into paths of this machine."""

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
    """Explain why the system cannot look up a path; None where it can, even if the file does not exist.

    Args:
        path: the path as the user gave it.

    Returns:
        The rest of a sentence that begins with the path: `this name is too long (...).`
    """
    if not path.strip():
        return "is empty."
    if "\0" in path:
        return "is not a path: it contains a null byte."
    try:
        os.stat(path)
    except UnicodeEncodeError:
        return "is not a path: it contains characters that no file name can have."
    except OSError as error:
        return _lookup_fault(path, error)
    except ValueError:
        return "is not a path."
    return None


def _lookup_fault(path: str, error: OSError) -> str | None:
    """Explain why a path cannot be looked up; None when the file merely does not exist."""
    if error.errno == errno.ENAMETOOLONG:
        longest = max((len(os.fsencode(part)) for part in Path(path).parts), default=0)
        of_it = (
            f"a part of it has {longest:,} bytes, and most systems take 255" if longest > 255 else "in all"
        )
        return f"this name is too long ({of_it}); give a shorter one."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "cannot be looked up (Permission denied)."
    if error.errno == errno.ELOOP:
        return "its symbolic links form a loop."
    return None


def local(path: str) -> str:
    """Expand `~` to the home folder and `file://` to a plain path."""
    if path.startswith("~") and not os.path.lexists(path):
        return os.path.expanduser(path)
    if path.lower().startswith("file:/"):
        parts = urlsplit(path)
        if parts.netloc in {"", "localhost"}:
            return unquote(parts.path)
    return path


def scheme_of(path: str) -> str | None:
    """Return the scheme of a URL (`s3`, `https`) in place of a path; None for a path."""
    scheme = _URL.match(path)
    exists = len(path) < _LONGEST and "\0" not in path and os.path.lexists(path)
    return None if scheme is None or exists else scheme[1]


def unsupported_location(path: str) -> str | None:
    """Explain why a path to read is not a file of this machine; None for an ordinary path."""
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
    """Point out an unexpanded variable or a Windows folder in a missing path; else return an empty text."""
    if re.search(r"\$\w|\$\{|%\w+%", path):
        return " Variables are not expanded in it; give the folder itself."
    if os.sep == "/" and re.match(r"[A-Za-z]:\\|\\\\", path):
        return " It is a path of Windows; give the path that the file has on this machine."
    return ""
