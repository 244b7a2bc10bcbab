"""Plain data with locations: the line of a file, or the option of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Location:
    """Location of a value.

    Attributes:
        head: `study.yaml:7`, or the option.
        key: dotted key.
        order: sort key of complaints.
        key_in_head: dotted key that the head already contains, and that is not repeated.
    """

    head: str
    key: str
    order: tuple[int, int]
    key_in_head: str = ""

    def __str__(self) -> str:
        return self.head if self.key in {"", self.key_in_head} else f"{self.head}, {self.key}"

    def child(self, key: str | int) -> Location:
        """Return the location of a missing key below this one."""
        return replace(self, key=f"{self.key}.{key}" if self.key else str(key))


@dataclass(frozen=True, slots=True)
class Origin:
    """Source of values, from which locations are made.

    Attributes:
        title: a file's name, or an option.
        stage: 0 for a file, then the number of the option.
        key_in_head: dotted key that the title already contains.
        has_lines: True when messages should give line numbers.
    """

    title: str
    stage: int = 0
    key_in_head: str = ""
    has_lines: bool = True

    def location(self, line: int, key: str) -> Location:
        """Make the location of a key; line 0 is the whole source."""
        head = f"{self.title}:{line}" if self.has_lines and line else self.title
        return Location(head, key, (self.stage, line), self.key_in_head)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its location."""

    value: Scalar | list[Node] | dict[str, Node]
    location: Location

    @property
    def plain(self) -> Plain:
        """The value without locations."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def find_location(self, keys: Sequence[str]) -> Location:
        """Find the location of an option, or of a name in its list; a missing option has its parent's line.

        Args:
            keys: path of keys to the option, and possibly a name in its list.
        """
        node = self
        for name in keys:
            if isinstance(node.value, dict):
                if name not in node.value:
                    return node.location.child(name)
                node = node.value[name]
            elif isinstance(node.value, list):
                node = next((item for item in node.value if str(item.value) == name), node)
        return node.location

    def under(self, value: Mapping[str, Node]) -> Node:
        """Make a mapping with other entries at the same location."""
        return Node(dict(value), self.location)


def merge(base: Node, overriding: Node) -> Node:
    """Merge two mappings recursively; of other values, the second has priority."""
    if not (isinstance(base.value, dict) and isinstance(overriding.value, dict)):
        return overriding
    entries = dict(base.value)
    for key, node in overriding.value.items():
        entries[key] = merge(entries[key], node) if key in entries else node
    return overriding.under(entries)


def format_value(value: object) -> str:
    """Format a value as in a file, truncated to 60 characters."""
    text = _format_flow(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _format_flow(value: object) -> str:
    """Format a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_format_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_format_flow(entry) for entry in value) + "]"
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)
