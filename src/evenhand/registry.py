"""A folder is a registry: the file's name is the name in calls, specs and results.

Another package adds a file of the same form under an entry point (`evenhand.metrics`,
`evenhand.disparities`, ...); entry points are searched only when evenhand has no file of that name.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from evenhand.errors import UnknownNameError, nearest


@cache
def names(package: str) -> tuple[str, ...]:
    """List the plug-in files in a package such as `evenhand.judge.metrics`, sorted by name."""
    folder = importlib.import_module(package)
    files = (m for m in pkgutil.iter_modules(folder.__path__) if not m.ispkg)
    return tuple(sorted(m.name for m in files if not m.name.startswith("_")))


@cache
def all_names(package: str) -> tuple[str, ...]:
    """List the plug-in files in a package, and the entry points of other packages for it."""
    files = names(package)
    foreign = _entry_points(f"evenhand.{package.rpartition('.')[2]}")
    return (*files, *sorted(name for name in foreign if name not in files))


def load(package: str, name: str) -> ModuleType:
    """Import the plug-in called `name`.

    Args:
        package: the folder, for example `evenhand.judge.metrics`.
        name: the file's name without `.py`, or the name of an entry point in the group
            `evenhand.<folder>`.

    Raises:
        UnknownNameError: neither a file nor an entry point has this name.
    """
    if name in names(package):
        return importlib.import_module(f"{package}.{name}")
    foreign = _entry_points(f"evenhand.{package.rpartition('.')[2]}")
    if name in foreign:
        module: ModuleType = importlib.import_module(foreign[name])
        return module
    kind = package.rpartition(".")[2]
    known = [*names(package), *foreign]
    raise UnknownNameError(f"{name!r} is none of the {kind}: {nearest(name, known)}")


@cache
def _entry_points(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (30 ms, and seldom needed)

    return {e.name: e.value for e in entry_points(group=group)}
