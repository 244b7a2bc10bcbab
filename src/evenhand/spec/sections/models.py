"""`model:` to models: those that evenhand makes itself, hub ids and folders."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from evenhand import registry
from evenhand.errors import InputError, UnknownNameError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import MODELS, plugin
from evenhand.spec.sections.sweep import choices, labelled
from evenhand.spec.study import Model, Name
from evenhand.spec.wording import guessed
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.tree import Node, Place, shown

_HUB_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*", re.ASCII)


class FromHub(Frozen):
    """Options of a hub id or a folder.

    Attributes:
        revision: branch, tag or commit on the hub.
        family: the file of `evenhand.finetune.models` that knows its layers; needed where the model itself
            cannot be had, as for a dry run without a network.
    """

    revision: Name | None = Field(default=None)
    family: Name | None = Field(default=None)


@dataclass(frozen=True)
class _Found:
    """A model before its label is known."""

    name: str
    options: dict[str, str | int | float | bool]
    listed: tuple[str, ...]
    place: Place


def made_here() -> tuple[str, ...]:
    """Names of the models that evenhand makes itself."""
    return tuple(name for name in registry.names(MODELS) if hasattr(registry.load(MODELS, name), "Config"))


def families() -> tuple[str, ...]:
    """Names of the families of models, which hub ids and folders belong to."""
    return tuple(name for name in registry.names(MODELS) if name not in made_here())


def read_models(node: Node, complaints: Complaints) -> list[Model]:
    """Read the models of a study.

    Args:
        node: what stands under `model`: a name, a mapping with a name and options, or a list of those.
        complaints: takes what is wrong.

    Returns:
        The models that can be used, in the order of the file.
    """
    nodes = node.value if isinstance(node.value, list) else [node]
    if not nodes:
        complaints.add(node.place, "got an empty list; give a model, or several.")
    found = [model for one in nodes for model in _models(one, complaints)]
    varied = {
        name: _varied([model for model in found if model.name == name]) for name in {f.name for f in found}
    }
    models: dict[str, Model] = {}
    for one in found:
        shown_options = {key: one.options[key] for key in varied[one.name] if key in one.options}
        label = labelled(one.name, dict(shown_options))
        if label in models:
            complaints.add(one.place, f"the model '{label}' is given twice.")
        models[label] = Model(name=one.name, options=one.options, label=label)
    return list(models.values())


def _models(node: Node, complaints: Complaints) -> list[_Found]:
    """The models of one entry."""
    if isinstance(node.value, str):
        node = node.under({"name": node})
    named = node.value.get("name") if isinstance(node.value, dict) else None
    if (
        not isinstance(node.value, dict)
        or named is None
        or not isinstance(named.value, str)
        or not named.value
    ):
        place = named.place if named else node.place
        got = "a mapping without a name" if isinstance(node.value, dict) and not named else None
        complaints.add(
            place,
            f"got {got or shown((named or node).plain)}; must be a hub id, a folder, or one of "
            f"{', '.join(made_here())}, alone or as the name of a mapping.",
        )
        return []
    config = _options_of(named.value, named.place, complaints)
    if config is None:
        return []
    options = node.under({key: value for key, value in node.value.items() if key != "name"})
    found = []
    for choice in choices(options, (config,), complaints):
        made = validated(config, options.under(choice.entries), complaints)
        family = getattr(made, "family", None) if config is FromHub else None
        if family is not None and family not in families():
            complaints.add(
                choice.entries["family"].place,
                f"{family!r} is no family of models. {guessed(family, families())}",
            )
        if made is not None:
            plain = {key: value for key, value in made.model_dump(mode="json").items() if value is not None}
            found.append(_Found(named.value, plain, choice.varied, named.place))
    return found


def _options_of(name: str, place: Place, complaints: Complaints) -> type[Frozen] | None:
    """The options that a model has; None when there is no such model."""
    ours = made_here()
    try:
        config: type[Frozen] | None = getattr(plugin(MODELS, name), "Config", None)
    except UnknownNameError:
        config = FromHub
    except InputError as error:
        complaints.add(place, " ".join(error.complaints))
        return None
    if config is None:
        what = f"{name!r} is a family of models"
    elif config is not FromHub:
        return config
    elif _is_folder(name):
        return FromHub
    elif re.match(r"[./~\\]|[A-Za-z]:[/\\]", name) or name.count("/") > 1:
        what = f"there is no folder {name!r}"
    elif not _HUB_ID.fullmatch(name) or len(name) > 96 or "--" in name or ".." in name:
        what = f"{shown(name)} is no folder, and can be no hub id"
    elif "/" not in name and (near := difflib.get_close_matches(name.lower(), ours, n=1, cutoff=0.75)):
        complaints.add(
            place, f"got {shown(name)}; did you mean '{near[0]}'? (A hub id is written owner/name.)"
        )
        return None
    else:
        return FromHub
    made = f"a model that evenhand makes itself ({', '.join(ours)})"
    complaints.add(place, f"{what}; give a hub id (owner/name), a folder, or {made}.")
    return None


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        return False


def _varied(models: list[_Found]) -> list[str]:
    """Options that a list gave, or that differ among models of one name."""
    listed = dict.fromkeys(key for model in models for key in model.listed)
    differing = [
        key
        for key in dict.fromkeys(key for model in models for key in model.options)
        if len({repr(model.options.get(key)) for model in models}) > 1
    ]
    # Two families of one model are no two models.
    return [key for key in dict.fromkeys([*listed, *differing]) if key != "family"]
