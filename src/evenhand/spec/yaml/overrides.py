"""Overrides: `-o key=value` replaces a value of the study file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.errors import SpecError
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.document import from_text
from evenhand.spec.yaml.tree import Node, Origin, format_value

_EXAMPLE = "-o methods.lora.rank=[1,8]"


@dataclass(frozen=True)
class Override:
    """One override.

    Attributes:
        keys: path of keys to the value.
        node: the value.
        study: number of the study to change; None changes all.
    """

    keys: tuple[str, ...]
    node: Node
    study: int | None


def read_overrides(texts: Sequence[str], studies: int | None, complaints: Complaints) -> list[Override]:
    """Read overrides.

    Args:
        texts: `key=value`, the value in YAML.
        studies: number of studies under `studies`; None for a file with a single study.
        complaints: collects complaints.

    Returns:
        Overrides for all studies first, so that those for a single study have priority.
    """
    parsed = []
    for number, text in enumerate(texts, start=1):
        key, equals, value = text.partition("=")
        origin = Origin(f"-o {text if len(text) <= 60 else text[:57] + '...'}", number, key, has_lines=False)
        location = origin.location(0, key)
        keys = tuple(part.strip() for part in key.split("."))
        if not equals or not all(keys):
            complaints.add(location, f"write key=value, as in {_EXAMPLE}.")
            continue
        try:
            node = from_text(value, origin, key)
        except SpecError as error:
            complaints.take(location, error)
            continue
        study = None
        if keys[0] == "studies":
            study = _study_number(keys, studies)
            if study is None:
                allowed = f"it has studies.0 to studies.{studies - 1}" if studies else "it has no 'studies'"
                complaints.add(location, f"is not a key of a study in this file; {allowed}.")
                continue
            keys = keys[2:]
        parsed.append(Override(keys, node, study))
    return sorted(parsed, key=lambda override: override.study is not None)


def _study_number(keys: Sequence[str], studies: int | None) -> int | None:
    """Parse the number of the study in `studies.N.key`; None when it is invalid."""
    if len(keys) < 3 or not keys[1].isdecimal() or not studies or int(keys[1]) >= studies:
        return None
    return int(keys[1])


def apply_overrides(tree: Node, overrides: Sequence[Override], study: int, complaints: Complaints) -> Node:
    """Apply the overrides for one study."""
    for override in overrides:
        if override.study in {None, study}:
            tree = _set_value(tree, override.keys, override.node, complaints)
    return tree


def _set_value(tree: Node, keys: Sequence[str], node: Node, complaints: Complaints) -> Node:
    """Return a tree with one value replaced; missing mappings on the path are created."""
    if not keys:
        return node
    key, rest = keys[0], keys[1:]
    if isinstance(tree.value, list):
        if not (key.isdecimal() and int(key) < len(tree.value)):
            complaints.add(
                node.location,
                f"'{key}' is not one of the items 0 to {len(tree.value) - 1} of {format_value(tree.plain)}.",
            )
            return tree
        items = [
            _set_value(item, rest, node, complaints) if i == int(key) else item
            for i, item in enumerate(tree.value)
        ]
        return Node(items, tree.location)
    if tree.value is None or isinstance(tree.value, dict):
        entries = dict(tree.value or {})
        entries[key] = _set_value(
            _as_mapping(key, entries.get(key, Node(None, node.location)), rest), rest, node, complaints
        )
        return tree.under(entries)
    complaints.add(node.location, f"{format_value(tree.plain)} has no key '{key}'.")
    return tree


def _as_mapping(key: str, node: Node, rest: Sequence[str]) -> Node:
    """Convert a dataset or model that is given by name only to a mapping, so that options can be added."""
    if rest and key in {"dataset", "model"} and isinstance(node.value, str):
        return node.under({"name": node})
    return node
