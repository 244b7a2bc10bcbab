"""`-o key=value`: values given with a call, before those of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.errors import SpecError
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.document import from_text
from evenhand.spec.yaml.tree import Node, Origin, shown

_EXAMPLE = "-o methods.lora.rank=[1,8]"


@dataclass(frozen=True)
class Override:
    """One option.

    Attributes:
        keys: of the value, one after the other.
        node: the value.
        study: number of the study that it is for; None is all.
    """

    keys: tuple[str, ...]
    node: Node
    study: int | None


def read_overrides(given: Sequence[str], studies: int | None, complaints: Complaints) -> list[Override]:
    """Read options.

    Args:
        given: `key=value`, the value in YAML.
        studies: how many studies the file has under `studies`; None when it is itself one.
        complaints: takes what is wrong.

    Returns:
        Those for all studies first, so that one for a single study wins.
    """
    found = []
    for number, text in enumerate(given, start=1):
        key, equals, value = text.partition("=")
        origin = Origin(f"-o {text if len(text) <= 60 else text[:57] + '...'}", number, key, lined=False)
        place = origin.place(0, key)
        keys = tuple(part.strip() for part in key.split("."))
        if not equals or not all(keys):
            complaints.add(place, f"write key=value, as in {_EXAMPLE}.")
            continue
        try:
            node = from_text(value, origin, key)
        except SpecError as error:
            complaints.take(place, error)
            continue
        study = None
        if keys[0] == "studies":
            study = _number(keys, studies)
            if study is None:
                allowed = f"studies.0 to studies.{studies - 1}" if studies else "no 'studies' in this file"
                complaints.add(place, f"names no key of a study; there is {allowed}.")
                continue
            keys = keys[2:]
        found.append(Override(keys, node, study))
    return sorted(found, key=lambda override: override.study is not None)


def _number(keys: Sequence[str], studies: int | None) -> int | None:
    """Which study `studies.N.key` means."""
    if len(keys) < 3 or not keys[1].isdecimal() or not studies or int(keys[1]) >= studies:
        return None
    return int(keys[1])


def overridden(tree: Node, overrides: Sequence[Override], study: int, complaints: Complaints) -> Node:
    """A study with the options that are for it."""
    for override in overrides:
        if override.study in {None, study}:
            tree = _with(tree, override.keys, override.node, complaints)
    return tree


def _with(tree: Node, keys: Sequence[str], node: Node, complaints: Complaints) -> Node:
    """A tree with one value put in; mappings that it needs are made."""
    if not keys:
        return node
    key, rest = keys[0], keys[1:]
    if isinstance(tree.value, list):
        if not (key.isdecimal() and int(key) < len(tree.value)):
            complaints.add(
                node.place, f"'{key}' is none of the items 0 to {len(tree.value) - 1} of {shown(tree.plain)}."
            )
            return tree
        items = [
            _with(item, rest, node, complaints) if i == int(key) else item
            for i, item in enumerate(tree.value)
        ]
        return Node(items, tree.place)
    if tree.value is None or isinstance(tree.value, dict):
        entries = dict(tree.value or {})
        entries[key] = _with(
            _opened(key, entries.get(key, Node(None, node.place)), rest), rest, node, complaints
        )
        return tree.under(entries)
    complaints.add(node.place, f"{shown(tree.plain)} has no key '{key}'.")
    return tree


def _opened(key: str, node: Node, rest: Sequence[str]) -> Node:
    """A dataset or model that is given by its name only, as a mapping that options can be added to."""
    if rest and key in {"dataset", "model"} and isinstance(node.value, str):
        return node.under({"name": node})
    return node
