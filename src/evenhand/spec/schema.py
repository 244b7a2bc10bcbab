"""The JSON schema of study files: what an editor may complete and underline."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from evenhand.errors import InputError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import ATTACKS, DATASETS, METHODS, MODELS, config_of, installed, judged, plugin
from evenhand.spec.read import NEEDED, SAME
from evenhand.spec.sections.arms import RATES, TUNE
from evenhand.spec.sections.models import FromHub
from evenhand.spec.sections.privacy import SAME as PRIVACY
from evenhand.spec.sections.sweep import list_depth
from evenhand.spec.study import Arm, Audit, Dataset, Privacy, Study
from evenhand.spec.yaml.check import picked, schema_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Describe study files, in draft 2020-12 of JSON schema.

    Options of every dataset, method and model that is installed are in it. It allows no less than
    `read_studies` does; what one key says of another (an arm that does not exist) only `read_studies` finds.
    """
    definitions: Schema = {}
    keys = {
        **_properties(picked(Study, *SAME), definitions),
        "dataset": _dataset(definitions),
        "model": _model(definitions),
        "methods": _methods(definitions),
        "audit": _audit(definitions),
        "privacy": _privacy(definitions),
    }
    keys["training"] = _or_nothing(keys["training"])
    part = {"type": "object", "properties": keys, "additionalProperties": False}
    definitions["study"] = part
    return {
        "$schema": DIALECT,
        "title": "evenhand study",
        "description": "A study, or several under `studies` beside the keys that they share.",
        "type": "object",
        "properties": {
            **{key: {"$ref": f"#/$defs/study/properties/{key}"} for key in keys},
            "studies": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/study"}},
        },
        "additionalProperties": False,
        "if": {"required": ["studies"]},
        "else": {"required": ["name", *NEEDED, "seeds"]},
        "$defs": definitions,
    }


def _dataset(definitions: Schema) -> Schema:
    """A dataset's name, or a mapping with its options."""
    same = _properties(picked(Dataset, "split", "leaks"), definitions)
    same["split"] = _or_nothing(same["split"])
    options = {
        name: {**_properties(config, definitions), **same} for name, config in _configs(DATASETS).items()
    }
    names: Schema = {"enum": list(options)}
    return {
        "description": "Which rows: a dataset's name, or a mapping with its options.",
        "anyOf": [names, _by("name", names, options, definitions, "dataset")],
    }


def _model(definitions: Schema) -> Schema:
    """A model's name, a mapping with its options, or a list of those."""
    options = {
        name: _lists(config, _properties(config, definitions)) for name, config in _configs(MODELS).items()
    }
    name: Schema = {
        "description": "A hub id, a folder, or a model that evenhand makes itself.",
        "anyOf": [{"enum": list(options)}, {"type": "string", "minLength": 1}],
    }
    hub = _lists(FromHub, _properties(FromHub, definitions))
    one = {"anyOf": [name, _by("name", name, options, definitions, "model", others=hub)]}
    return {
        "description": "Which model is adapted; several are judged each by itself.",
        "anyOf": [*one["anyOf"], {"type": "array", "minItems": 1, "items": one}],
    }


def _methods(definitions: Schema) -> Schema:
    """Blocks under the names of methods, or under own names with a key `method`."""
    rates = picked(Arm, *RATES)
    options = {}
    for name, config in _configs(METHODS).items():
        own = _lists(rates, _properties(rates, definitions)) | _lists(
            config, _properties(config, definitions)
        )
        info = plugin(METHODS, name).INFO
        own["learning_rate"] = {**own["learning_rate"], "default": info.learning_rate}
        own["epochs"] = {**own["epochs"], "default": info.epochs}
        own[TUNE] = _tune({**_properties(rates, definitions), **_properties(config, definitions)})
        options[name] = own
    names: Schema = {"description": "Which method it is.", "enum": list(options)}
    named = _by("method", names, options, definitions, "method")
    return {
        "description": "Ways of adapting, by name; a list for an option makes an arm of each value.",
        "type": "object",
        "minProperties": 1,
        "properties": {name: _block(name, named) for name in options},
        "additionalProperties": {**named, "required": ["method"]},
    }


def _tune(properties: Schema) -> Schema:
    """What trials may set: a list of values for any option."""
    return {
        "description": "Values to try: the best combination on the validation rows is judged.",
        "type": "object",
        "minProperties": 1,
        "properties": {
            name: {"type": "array", "minItems": 1, "items": schema} for name, schema in properties.items()
        },
        "additionalProperties": False,
    }


def _block(name: str, named: Schema) -> Schema:
    """What stands under the name of a method: its options, or another method under this name."""
    info = plugin(METHODS, name).INFO
    return {
        "description": f"{info.title}: trains {info.trained}.",
        "anyOf": [
            {"type": "null"},
            {
                "if": {"type": "object", "required": ["method"]},
                "then": named,
                "else": {"$ref": f"#/$defs/method.{name}"},
            },
        ],
    }


def _audit(definitions: Schema) -> Schema:
    """How the runs are judged; the names of metrics are offered, and the reference has a default."""
    properties = _properties(Audit, definitions)
    known: Schema = {"enum": list(judged())}
    for key in ("metric", "primary"):
        properties[key] = {**properties[key], "items": known}
    properties["margin"]["anyOf"] = [
        {**form, "propertyNames": known} if form.get("type") == "object" else form
        for form in properties["margin"]["anyOf"]
    ]
    return _or_nothing({"type": "object", "properties": properties, "additionalProperties": False})


def _privacy(definitions: Schema) -> Schema:
    """How models are attacked: the names of attacks, or a mapping of one name to its options."""
    options = {
        name: _or_nothing(_closed(_properties(config, definitions)))
        for name, config in _configs(ATTACKS).items()
    }
    one: Schema = {
        "anyOf": [{"enum": list(options)}, {**_closed(options), "minProperties": 1, "maxProperties": 1}]
    }
    properties = _properties(picked(Privacy, *PRIVACY), definitions)
    attacks: Schema = {
        "description": described(Privacy)["attacks"], "type": "array", "minItems": 1, "items": one,
    }  # fmt: skip
    properties |= {name: {**own, "description": described(Privacy)[name]} for name, own in properties.items()}
    return _or_nothing({**_closed({"attacks": attacks, **properties}), "required": ["attacks"]})


def _configs(package: str) -> dict[str, type[Frozen]]:
    """Options of all plug-ins that have some, without those of other packages that are broken."""
    configs = {}
    for name in installed(package):
        try:
            configs[name] = config_of(package, name)
        except InputError:
            continue
    return configs


def _by(
    key: str,
    names: Schema,
    options: Mapping[str, Schema],
    definitions: Schema,
    kind: str,
    *,
    others: Schema | None = None,
) -> Schema:
    """A mapping whose options depend on the name under `key`; `others` are the options of other names."""
    for name, own in options.items():
        definitions[f"{kind}.{name}"] = _closed({key: names, **own})
    chosen: Schema = _closed({key: names, **others}) if others is not None else {}
    for name in reversed([*options]):
        is_it = {"properties": {key: {"const": name}}, "required": [key]}
        chosen = {"if": is_it, "then": {"$ref": f"#/$defs/{kind}.{name}"}, "else": chosen}
    return {"type": "object", "properties": {key: names}, **chosen}


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _or_nothing(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _lists(model: type[Frozen], properties: Schema) -> Schema:
    """Fields that may also be lists, of which each value makes an arm."""
    return {
        name: schema
        if list_depth(model, name) == 2
        else {
            **{key: schema[key] for key in ("description", "default") if key in schema},
            "anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}],
        }
        for name, schema in properties.items()
    }


def _properties(model: type[Frozen], definitions: Schema) -> Schema:
    """The fields of a model, with the words of its docstring; what they refer to goes to the definitions."""
    schema = json.loads(json.dumps(schema_of(model)))
    prefix = f"{model.__module__.rpartition('.')[2]}.{model.__name__}."
    for name, definition in schema.get("$defs", {}).items():
        definitions[prefix + name] = _moved(definition, prefix)
    words = described(model)
    return {
        name: {**_moved(own, prefix), **({"description": words[name]} if name in words else {})}
        for name, own in schema.get("properties", {}).items()
    }


def _moved(schema: Any, prefix: str) -> Any:  # noqa: ANN401  (plain data)
    """A schema whose references point to where its definitions were moved, without made-up titles."""
    if isinstance(schema, list):
        return [_moved(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, prefix) for key, value in schema.items() if not _is_title(key, value)}
    if "$ref" in moved:
        moved["$ref"] = "#/$defs/" + prefix + moved["$ref"].rpartition("/")[2]
    return moved


def _is_title(key: str, value: object) -> bool:
    """Whether this is a title, and no field that is called so."""
    return key == "title" and isinstance(value, str)


def described(model: type[Frozen]) -> dict[str, str]:
    """What the docstrings of a model and of those that it builds on say of each field."""
    words: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        section = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        for entry in re.split(r"\n(?=    \w)", section):
            name, colon, text = entry.strip().partition(": ")
            if colon and name in model.model_fields:
                words[name] = " ".join(text.split())
    return words
