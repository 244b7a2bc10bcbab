"""JSON schema of study files, for completion and validation in editors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from evenhand.errors import InputError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import (
    ATTACKS,
    DATASETS,
    METHODS,
    MODELS,
    config_of,
    installed,
    metric_names,
    plugin,
)
from evenhand.spec.read import COPIED_KEYS, REQUIRED_KEYS
from evenhand.spec.sections.arms import RATE_FACTOR, RATES, TUNE
from evenhand.spec.sections.existing import EXISTING, EXISTING_MODELS
from evenhand.spec.sections.match import MATCH, PARAMETERS
from evenhand.spec.sections.models import HubOptions
from evenhand.spec.sections.privacy import COPIED_KEYS as PRIVACY
from evenhand.spec.sections.sweep import list_depth
from evenhand.spec.study import Arm, Audit, Dataset, Privacy, Study
from evenhand.spec.yaml.check import schema_of, select_fields

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Build the JSON schema (draft 2020-12) of study files.

    It includes the options of every installed dataset, method and model. It accepts every file that
    `read_studies` accepts; only `read_studies` checks relations between keys, such as the name of an arm.
    """
    definitions: Schema = {}
    keys = {
        **_field_schemas(select_fields(Study, *COPIED_KEYS), definitions),
        "dataset": _dataset(definitions),
        "model": _model(definitions),
        "methods": _methods(definitions),
        "audit": _audit(definitions),
        "privacy": _privacy(definitions),
    }
    keys["training"] = _nullable(keys["training"])
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
        "else": {"required": ["name", *REQUIRED_KEYS, "seeds"]},
        "$defs": definitions,
    }


def _dataset(definitions: Schema) -> Schema:
    """Build the schema of `dataset`: a name, or a mapping with its options."""
    same = _field_schemas(select_fields(Dataset, "split", "leaks"), definitions)
    same["split"] = _nullable(same["split"])
    options = {
        name: {**_field_schemas(config, definitions), **same}
        for name, config in _plugin_configs(DATASETS).items()
    }
    names: Schema = {"enum": list(options)}
    return {
        "description": "The rows: a dataset's name, or a mapping with its options.",
        "anyOf": [names, _discriminated("name", names, options, definitions, "dataset")],
    }


def _model(definitions: Schema) -> Schema:
    """Build the schema of `model`: a name, a mapping with its options, or a list of those."""
    options = {
        name: _allow_sweeps(config, _field_schemas(config, definitions))
        for name, config in _plugin_configs(MODELS).items()
    }
    name: Schema = {
        "description": "A hub id, a folder, or a built-in model of evenhand.",
        "anyOf": [{"enum": list(options)}, {"type": "string", "minLength": 1}],
    }
    hub = _allow_sweeps(HubOptions, _field_schemas(HubOptions, definitions))
    entry = {"anyOf": [name, _discriminated("name", name, options, definitions, "model", others=hub)]}
    return {
        "description": "The model to adapt; several models are evaluated separately.",
        "anyOf": [*entry["anyOf"], {"type": "array", "minItems": 1, "items": entry}],
    }


def _methods(definitions: Schema) -> Schema:
    """Build the schema of `methods`: blocks under names of methods, or under any name with a key `method`."""
    rates = select_fields(Arm, *RATES)
    options = {}
    for name, config in _plugin_configs(METHODS).items():
        fields = _allow_sweeps(rates, _field_schemas(rates, definitions)) | _allow_sweeps(
            config, _field_schemas(config, definitions)
        )
        info = plugin(METHODS, name).INFO
        fields["learning_rate"] = {**fields["learning_rate"], "default": info.learning_rate}
        fields["epochs"] = {**fields["epochs"], "default": info.epochs}
        fields[TUNE] = _tune({**_field_schemas(rates, definitions), **_field_schemas(config, definitions)})
        if info.size:
            fields[MATCH] = _match(info.size)
        options[name] = fields
    names: Schema = {"description": "Name of the method.", "enum": list(options)}
    named = _discriminated("method", names, options, definitions, "method")
    return {
        "description": "Methods of adaptation, by name; a list for an option makes an arm of each value.",
        "type": "object",
        "minProperties": 1,
        "properties": {name: _block(name, named) for name in options},
        "additionalProperties": {"anyOf": [{**named, "required": ["method"]}, _existing(definitions)]},
    }


def _existing(definitions: Schema) -> Schema:
    """Build the schema of the short form of existing models, under any name."""
    fields = _field_schemas(config_of(METHODS, EXISTING), definitions)
    models = fields.pop(EXISTING_MODELS)
    return {
        "description": "Models that exist already: hub ids or folders, one for each seed.",
        "type": "object",
        "required": [EXISTING],
        "properties": {EXISTING: {"anyOf": [{"type": "string"}, models]}, **fields},
        "additionalProperties": False,
    }


def _tune(properties: Schema) -> Schema:
    """Build the schema of `tune`: a list of values for any option."""
    return {
        "description": "Values to try: the best combination on the validation rows is evaluated.",
        "type": "object",
        "minProperties": 1,
        "properties": {
            name: {"type": "array", "minItems": 1, "items": schema} for name, schema in properties.items()
        }
        | {
            RATE_FACTOR: {
                "description": "Learning rates to try, as multiples of the method's default one.",
                "type": "array",
                "minItems": 1,
                "items": {"type": "number", "exclusiveMinimum": 0},
            }
        },
        "additionalProperties": False,
    }


def _match(option: str) -> Schema:
    """Build the schema of `match`: a number of trained parameters, or the arm that has it."""
    return {
        "description": f"Choose {option} so that the number of trained parameters is nearest to this goal.",
        "type": "object",
        "required": [PARAMETERS],
        "properties": {
            PARAMETERS: {
                "description": "The number, without that of the head; or the name of the arm that has it.",
                "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}],
            }
        },
        "additionalProperties": False,
    }


def _block(name: str, named: Schema) -> Schema:
    """Build the schema under the name of a method: its options, or another method under this name."""
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
    """Build the schema of `audit`, with the names of metrics; the reference has a default."""
    properties = _field_schemas(Audit, definitions)
    known: Schema = {"enum": list(metric_names())}
    for key in ("metric", "primary"):
        properties[key] = {**properties[key], "items": known}
    properties["margin"]["anyOf"] = [
        {**form, "propertyNames": known} if form.get("type") == "object" else form
        for form in properties["margin"]["anyOf"]
    ]
    return _nullable({"type": "object", "properties": properties, "additionalProperties": False})


def _privacy(definitions: Schema) -> Schema:
    """Build the schema of `privacy`: attacks by name, or as a mapping of a name to its options."""
    options = {
        name: _nullable(_closed(_field_schemas(config, definitions)))
        for name, config in _plugin_configs(ATTACKS).items()
    }
    attack: Schema = {
        "anyOf": [{"enum": list(options)}, {**_closed(options), "minProperties": 1, "maxProperties": 1}]
    }
    properties = _field_schemas(select_fields(Privacy, *PRIVACY), definitions)
    attacks: Schema = {
        "description": field_descriptions(Privacy)["attacks"],
        "type": "array", "minItems": 1, "items": attack,
    }  # fmt: skip
    properties |= {
        name: {**field, "description": field_descriptions(Privacy)[name]}
        for name, field in properties.items()
    }
    return _nullable({**_closed({"attacks": attacks, **properties}), "required": ["attacks"]})


def _plugin_configs(package: str) -> dict[str, type[Frozen]]:
    """Map the names of plug-ins to their options; skip plug-ins without options and broken ones."""
    configs = {}
    for name in installed(package):
        try:
            configs[name] = config_of(package, name)
        except InputError:
            continue
    return configs


def _discriminated(
    key: str,
    names: Schema,
    options: Mapping[str, Schema],
    definitions: Schema,
    kind: str,
    *,
    others: Schema | None = None,
) -> Schema:
    """Build the schema of a mapping whose options depend on the name under `key`.

    JSON schema lacks a discriminated union, so this is a chain of if/then/else, one link per name; `others`
    are the options for every other name.
    """
    for name, fields in options.items():
        definitions[f"{kind}.{name}"] = _closed({key: names, **fields})
    chosen: Schema = _closed({key: names, **others}) if others is not None else {}
    for name in reversed([*options]):
        is_it = {"properties": {key: {"const": name}}, "required": [key]}
        chosen = {"if": is_it, "then": {"$ref": f"#/$defs/{kind}.{name}"}, "else": chosen}
    return {"type": "object", "properties": {key: names}, **chosen}


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _allow_sweeps(model: type[Frozen], properties: Schema) -> Schema:
    """Allow a list in place of each field's value; every value of the list makes an arm."""
    return {
        name: schema
        if list_depth(model, name) == 2
        else {
            **{key: schema[key] for key in ("description", "default") if key in schema},
            "anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}],
        }
        for name, schema in properties.items()
    }


def _field_schemas(model: type[Frozen], definitions: Schema) -> Schema:
    """Build the schemas of a model's fields, described by its docstring; types go to `definitions`."""
    schema = json.loads(json.dumps(schema_of(model)))
    prefix = f"{model.__module__.rpartition('.')[2]}.{model.__name__}."
    for name, definition in schema.get("$defs", {}).items():
        definitions[prefix + name] = _move_references(definition, prefix)
    words = field_descriptions(model)
    return {
        name: {**_move_references(field, prefix), **({"description": words[name]} if name in words else {})}
        for name, field in schema.get("properties", {}).items()
    }


def _move_references(schema: Any, prefix: str) -> Any:  # noqa: ANN401  (plain data)
    """Redirect the references of a schema to the moved definitions, and remove generated titles."""
    if isinstance(schema, list):
        return [_move_references(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {
        key: _move_references(value, prefix) for key, value in schema.items() if not _is_title(key, value)
    }
    if "$ref" in moved:
        moved["$ref"] = "#/$defs/" + prefix + moved["$ref"].rpartition("/")[2]
    return moved


def _is_title(key: str, value: object) -> bool:
    """Return True for the keyword `title`, and False for a field of this name."""
    return key == "title" and isinstance(value, str)


def field_descriptions(model: type[Frozen]) -> dict[str, str]:
    """Extract the description of each field from the docstrings of a model and its base classes."""
    words: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        section = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        for entry in re.split(r"\n(?=    \w)", section):
            name, colon, text = entry.strip().partition(": ")
            if colon and name in model.model_fields:
                words[name] = " ".join(text.split())
    return words
