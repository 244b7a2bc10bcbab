"""The section `model:` as models: built-in models, hub ids and folders."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from evenhand import registry
from evenhand.errors import InputError, UnknownNameError
from evenhand.spec.base import Frozen
from evenhand.spec.names import combination_name
from evenhand.spec.plugins import MODELS, plugin
from evenhand.spec.sections.sweep import expand_lists
from evenhand.spec.study import Model, Name
from evenhand.spec.wording import suggestion
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.tree import Location, Node, format_value

_HUB_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*", re.ASCII)


class HubOptions(Frozen):
    """Options of a hub id or a folder.

    Attributes:
        revision: branch, tag or commit on the hub.
        family: file of `evenhand.finetune.models` that describes the layers; needed where the model itself is
            unavailable, as for a dry run without a network.
    """

    revision: Name | None = Field(default=None)
    family: Name | None = Field(default=None)


@dataclass(frozen=True)
class _UnlabelledModel:
    """A model before its label is determined.

    Attributes:
        name: hub id, folder or built-in model.
        options: options of the model.
        listed: options that a list gave.
        location: location of the name in the study.
    """

    name: str
    options: dict[str, str | int | float | bool]
    listed: tuple[str, ...]
    location: Location


def builtin_models() -> tuple[str, ...]:
    """List the names of the built-in models."""
    return tuple(name for name in registry.names(MODELS) if hasattr(registry.load(MODELS, name), "Config"))


def model_families() -> tuple[str, ...]:
    """List the names of the families of models, to which hub ids and folders belong."""
    return tuple(name for name in registry.names(MODELS) if name not in builtin_models())


def read_models(node: Node, complaints: Complaints) -> list[Model]:
    """Read the models of a study.

    Args:
        node: the value of `model`: a name, a mapping with a name and options, or a list of those.
        complaints: collects complaints.

    Returns:
        The valid models, in the order of the file.
    """
    nodes = node.value if isinstance(node.value, list) else [node]
    if not nodes:
        complaints.add(node.location, "got an empty list; give a model, or several.")
    unlabelled = [model for entry in nodes for model in _read_entry(entry, complaints)]
    varied = {
        name: _varied_options([model for model in unlabelled if model.name == name])
        for name in {f.name for f in unlabelled}
    }
    models: dict[str, Model] = {}
    for entry in unlabelled:
        shown_options = {key: entry.options[key] for key in varied[entry.name] if key in entry.options}
        label = combination_name(entry.name, dict(shown_options))
        if label in models:
            complaints.add(entry.location, f"the model '{label}' is given twice.")
        models[label] = Model(name=entry.name, options=entry.options, label=label)
    return list(models.values())


def _read_entry(node: Node, complaints: Complaints) -> list[_UnlabelledModel]:
    """Read the models of one entry."""
    if isinstance(node.value, str):
        node = node.under({"name": node})
    named = node.value.get("name") if isinstance(node.value, dict) else None
    if (
        not isinstance(node.value, dict)
        or named is None
        or not isinstance(named.value, str)
        or not named.value
    ):
        location = named.location if named else node.location
        got = "a mapping without a name" if isinstance(node.value, dict) and not named else None
        complaints.add(
            location,
            f"got {got or format_value((named or node).plain)}; must be a hub id, a folder, or one of "
            f"{', '.join(builtin_models())}, alone or as the name of a mapping.",
        )
        return []
    config = _find_options(named.value, named.location, complaints)
    if config is None:
        return []
    options = node.under({key: value for key, value in node.value.items() if key != "name"})
    models = []
    for choice in expand_lists(options, (config,), complaints):
        validated_options = validated(config, options.under(choice.entries), complaints)
        family = getattr(validated_options, "family", None) if config is HubOptions else None
        if family is not None and family not in model_families():
            complaints.add(
                choice.entries["family"].location,
                f"unknown family of models {family!r}. {suggestion(family, model_families())}",
            )
        if validated_options is not None:
            plain = {
                key: value
                for key, value in validated_options.model_dump(mode="json").items()
                if value is not None
            }
            models.append(_UnlabelledModel(named.value, plain, choice.varied, named.location))
    return models


def _find_options(name: str, location: Location, complaints: Complaints) -> type[Frozen] | None:
    """Find the class of a model's options; None, with a complaint, for an invalid name."""
    builtin_names = builtin_models()
    try:
        config: type[Frozen] | None = getattr(plugin(MODELS, name), "Config", None)
    except UnknownNameError:
        config = HubOptions
    except InputError as error:
        complaints.add(location, " ".join(error.complaints))
        return None
    if config is None:
        problem = f"{name!r} is a family of models"
    elif config is not HubOptions:
        return config
    elif _is_folder(name):
        return HubOptions
    elif re.match(r"[./~\\]|[A-Za-z]:[/\\]", name) or name.count("/") > 1:
        problem = f"folder {name!r} not found"
    elif not _HUB_ID.fullmatch(name) or len(name) > 96 or "--" in name or ".." in name:
        problem = f"{format_value(name)} is neither a folder nor a valid hub id"
    elif "/" not in name and (
        near := difflib.get_close_matches(name.lower(), builtin_names, n=1, cutoff=0.75)
    ):
        complaints.add(
            location, f"got {format_value(name)}; did you mean '{near[0]}'? (A hub id is written owner/name.)"
        )
        return None
    else:
        return HubOptions
    builtin = f"a built-in model ({', '.join(builtin_names)})"
    complaints.add(location, f"{problem}; give a hub id (owner/name), a folder, or {builtin}.")
    return None


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        return False


def _varied_options(models: list[_UnlabelledModel]) -> list[str]:
    """List the options that a list gave, or that differ between models of one name."""
    listed = dict.fromkeys(key for model in models for key in model.listed)
    differing = [
        key
        for key in dict.fromkeys(key for model in models for key in model.options)
        if len({repr(model.options.get(key)) for model in models}) > 1
    ]
    # The family only describes the layers of a model: another family is not another model.
    return [key for key in dict.fromkeys([*listed, *differing]) if key != "family"]
