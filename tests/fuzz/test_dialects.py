"""Every file that says the same thing gives the same numbers, in whatever dialect it is written."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.calls import alike, by_command, by_compare, by_python, differences, rows_of
from tests.fuzz.dialects import Dialect, dialects, reference, render
from tests.fuzz.examples import fuzzed
from tests.fuzz.harness import Outcome, replayable
from tests.fuzz.worlds import World, worlds


def judged(world: World, dialect: Dialect, folder: Path, *, command: bool) -> Outcome:
    """The outcome of a table in a dialect."""
    tables, options = render(world, dialect, folder)
    arms = [arm for arm, *_ in tables if arm] or names_of(world)
    given = [table for *_, table in tables]
    if command and all(isinstance(table, Path) for table in given):
        paths = [Path(table) for table in given]
        with replayable(folder, [*map(str, paths), str(options), *arms], paths):
            return by_command(folder, paths, options, arms)
    given = [str(table) if isinstance(table, Path) else table for table in given]
    if arms == ["reference", "candidate"]:
        return by_compare(*given, options)
    return by_python(given, options | {"name": arms})


def names_of(world: World) -> list[str]:
    """The name of a single arm, which would be called by its file; the draws of its limits have its name."""
    return [] if "arm" in world.options else list(world.arms)


#: Counted within a seed where runs share one.
FLIPS = ("n_right_to_wrong", "n_wrong_to_right", "n_right_to_wrong_between_runs")


def equal(dialect: Dialect, plain: Outcome, other: Outcome) -> None:
    """Both are refused, or both say the same."""
    if plain.refused:
        assert other.refused, f"the plain file is refused ({plain.err}), this one is not"
        return
    if other.refused:
        assert not dialect.strict, f"the plain file is read, this one is refused: {other.err}"
        return
    assert plain.document is not None
    assert other.document is not None
    # A file is a run of its own name, so that nothing says which runs of two arms share a seed.
    ignored = FLIPS if dialect.apart else ()
    said = differences(plain.document, other.document, within=dialect.tolerance, ignored=ignored)
    assert not said, "\n".join(said[:10])


def compared(world: World, dialect: Dialect, folder: Path, *, command: bool) -> None:
    """Judge the plain file and the dialect."""
    path = reference(world, folder)
    plain = by_command(folder, [path], world.options, names_of(world))
    assert not plain.refused, plain.err
    other = judged(world, dialect, folder, command=command)
    equal(dialect, plain, other)


@fuzzed(0.5, world=worlds(), dialect=dialects(), command=st.booleans())
def test_a_dialect_changes_no_number(world, dialect, command):
    with tempfile.TemporaryDirectory() as name:
        compared(world, dialect, Path(name), command=command)


# ---- What must not matter, or only where it should.


@fuzzed(0.05, world=worlds(), seed=st.integers(0, 99))
def test_other_names_of_groups_permute_rows_only(world, seed):
    name = world.options["by"][0]
    groups = sorted(set(map(str, world.column(name))))
    new = [f"new {i}" for i in range(len(groups))]
    random.Random(seed).shuffle(new)
    names = dict(zip(groups, new, strict=True))
    other = world.having(name, [names[str(v)] for v in world.column(name)])
    with tempfile.TemporaryDirectory() as folder:
        documents = [plain_result(w, Path(folder)) for w in (world, other)]
    first, second = ([r for r in d["rates"] if r["attribute"] == name] for d in documents)
    assert len(first) == len(second)
    found = {keyed(row, row["group"]): row for row in second}
    for row in first:
        twin = found[keyed(row, names[written(row["group"], names)])]
        assert alike(row["value"], twin["value"], 1e-9)
        assert row["n"] == twin["n"]


def keyed(row: Mapping[str, Any], group: str) -> tuple[Any, ...]:
    return group, row["input"], row["class"], row["metric"]


def written(group: str, names: Mapping[str, str]) -> str:
    """The name of a group as it was written: `True` is told as `true`."""
    return next(name for name in names if name in {group, group.title()} or name.removesuffix(".0") == group)


@fuzzed(0.05, world=worlds(), times=st.integers(2, 3))
def test_rows_that_stand_several_times_leave_rates_alone(world, times):
    frame = [
        (name, [f"{v} copy {k}" if name == "example_id" else v for k in range(times) for v in values])
        for name, values in world.frame
    ]
    with tempfile.TemporaryDirectory() as folder:
        first, second = (plain_result(w, Path(folder)) for w in (world, replace(world, frame=frame)))
    rows = rows_of({**second, "comparisons": []})
    for key, row in rows_of({**first, "comparisons": []}).items():
        assert alike(row["value"], rows[key]["value"], 1e-9), (key, row["value"], rows[key]["value"])
        if key[0] == "rates":
            assert rows[key]["n"] == times * row["n"]


def plain_result(world: World, folder: Path) -> Mapping[str, Any]:
    outcome = by_command(folder, [reference(world, folder)], world.options, names_of(world))
    assert outcome.document is not None, outcome.err
    return outcome.document
