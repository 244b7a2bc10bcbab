"""Every file that says the same thing gives the same numbers, in whatever dialect it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.calls import by_command, by_python, differences
from tests.fuzz.dialects import Dialect, dialects, reference, render
from tests.fuzz.examples import fuzzed
from tests.fuzz.harness import Outcome, replayable
from tests.fuzz.worlds import World, worlds


def judged(world: World, dialect: Dialect, folder: Path, *, command: bool) -> Outcome:
    """The outcome of a table in a dialect."""
    tables, options = render(world, dialect, folder)
    arms = [arm for arm, *_ in tables if arm]
    given = [table for *_, table in tables]
    if command and all(isinstance(table, Path) for table in given):
        paths = [Path(table) for table in given]
        with replayable(folder, [*map(str, paths), str(options), *arms], paths):
            return by_command(folder, paths, options, arms)
    given = [str(table) if isinstance(table, Path) else table for table in given]
    return by_python(given, options | {"name": arms})


def equal(dialect: Dialect, plain: Outcome, other: Outcome, renamed: Mapping[str, str]) -> None:
    """Both are refused, or both say the same."""
    if plain.refused:
        assert other.refused, f"the plain file is refused ({plain.err}), this one is not"
        return
    if other.refused:
        assert not dialect.strict, f"the plain file is read, this one is refused: {other.err}"
        return
    assert plain.document is not None
    assert other.document is not None
    said = differences(plain.document, other.document, within=dialect.tolerance, renamed=renamed)
    assert not said, "\n".join(said[:10])


def compared(world: World, dialect: Dialect, folder: Path, *, command: bool) -> None:
    """Judge the plain file and the dialect."""
    path = reference(world, folder)
    plain = by_command(folder, [path], world.options, [])
    assert not plain.refused, plain.err
    other = judged(world, dialect, folder, command=command)
    # A single arm is called by its file.
    equal(dialect, plain, other, {"table": "reference"} if len(world.arms) == 1 else {})


@fuzzed(0.5)
@given(world=worlds(), dialect=dialects(), command=st.booleans())
def test_a_dialect_changes_no_number(world, dialect, command):
    with tempfile.TemporaryDirectory() as name:
        compared(world, dialect, Path(name), command=command)
