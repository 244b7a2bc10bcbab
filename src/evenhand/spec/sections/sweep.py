"""Sweeps: lists of values for options expand to arms, or models, for every combination."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.spec.base import Frozen
from evenhand.spec.wording import alternatives, schemas_at
from evenhand.spec.yaml.check import Complaints, schema_of
from evenhand.spec.yaml.tree import Node

MAX_COMBINATIONS = 1000


@dataclass(frozen=True)
class Combination:
    """One combination of options.

    Attributes:
        entries: the options, one value each.
        varied: the options that a list gave, in the order of the file.
    """

    entries: Mapping[str, Node]
    varied: tuple[str, ...]


def expand_lists(node: Node, models: Sequence[type[Frozen]], complaints: Complaints) -> list[Combination]:
    """Expand lists of values to all combinations.

    Args:
        node: a mapping of options.
        models: models with the options as fields; other options are not expanded.
        complaints: collects complaints about empty lists, and about too many combinations.

    Returns:
        The combinations, of which the last list varies fastest; empty after a complaint.
    """
    entries = node.value if isinstance(node.value, dict) else {}
    lists: dict[str, list[Node]] = {}
    for key, value in entries.items():
        model = next((m for m in models if key in m.model_fields), None)
        if model is not None and isinstance(value.value, list) and _is_sweep(model, key, value.value):
            lists[key] = value.value
            if not value.value:
                complaints.add(value.location, "got an empty list; give a value, or several.")
    if any(not values for values in lists.values()):
        return []
    size = math.prod(len(values) for values in lists.values())
    if size > MAX_COMBINATIONS:
        complaints.add(node.location, f"its lists make {size:,} combinations; at most {MAX_COMBINATIONS:,}.")
        return []
    return [
        Combination({**entries, **dict(zip(lists, values, strict=True))}, tuple(lists))
        for values in itertools.product(*lists.values())
    ]


def _is_sweep(model: type[Frozen], key: str, values: Sequence[Node]) -> bool:
    """Return True for a list of several values; for an option that is a list itself, only a list of lists."""
    depth = list_depth(model, key)
    return depth == 0 or (depth == 1 and any(isinstance(value.value, list) for value in values))


def list_depth(model: type[Frozen], key: str) -> int:
    """Return the depth of lists in one value of an option: 0 no list, 1 a list, 2 a list of lists."""
    schema = schema_of(model)
    lists = [schema_form for schema_form in schemas_at(schema, [key]) if schema_form.get("type") == "array"]
    inner = [schema_form for form in lists for schema_form in alternatives(form.get("items", {}), schema)]
    return bool(lists) + any(schema_form.get("type") == "array" for schema_form in inner)
