"""Plain data that knows where it stands: in which line of a file, or in which option of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was given.

    Attributes:
        head: `study.yaml:7`, or the option.
        key: dotted key.
        order: complaints are shown in this order.
        told: dotted key that the head says already.
    """

    head: str
    key: str
    order: tuple[int, int]
    told: str = ""

    def __str__(self) -> str:
        return self.head if self.key in {"", self.told} else f"{self.head}, {self.key}"

    def child(self, key: str | int) -> Place:
        """The place of a key that should stand here and does not."""
        return replace(self, key=f"{self.key}.{key}" if self.key else str(key))


@dataclass(frozen=True, slots=True)
class Origin:
    """What places are made of.

    Attributes:
        title: a file's name, or an option.
        stage: 0 for a file, then the number of the option.
        told: dotted key that the title says already.
        lined: whether there are lines worth telling.
    """

    title: str
    stage: int = 0
    told: str = ""
    lined: bool = True

    def place(self, line: int, key: str) -> Place:
        """The place of a key; line 0 is the whole."""
        head = f"{self.title}:{line}" if self.lined and line else self.title
        return Place(head, key, (self.stage, line), self.told)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place

    @property
    def plain(self) -> Plain:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def find(self, keys: Sequence[str]) -> Place:
        """The place of an option, or of a name in its list; of one that is left out, where it would stand.

        Args:
            keys: the keys down to the option, and perhaps a name among several.
        """
        node = self
        for name in keys:
            if isinstance(node.value, dict):
                if name not in node.value:
                    return node.place.child(name)
                node = node.value[name]
            elif isinstance(node.value, list):
                node = next((one for one in node.value if str(one.value) == name), node)
        return node.place

    def under(self, value: Mapping[str, Node]) -> Node:
        """Other entries at the same place."""
        return Node(dict(value), self.place)


def merged(base: Node, own: Node) -> Node:
    """The entries of two mappings, deeply; of two values that are no mappings the second."""
    if not (isinstance(base.value, dict) and isinstance(own.value, dict)):
        return own
    entries = dict(base.value)
    for key, node in own.value.items():
        entries[key] = merged(entries[key], node) if key in entries else node
    return own.under(entries)


def shown(value: object) -> str:
    """A value as a file would have it, cut where it is long."""
    text = _flow(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _flow(value: object) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(entry) for entry in value) + "]"
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)
