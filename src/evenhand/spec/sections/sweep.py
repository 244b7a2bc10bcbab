"""A list for an option makes several arms, or several models: every combination, each under its own name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.spec.base import Frozen
from evenhand.spec.wording import step, variants
from evenhand.spec.yaml.check import Complaints, schema_of
from evenhand.spec.yaml.tree import Node, Plain

MOST = 1000


@dataclass(frozen=True)
class Choice:
    """One combination.

    Attributes:
        entries: the options, one value each.
        varied: of those, the ones that a list gave, in the order of the file.
    """

    entries: Mapping[str, Node]
    varied: tuple[str, ...]


def choices(node: Node, models: Sequence[type[Frozen]], complaints: Complaints) -> list[Choice]:
    """Take the lists apart.

    Args:
        node: a mapping of options.
        models: whose fields the options are; other options are left as they are.
        complaints: takes empty lists, and too many combinations.

    Returns:
        The last list varies fastest; empty when there was something to complain of.
    """
    entries = node.value if isinstance(node.value, dict) else {}
    lists: dict[str, list[Node]] = {}
    for key, value in entries.items():
        model = next((m for m in models if key in m.model_fields), None)
        if model is not None and isinstance(value.value, list) and _is_sweep(model, key, value.value):
            lists[key] = value.value
            if not value.value:
                complaints.add(value.place, "got an empty list; give a value, or several.")
    if any(not values for values in lists.values()):
        return []
    size = math.prod(len(values) for values in lists.values())
    if size > MOST:
        complaints.add(node.place, f"its lists make {size:,} combinations; at most {MOST:,}.")
        return []
    return [
        Choice({**entries, **dict(zip(lists, values, strict=True))}, tuple(lists))
        for values in itertools.product(*lists.values())
    ]


def _is_sweep(model: type[Frozen], key: str, values: Sequence[Node]) -> bool:
    """Whether a list is several values: of an option that is a list itself, only a list of lists is."""
    depth = list_depth(model, key)
    return depth == 0 or (depth == 1 and any(isinstance(value.value, list) for value in values))


def list_depth(model: type[Frozen], key: str) -> int:
    """How an option takes lists: 0 not at all, 1 a list as one value, 2 a list of lists as one value."""
    schema = schema_of(model)
    lists = [form for form in step(schema, [key]) if form.get("type") == "array"]
    inner = [form for one in lists for form in variants(one.get("items", {}), schema)]
    return bool(lists) + any(form.get("type") == "array" for form in inner)


def labelled(name: str, varied: Mapping[str, Plain]) -> str:
    """The name of a combination: `lora[rank=8,alpha=16]`."""
    return (
        f"{name}[{','.join(f'{key}={_short(value)}' for key, value in varied.items())}]" if varied else name
    )


def _short(value: Plain) -> str:
    """A value in a name; equal numbers look the same."""
    if isinstance(value, list):
        return "+".join(_short(item) for item in value)
    if isinstance(value, dict):
        return "+".join(f"{key}:{_short(item)}" for key, item in value.items())
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
