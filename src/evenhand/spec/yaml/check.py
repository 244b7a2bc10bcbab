"""Validation of values by models, with messages that give the location, the value, and what is allowed."""

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
from evenhand.spec.wording import describe_allowed, schemas_at, suggestion
from evenhand.spec.yaml.tree import Location, Node, format_value

Kind = TypeVar("Kind", bound=Frozen)


class Complaints:
    """Collects complaints: each once, in the order of the lines."""

    def __init__(self) -> None:
        self._order_by_text: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._order_by_text)

    def add(self, location: Location, what: str) -> None:
        """Add a complaint about a location."""
        self._order_by_text.setdefault(f"{location}: {what}", location.order)

    def add_complaint(self, tree: Node, what: str, name: str = "") -> None:
        """Add a complaint about an option of the study `tree`, worded by `locate_complaint`."""
        location = tree.find_location(what.option) if isinstance(what, Complaint) else tree.location
        self._order_by_text.setdefault(locate_complaint(what, tree, name), location.order)

    def take(self, location: Location, error: SpecError) -> None:
        """Add the complaints of another error."""
        for what in error.complaints:
            self._order_by_text.setdefault(what, location.order)

    def raise_if_any(self) -> None:
        """Raise all complaints together.

        Raises:
            SpecError: unless the collection is empty.
        """
        if self._order_by_text:
            raise SpecError(sorted(self._order_by_text, key=self._order_by_text.__getitem__))


def locate_complaint(what: str, tree: Node, name: str = "") -> str:
    """Add the location in the study to a complaint that knows its option.

    Args:
        what: the complaint.
        tree: the study.
        name: name of the study, where several are read together.
    """
    if not isinstance(what, Complaint):
        return what
    location = tree.find_location(what.option)
    if not name and location.key and what.startswith((f"{location.key} ", f"{location.key}:")):
        return f"{location.head}, {what}"
    return f"{location}: {name}: {what}" if name else f"{location}: {what}"


@contextmanager
def locating_complaints(tree: Node, name: str = "") -> Iterator[None]:
    """Within this context, add locations in the study to all complaints that know their option."""
    try:
        yield
    except InputError as error:
        if not any(isinstance(what, Complaint) for what in error.complaints):
            raise
        complaints = Complaints()
        for what in error.complaints:
            complaints.add_complaint(tree, what, name)
        complaints.raise_if_any()


@cache
def select_fields(model: type[Frozen], *fields: str) -> type[Frozen]:
    """Make a model with some fields of another one: those with the same form in a file."""
    definitions: dict[str, Any] = {name: (info.annotation, info) for name, info in model.model_fields.items()}
    selected: type[Frozen] = create_model(
        f"{model.__name__}File", __base__=Frozen, **{name: definitions[name] for name in fields}
    )
    return selected


@cache
def schema_of(model: type[Frozen]) -> dict[str, Any]:
    """Return the JSON schema of a model; empty where a schema is impossible."""
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def validated(
    model: type[Kind], node: Node, complaints: Complaints, besides: Sequence[str] = ()
) -> Kind | None:
    """Build a model from a mapping.

    Args:
        model: class of the model.
        node: values of the fields; null is an empty mapping.
        complaints: collects complaints.
        besides: further allowed keys, which are read elsewhere; suggestions include them.

    Returns:
        None after a complaint.
    """
    if node.value is None:
        node = node.under({})
    if not isinstance(node.value, dict):
        keys = ", ".join(model.model_fields)
        complaints.add(
            node.location, f"got {format_value(node.plain)}; must be a mapping with keys of: {keys}."
        )
        return None
    try:
        return _parse(model, node)
    except ValidationError as error:
        wrong = _report_errors(error.errors(include_url=False), model, node, complaints, besides)
    # Validators of the whole model (contradicting options) run only where each field is valid by itself, so
    # they are run again without the invalid fields; all other errors would repeat those above.
    rest = node.under({key: value for key, value in node.value.items() if key not in wrong})
    try:
        _parse(model, rest)
    except ValidationError as error:
        _report_errors(
            [
                detail
                for detail in error.errors(include_url=False)
                if detail["type"] == "value_error" and not any(key in detail["msg"] for key in wrong)
            ],
            model, rest, complaints,
        )  # fmt: skip
    return None


def _parse(model: type[Kind], node: Node) -> Kind:
    """Validate as JSON: strict about types (true is not a number), while a list may become a tuple."""
    return model.model_validate_json(json.dumps(node.plain), strict=True)


def _report_errors(
    errors: Sequence[ErrorDetails],
    model: type[Frozen],
    node: Node,
    complaints: Complaints,
    besides: Sequence[str] = (),
) -> set[str]:
    """Add complaints for errors; returns the invalid keys."""
    by_path: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for detail in errors:
        path = _key_path(detail["loc"], node, missing=detail["type"] == "missing")
        by_path.setdefault(path, []).append(detail)
    for path, details in by_path.items():
        # A value that fits none of several alternatives has an error for each; an error deeper in the value
        # is about the alternative that was meant, so errors above it are skipped.
        if any(len(other) > len(path) and other[: len(path)] == path for other in by_path) and path:
            continue
        location, value = _value_at(node, path)
        what, named = _word_errors(details, model, path, value, besides if len(path) == 1 else ())
        if not path and named and named in (node.value if isinstance(node.value, dict) else {}):
            location, _ = _value_at(node, (named,))
        complaints.add(location, what)
    return {str(path[0]) for path in by_path if path}


def _key_path(loc: Sequence[str | int], node: Node, *, missing: bool) -> tuple[str | int, ...]:
    """Return the keys of an error, without the names of types that pydantic inserts."""
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


def _value_at(node: Node, path: Sequence[str | int]) -> tuple[Location, object]:
    """Return location and value at a path of keys; a missing key has the location where it belongs."""
    for name in path:
        inside = node.value
        if isinstance(inside, dict) and str(name) in inside:
            node = inside[str(name)]
        elif isinstance(inside, list) and isinstance(name, int):
            node = inside[name]
        else:
            return node.location.child(name), None
    return node.location, node.plain


def _word_errors(
    errors: Sequence[ErrorDetails],
    model: type[Frozen],
    path: Sequence[str | int],
    value: object,
    besides: Sequence[str],
) -> tuple[str, str]:
    """Word the errors at one location; also return the key that the message is about, or an empty text."""
    schema = schema_of(model)
    first = errors[0]
    if first["type"] == "extra_forbidden":
        known = [key for form in schemas_at(schema, path[:-1]) for key in form.get("properties", {})]
        return f"unknown key. {suggestion(str(path[-1]), [*known, *besides])}", ""
    if first["type"] in {"value_error", "assertion_error"}:
        message = str(first["msg"]).partition(", ")[2].rstrip(".")
        option, colon, rest = message.partition(": ")
        if colon and option in model.model_fields:
            return f"{rest}.", option
        return f"{message}.", ""
    word = describe_allowed(schemas_at(schema, path), schema)
    must = f"must be {word}" if word else "; ".join(str(detail["msg"]).lower() for detail in errors)
    if first["type"] == "missing":
        return f"is missing; {must}.", ""
    return f"got {format_value(value)}; {_suggest(value, schemas_at(schema, path))}{must}.", ""


def _suggest(value: object, forms: Sequence[Mapping[str, Any]]) -> str:
    """Suggest the nearest of the allowed texts."""
    options = [str(option) for form in forms for option in form.get("enum", ())]
    guess, separator, _ = nearest(str(value), options).partition("? ")
    return f"{guess}? It " if separator and isinstance(value, str) else ""
