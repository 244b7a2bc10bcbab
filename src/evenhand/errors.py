"""Every error that evenhand raises on purpose.

    EvenhandError
    ├── InputError          what the user gave is wrong (exit code 2): one or several complaints
    │   ├── CallError       an option or argument
    │   ├── TableError      a file or table of predictions
    │   ├── SpecError       a study file, or a study given from Python
    │   ├── UnknownNameError  a metric, disparity or column that does not exist
    │   └── NotHereError    data that are on a hub, and not on this machine
    └── MissingExtraError   a feature needs an optional dependency (exit code 2)

Anything else that escapes is a bug of ours and shows a traceback (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class Complaint(str):
    """A complaint that knows which option of a study it is about, so that it can be given its line.

    Attributes:
        option: the keys down to the option; then, of one that names several things, the name.
    """

    __slots__ = ("option",)
    option: tuple[str, ...]

    def __new__(cls, text: str, *option: str) -> Complaint:
        """Make one."""
        made = super().__new__(cls, text)
        made.option = option
        return made


class EvenhandError(Exception):
    """Root of all errors that evenhand raises on purpose."""


class InputError(EvenhandError):
    """What the user gave cannot be used. Carries every complaint that was found, not only the first."""

    def __init__(self, complaints: str | Iterable[str]) -> None:
        self.complaints: tuple[str, ...] = (complaints,) if isinstance(complaints, str) else tuple(complaints)
        super().__init__("\n".join(self.complaints))


class CallError(InputError):
    """An option or an argument is wrong."""


class TableError(InputError):
    """A file or a table in memory is wrong."""


class SpecError(InputError):
    """A study is described wrongly."""


class UnknownNameError(InputError):
    """A name that stands for nothing here."""


class NotHereError(InputError):
    """Data are on a hub and not on this machine, where nothing may be downloaded."""


class MissingExtraError(EvenhandError):
    """A feature needs a package that is not installed."""


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known names are meant or allowed: `did you mean 'race'? Known: age, race, sex.`.

    Args:
        name: what was given.
        known: what is allowed, in the order to show.

    Returns:
        One sentence, with the nearest name first where one is near.
    """
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    shown = ", ".join(known[:20]) + (f", and {len(known) - 20} more" if len(known) > 20 else "")
    guess = f"did you mean '{lowered[close[0]]}'? " if close else ""
    return f"{guess}Known: {shown or 'nothing'}."
