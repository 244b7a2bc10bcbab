"""What a JSON schema allows, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evenhand.errors import nearest

Schema = Mapping[str, Any]

#: Forms of texts that are better said than shown.
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-', beginning with a letter or a digit"
}


def guessed(name: str, known: Sequence[str]) -> str:
    """A sentence of its own with the nearest of the known names."""
    told = nearest(name, known)
    return told[0].upper() + told[1:]


def variants(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The forms that a value can have, references followed.

    Args:
        schema: of the value.
        root: where references point into.
    """
    if "$ref" in schema:
        yield from variants(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema or "oneOf" in schema:
        for form in schema.get("anyOf", schema.get("oneOf", ())):
            yield from variants(form, root)
    else:
        yield schema


def step(root: Schema, path: Sequence[str | int]) -> list[Schema]:
    """The forms that the value at the end of keys can have."""
    found: list[Schema] = list(variants(root, root))
    for name in path:
        inner = [schema for one in found for schema in _inside(one, name)]
        found = [form for schema in inner for form in variants(schema, root)]
    return found


def _inside(form: Schema, name: str | int) -> Iterator[Schema]:
    """Schemas of one key or item."""
    if name in form.get("properties", {}):
        yield form["properties"][name]
    elif isinstance(form.get("additionalProperties"), Mapping):
        yield form["additionalProperties"]
    elif isinstance(name, int) and isinstance(form.get("items"), Mapping):
        yield form["items"]


def allowed(forms: Sequence[Schema], root: Schema) -> str:
    """Say what is allowed: `an integer of at least 1`, `'refuse' or 'tell'`; empty when nothing is known."""
    words = [_one(form, root) for form in forms]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _one(form: Schema, root: Schema) -> str:
    """One form, in words."""
    if "const" in form or "enum" in form:
        return " or ".join(repr(value) for value in form.get("enum", [form.get("const")]))
    kind = form.get("type")
    if kind in {"integer", "number"}:
        return f"{'an integer' if kind == 'integer' else 'a number'}{_bounds(form)}"
    if kind == "string":
        return _text(form)
    if kind == "array":
        item = allowed(list(variants(form.get("items", {}), root)), root)
        least = " of at least one" if form.get("minItems") else ""
        return f"a list{least}" + (f", each {item}" if item else "")
    if kind == "object":
        if isinstance(form.get("additionalProperties"), Mapping):
            item = allowed(list(variants(form["additionalProperties"], root)), root)
            return "a mapping" + (f", each value {item}" if item else "")
        return f"a mapping with keys of: {', '.join(form.get('properties', {}))}"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "")


def _bounds(form: Schema) -> str:
    """Limits of a number."""
    words = [
        f"{word} {_number(form[key])}"
        for key, word in (
            ("minimum", "of at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in form
    ]
    if "minimum" in form and "maximum" in form:
        return f" from {_number(form['minimum'])} to {_number(form['maximum'])}"
    return f" {' and '.join(words)}" if words else ""


def _number(value: float) -> str:
    """A limit as people write it."""
    return f"{int(value):,}" if value == int(value) else repr(value)


def _text(form: Schema) -> str:
    """What a text must be."""
    word = "a text"
    if form.get("minLength"):
        word = "a text that is not empty"
    if "pattern" in form:
        word = "a text of " + _PATTERNS.get(form["pattern"], f"the form {form['pattern']}")
    if "maxLength" in form:
        word += f", {form['maxLength']} characters at most"
    return word
