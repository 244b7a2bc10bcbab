"""Options as words of a command and as keywords of a function; what differs between two results."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import evenhand
from evenhand.errors import InputError
from tests.fuzz.harness import ALLOWED, ENGINE, Outcome, audit_files

PARTS = ("rates", "disparities", "comparisons")
KEYS = ("input", "reference", "candidate", "attribute", "group", "class", "metric", "family")


def words(options: Mapping[str, Any]) -> list[str]:
    """Keywords of `evenhand.audit` as words of the command."""
    made: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            made += [option] if value else []
        elif isinstance(value, Mapping):
            made += [word for k, v in value.items() for word in (option, f"{k}={v}")]
        elif isinstance(value, list | tuple):
            made += [w for v in value for w in (option, v if isinstance(v, str) else ",".join(v))]
        else:
            made += [option, str(value)]
    return made


def by_command(
    folder: Path, paths: Sequence[Path], options: Mapping[str, Any], names: Sequence[str]
) -> Outcome:
    """The outcome of the command."""
    named = [word for name in names for word in ("--name", name)]
    return audit_files(folder, [*map(str, paths), *words(options), *named], paths)


def by_python(given: object, options: Mapping[str, Any]) -> Outcome:
    """The outcome of `evenhand.audit`; an error's message must be as readable as the command's."""
    return _outcome(lambda: evenhand.audit(given, **options))


def by_compare(reference: object, candidate: object, options: Mapping[str, Any]) -> Outcome:
    """The outcome of `evenhand.compare`, whose arms are called reference and candidate."""
    kept = {name: value for name, value in options.items() if name not in {"reference", "name"}}
    return _outcome(lambda: evenhand.compare(reference, candidate, **kept))


def _outcome(judge: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(0, document=judge().to_dict())
    except InputError as error:
        text = str(error)
        odd = ENGINE.search(text.replace(ALLOWED, ""))
        assert not odd, f"{odd[0]!r} is no word for a reader: {text}"
        return Outcome(2, err=text)
    except Exception:
        raise AssertionError(f"an exception escaped:\n{traceback.format_exc()}") from None


def rows_of(
    document: Mapping[str, Any], renamed: Mapping[str, str] | None = None
) -> dict[Any, Mapping[str, Any]]:
    """Every row of a result by its key; what names the input may be renamed."""
    new = renamed or {}
    made: dict[Any, Mapping[str, Any]] = {}
    for part in PARTS:
        for row in document[part]:
            own = {
                k: new.get(v, v) if k in {"input", "reference", "candidate"} else v for k, v in row.items()
            }
            key = (part, *(own.get(k) for k in KEYS))
            assert key not in made, f"two rows of one key: {key}"
            made[key] = own
    return made


def differences(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    *,
    within: float,
    renamed: Mapping[str, str] | None = None,
    ignored: Collection[str] = (),
) -> list[str]:
    """What differs between two results, but for some fields."""
    first, second = rows_of(one), rows_of(other, renamed)
    said = [f"only in the plain one: {key}" for key in first if key not in second]
    said += [f"only in the other: {key}" for key in second if key not in first]
    for key in first.keys() & second.keys():
        for name in (first[key].keys() | second[key].keys()) - set(ignored):
            a, b = first[key].get(name), second[key].get(name)
            if not alike(a, b, within):
                said.append(f"{key} {name}: {a!r} in the plain one, {b!r} in the other")
    if one["verdict"]["counts"] != other["verdict"]["counts"]:
        said.append(f"verdicts: {one['verdict']['counts']} and {other['verdict']['counts']}")
    return said


def alike(a: Any, b: Any, within: float) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(
            alike(x, y, within) for x, y in zip(sorted(a, key=str), sorted(b, key=str), strict=True)
        )
    if isinstance(a, float) and isinstance(b, int | float) and not isinstance(b, bool):
        return a == b or math.isclose(a, b, rel_tol=within, abs_tol=within)
    return bool(a == b)
