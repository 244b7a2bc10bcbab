"""Judging values by the models, in words: what was given, where, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import ErrorDetails

from evenhand.errors import Complaint, InputError, SpecError, nearest
from evenhand.spec.base import Frozen
from evenhand.spec.wording import allowed, guessed, step
from evenhand.spec.yaml.tree import Node, Place, shown

Kind = TypeVar("Kind", bound=Frozen)


class Complaints:
    """What is wrong, each once, in the order of the lines."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, what: str) -> None:
        """Complain about a place."""
        self._found.setdefault(f"{place}: {what}", place.order)

    def add_of(self, tree: Node, what: str, name: str = "") -> None:
        """Complain about what a study, `tree`, describes, as `placed` words it."""
        place = tree.find(what.option) if isinstance(what, Complaint) else tree.place
        self._found.setdefault(placed(what, tree, name), place.order)

    def take(self, place: Place, error: SpecError) -> None:
        """Take over the complaints of another reading."""
        for what in error.complaints:
            self._found.setdefault(what, place.order)

    def refuse(self) -> None:
        """Raise when there is anything to complain of.

        Raises:
            SpecError: all complaints.
        """
        if self._found:
            raise SpecError(sorted(self._found, key=self._found.__getitem__))


def placed(what: str, tree: Node, name: str = "") -> str:
    """A complaint about what a study describes, with its place there where it knows its option.

    Args:
        what: the complaint.
        tree: the study.
        name: of the study, where several are read together.
    """
    if not isinstance(what, Complaint):
        return what
    place = tree.find(what.option)
    if not name and place.key and what.startswith((f"{place.key} ", f"{place.key}:")):
        return f"{place.head}, {what}"
    return f"{place}: {name}: {what}" if name else f"{place}: {what}"


@contextmanager
def placing(tree: Node, name: str = "") -> Iterator[None]:
    """Within, every complaint about what a study describes gets its place there, as `placed` words it."""
    try:
        yield
    except InputError as error:
        if not any(isinstance(what, Complaint) for what in error.complaints):
            raise
        complaints = Complaints()
        for what in error.complaints:
            complaints.add_of(tree, what, name)
        complaints.refuse()


@cache
def picked(model: type[Frozen], *fields: str) -> type[Frozen]:
    """A model with only these fields of another one: those that stand in a file as they are."""
    chosen: dict[str, Any] = {name: (info.annotation, info) for name, info in model.model_fields.items()}
    made: type[Frozen] = create_model(
        f"{model.__name__}File", __base__=Frozen, **{name: chosen[name] for name in fields}
    )
    return made


@cache
def schema_of(model: type[Frozen]) -> dict[str, Any]:
    """The JSON schema of a model; empty for one that has none."""
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def validated(
    model: type[Kind], node: Node, complaints: Complaints, besides: Sequence[str] = ()
) -> Kind | None:
    """Make a model from a mapping.

    Args:
        model: which.
        node: its fields; null stands for none.
        complaints: takes what is wrong.
        besides: keys that may stand beside the fields, and are read elsewhere.

    Returns:
        None when there was something to complain of.
    """
    if node.value is None:
        node = node.under({})
    if not isinstance(node.value, dict):
        keys = ", ".join(model.model_fields)
        complaints.add(node.place, f"got {shown(node.plain)}; must be a mapping with keys of: {keys}.")
        return None
    try:
        return _made(model, node)
    except ValidationError as error:
        wrong = _tell(error.errors(include_url=False), model, node, complaints, besides)
    # Options that contradict each other are looked for only where each is right by itself.
    rest = node.under({key: value for key, value in node.value.items() if key not in wrong})
    try:
        _made(model, rest)
    except ValidationError as error:
        _tell(
            [
                one
                for one in error.errors(include_url=False)
                if one["type"] == "value_error" and not any(key in one["msg"] for key in wrong)
            ],
            model, rest, complaints,
        )  # fmt: skip
    return None


def _made(model: type[Kind], node: Node) -> Kind:
    """JSON is strict about types (true is no number) where a list may still become a tuple."""
    return model.model_validate_json(json.dumps(node.plain), strict=True)


def _tell(
    errors: Sequence[ErrorDetails],
    model: type[Frozen],
    node: Node,
    complaints: Complaints,
    besides: Sequence[str] = (),
) -> set[str]:
    """Put errors in words; returns the keys that are wrong."""
    found: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for one in errors:
        path = _path(one["loc"], node, missing=one["type"] == "missing")
        found.setdefault(path, []).append(one)
    for path, here in found.items():
        # Of the forms that a value can have, only the one that was meant deserves a word.
        if any(len(other) > len(path) and other[: len(path)] == path for other in found) and path:
            continue
        place, value = _at(node, path)
        what, named = _words(here, model, path, value, besides if len(path) == 1 else ())
        if not path and named and named in (node.value if isinstance(node.value, dict) else {}):
            place, _ = _at(node, (named,))
        complaints.add(place, what)
    return {str(path[0]) for path in found if path}


def _path(loc: Sequence[str | int], node: Node, *, missing: bool) -> tuple[str | int, ...]:
    """The keys of an error, without the names of types that pydantic puts between them."""
    path: list[str | int] = []
    here: Node | None = node
    for i, name in enumerate(loc):
        inside = here.value if here else None
        if isinstance(inside, dict) and str(name) in inside:
            here = inside[str(name)]
        elif isinstance(inside, list) and isinstance(name, int) and name < len(inside):
            here = inside[name]
        elif not (missing and i == len(loc) - 1):
            continue
        path.append(name)
    return tuple(path)


def _at(node: Node, path: Sequence[str | int]) -> tuple[Place, object]:
    """The place and value at the end of keys; of a missing one the place where it should be."""
    for name in path:
        inside = node.value
        if isinstance(inside, dict) and str(name) in inside:
            node = inside[str(name)]
        elif isinstance(inside, list) and isinstance(name, int):
            node = inside[name]
        else:
            return node.place.child(name), None
    return node.place, node.plain


def _words(
    errors: Sequence[ErrorDetails],
    model: type[Frozen],
    path: Sequence[str | int],
    value: object,
    besides: Sequence[str],
) -> tuple[str, str]:
    """What is wrong at one place, and the key that the complaint begins with, if it does."""
    schema = schema_of(model)
    first = errors[0]
    if first["type"] == "extra_forbidden":
        known = [key for form in step(schema, path[:-1]) for key in form.get("properties", {})]
        return f"there is no such key. {guessed(str(path[-1]), [*known, *besides])}", ""
    if first["type"] in {"value_error", "assertion_error"}:
        said = str(first["msg"]).partition(", ")[2].rstrip(".")
        option, colon, rest = said.partition(": ")
        if colon and option in model.model_fields:
            return f"{rest}.", option
        return f"{said}.", ""
    word = allowed(step(schema, path), schema)
    must = f"must be {word}" if word else "; ".join(str(one["msg"]).lower() for one in errors)
    if first["type"] == "missing":
        return f"is missing; {must}.", ""
    return f"got {shown(value)}; {_guess(value, step(schema, path))}{must}.", ""


def _guess(value: object, forms: Sequence[Mapping[str, Any]]) -> str:
    """The nearest of the allowed texts."""
    options = [str(option) for form in forms for option in form.get("enum", ())]
    guess, found, _ = nearest(str(value), options).partition("? ")
    return f"{guess}? It " if found and isinstance(value, str) else ""
