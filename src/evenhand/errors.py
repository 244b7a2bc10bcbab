"""Every error that evenhand raises on purpose.

    EvenhandError
    ├── InputError          invalid input from the user (exit code 2): one or several complaints
    │   ├── CallError       an option or argument
    │   ├── TableError      a file or table of predictions
    │   ├── SpecError       a study file, or a study passed from Python
    │   ├── UnknownNameError  a metric, disparity or column that does not exist
    │   └── NotHereError    data on a hub that are not on this machine
    └── MissingExtraError   a feature needs an optional dependency (exit code 2)

Any other exception that escapes is a bug in evenhand and shows a traceback (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class Complaint(str):
    """A complaint with the option of a study that it concerns, so that its line can be reported.

    Attributes:
        option: the keys down to the option; then the name, for an option that holds several names.
    """

    __slots__ = ("option",)
    option: tuple[str, ...]

    def __new__(cls, text: str, *option: str) -> Complaint:
        """Create a complaint about `option`."""
        complaint = super().__new__(cls, text)
        complaint.option = option
        return complaint


class EvenhandError(Exception):
    """Root of all errors that evenhand raises on purpose."""


class InputError(EvenhandError):
    """Input that cannot be used. Carries every complaint, not only the first one."""

    def __init__(self, complaints: str | Iterable[str]) -> None:
        self.complaints: tuple[str, ...] = (complaints,) if isinstance(complaints, str) else tuple(complaints)
        super().__init__("\n".join(self.complaints))


class CallError(InputError):
    """An option or an argument is wrong."""


class TableError(InputError):
    """A file or a table in memory is wrong."""


class SpecError(InputError):
    """A study file, or a study passed from Python, is wrong."""


class UnknownNameError(InputError):
    """An unknown name of a metric, a disparity, a plug-in or a column."""


class NotHereError(InputError):
    """Data are on a hub but not on this machine, and downloads are not allowed."""


class MissingExtraError(EvenhandError):
    """A feature needs a package that is not installed."""


def plural(count: int, noun: str) -> str:
    """Format a number of things: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def nearest(name: str, known: Sequence[str]) -> str:
    """Build the hint for an unknown name: `did you mean 'race'? Known: age, race, sex.`.

    Args:
        name: the unknown name.
        known: the allowed names, in the order to show them; at most 20 are shown.

    Returns:
        The nearest allowed name, if its difflib ratio is at least 0.6, followed by the allowed names.
    """
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    shown = ", ".join(known[:20]) + (f", and {len(known) - 20} more" if len(known) > 20 else "")
    guess = f"did you mean '{lowered[close[0]]}'? " if close else ""
    return f"{guess}Known: {shown or 'nothing'}."
