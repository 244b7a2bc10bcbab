"""JSON schemas in words: descriptions of allowed values for messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evenhand.errors import nearest

Schema = Mapping[str, Any]

#: Patterns of texts, described in words.
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-', beginning with a letter or a digit"
}


def suggestion(name: str, known: Sequence[str]) -> str:
    """Write a sentence with the nearest of the known names."""
    sentence = nearest(name, known)
    return sentence[0].upper() + sentence[1:]


def alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Yield the alternative schemas of a value, with references resolved.

    Args:
        schema: schema of the value.
        root: schema with the definitions that references point to.
    """
    if "$ref" in schema:
        yield from alternatives(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema or "oneOf" in schema:
        for form in schema.get("anyOf", schema.get("oneOf", ())):
            yield from alternatives(form, root)
    else:
        yield schema


def schemas_at(root: Schema, path: Sequence[str | int]) -> list[Schema]:
    """List the alternative schemas of the value at a path of keys."""
    forms: list[Schema] = list(alternatives(root, root))
    for name in path:
        inner = [schema for outer in forms for schema in _child_schemas(outer, name)]
        forms = [form for schema in inner for form in alternatives(schema, root)]
    return forms


def _child_schemas(form: Schema, name: str | int) -> Iterator[Schema]:
    """Yield the schemas of one key or item."""
    if name in form.get("properties", {}):
        yield form["properties"][name]
    elif isinstance(form.get("additionalProperties"), Mapping):
        yield form["additionalProperties"]
    elif isinstance(name, int) and isinstance(form.get("items"), Mapping):
        yield form["items"]


def describe_allowed(forms: Sequence[Schema], root: Schema) -> str:
    """Describe the allowed values: `an integer of at least 1`, `'refuse' or 'tell'`; empty when unknown."""
    words = [_describe_schema(form, root) for form in forms]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _describe_schema(form: Schema, root: Schema) -> str:
    """Describe one schema."""
    if "const" in form or "enum" in form:
        return " or ".join(repr(value) for value in form.get("enum", [form.get("const")]))
    kind = form.get("type")
    if kind in {"integer", "number"}:
        return f"{'an integer' if kind == 'integer' else 'a number'}{_describe_bounds(form)}"
    if kind == "string":
        return _describe_text(form)
    if kind == "array":
        item = describe_allowed(list(alternatives(form.get("items", {}), root)), root)
        least = " of at least one" if form.get("minItems") else ""
        return f"a list{least}" + (f", each {item}" if item else "")
    if kind == "object":
        if isinstance(form.get("additionalProperties"), Mapping):
            item = describe_allowed(list(alternatives(form["additionalProperties"], root)), root)
            return "a mapping" + (f", each value {item}" if item else "")
        return f"a mapping with keys of: {', '.join(form.get('properties', {}))}"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "")


def _describe_bounds(form: Schema) -> str:
    """Describe the limits of a number."""
    words = [
        f"{word} {_format_number(form[key])}"
        for key, word in (
            ("minimum", "of at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in form
    ]
    if "minimum" in form and "maximum" in form:
        return f" from {_format_number(form['minimum'])} to {_format_number(form['maximum'])}"
    return f" {' and '.join(words)}" if words else ""


def _format_number(value: float) -> str:
    """Format a limit, with separators of thousands."""
    return f"{int(value):,}" if value == int(value) else repr(value)


def _describe_text(form: Schema) -> str:
    """Describe the constraints of a text."""
    word = "a text"
    if form.get("minLength"):
        word = "a text that is not empty"
    if "pattern" in form:
        word = "a text of " + _PATTERNS.get(form["pattern"], f"the form {form['pattern']}")
    if "maxLength" in form:
        word += f", {form['maxLength']} characters at most"
    return word
