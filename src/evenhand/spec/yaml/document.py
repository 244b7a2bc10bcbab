"""YAML 1.2, or data from Python, as a tree of values with their lines.

PyYAML follows YAML 1.1, where `1e-4` is a text and `no` is false; here scalars are what YAML 1.2 says. Only
plain data is made: mappings, lists, texts, numbers, true, false, null.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from evenhand.errors import SpecError
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.tree import Node, Origin, Place, Scalar, shown

MOST_BYTES = 1_000_000
#: Aliases can make a short file long: a study has some hundred values.
MOST_VALUES = 20_000
DEEPEST = 30

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": (r"<<", "<"),
}


class _Loader(yaml.SafeLoader):
    """The parser with the scalars of YAML 1.2; none of its constructors is used."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, (_pattern, _first) in _SCALARS.items():
    _starts = [*_first, ""] if _name == "null" else [*_first]
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _starts)


def from_file(path: Path, origin: Origin) -> Node:
    """Read a file.

    Raises:
        SpecError: it cannot be read, or it is no YAML of mappings, lists and scalars.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{origin.place(line, '')}: this is no text in UTF-8; is it a study file?") from None
    except OSError as error:
        raise SpecError(f"{origin.title}: cannot be read: {error.strerror or error}.") from None
    if len(content) > MOST_BYTES:
        raise SpecError(f"{origin.title}: has more than {MOST_BYTES:,} bytes; is it a study file?")
    return from_text(text, origin)


def from_text(text: str, origin: Origin, key: str = "") -> Node:
    """Read a text.

    Args:
        text: YAML.
        origin: where it comes from.
        key: dotted key of the whole.

    Raises:
        SpecError: it is no YAML of mappings, lists and scalars; every complaint that can be known.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise SpecError(_syntax(error, origin, key)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(error.character) if isinstance(error.character, str) else error.character:04X}"
        raise SpecError(f"{origin.place(line, key)}: the character {code} is not allowed in YAML.") from None
    except RecursionError:
        raise SpecError(f"{origin.place(0, key)}: is nested too deeply.") from None
    except (ValueError, OverflowError):
        raise SpecError(f"{origin.place(0, key)}: is no valid YAML: an escape names no character.") from None
    complaints = Complaints()
    tree = (
        Node(None, origin.place(0, key)) if root is None else _Builder(origin, complaints).node(root, 0, key)
    )
    complaints.refuse()
    return tree


def _syntax(error: yaml.MarkedYAMLError, origin: Origin, key: str) -> str:
    """One sentence about what the parser could not read."""
    mark = error.problem_mark or error.context_mark
    place = origin.place(mark.line + 1 if mark else 0, key)
    problem = error.problem or "it ends too early"
    if "'\\t'" in problem:
        return f"{place}: there is a tab; YAML is indented with spaces."
    context = f" ({error.context})" if error.context else ""
    return f"{place}: this is no valid YAML: {problem}{context}."


class _Builder:
    """Walks the parser's nodes, aliases followed, and collects what cannot stand in a study."""

    def __init__(self, origin: Origin, complaints: Complaints) -> None:
        self.origin, self.complaints = origin, complaints
        self.values = 0

    def node(self, node: yaml.Node, line: int, key: str, depth: int = 0) -> Node:
        """A node as a tree; `line` is that of its key."""
        self.values += 1
        place = self.origin.place(line or (node.start_mark.line + 1 if depth else 0), key)
        if self.values > MOST_VALUES:
            raise SpecError(f"{place}: the aliases of this file make more than {MOST_VALUES:,} values.")
        if depth > DEEPEST:
            raise SpecError(f"{place}: is nested more than {DEEPEST} deep.")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return Node(dict(self._entries(node, key, depth)), place)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items = enumerate(node.value)
            return Node([self.node(item, 0, _joined(key, i), depth + 1) for i, item in items], place)
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, place), place)
        self.complaints.add(place, f"the tag {node.tag} is not allowed; a study is plain data.")
        return Node(None, place)

    def _entries(self, node: yaml.MappingNode, key: str, depth: int) -> Iterator[tuple[str, Node]]:
        """Keys and values; merged ones (`<<: *name`) first, so that the mapping's own win."""
        if depth > DEEPEST:
            raise SpecError(f"{self.origin.place(node.start_mark.line + 1, key)}: merges itself.")
        for name, value in node.value:
            if name.tag == _TAG + "merge":
                yield from self._merged(value, key, depth)
        seen: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if name.tag == _TAG + "merge":
                continue
            if not isinstance(name, yaml.ScalarNode):
                self.complaints.add(self.origin.place(line, key), "a key is a text, not a list or mapping.")
                continue
            # A key is what stands there: a column may be called 1 or true.
            text = _text(self.complaints, name.value, self.origin.place(line, key))
            if text in seen:
                first = f" (first in line {seen[text]})" if self.origin.lined else ""
                self.complaints.add(
                    self.origin.place(line, _joined(key, text)), f"this key is given twice{first}."
                )
            seen.setdefault(text, line)
            yield text, self.node(value, line, _joined(key, text), depth + 1)

    def _merged(self, value: yaml.Node, key: str, depth: int) -> Iterator[tuple[str, Node]]:
        """Entries of mappings that `<<` takes in; of several the first wins."""
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode):
                yield from self._entries(source, key, depth + 1)
            else:
                place = self.origin.place(value.start_mark.line + 1, key)
                self.complaints.add(place, "'<<' takes in mappings only.")

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Scalar:
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "merge"}:
            return _text(self.complaints, node.value, place)
        if kind not in _READ:
            self.complaints.add(place, f"the tag {node.tag} is not allowed; a study is plain data.")
            return None
        word, read = _READ[kind]
        try:
            return read(node.value)
        except (ValueError, KeyError):
            self.complaints.add(place, f"got {shown(node.value)}; must be {word}.")
            return None


def _text(complaints: Complaints, text: str, place: Place) -> str:
    """A text that can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        complaints.add(place, f"got {text!a}; half of a surrogate pair is no character.")
        return ""
    return text


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_READ: dict[str, tuple[str, Callable[[str], Scalar]]] = {
    "null": ("null", lambda _: None),
    "bool": ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    "int": ("an integer of at most 4,300 digits", _integer),
    "float": ("a number", _number),
}


def from_python(given: Mapping[str, object], origin: Origin) -> Node:
    """Take plain data from Python: mappings, lists, tuples, texts, numbers, paths, scalars of numpy.

    Raises:
        SpecError: there is something else in it; every complaint.
    """
    taker = _Taker(origin, Complaints())
    tree = taker.take(given, "")
    taker.complaints.refuse()
    return tree


class _Taker:
    """Walks data of Python, and collects what cannot stand in a study."""

    def __init__(self, origin: Origin, complaints: Complaints) -> None:
        self.origin, self.complaints = origin, complaints
        self.values = 0

    def take(self, given: object, key: str, depth: int = 0) -> Node:
        """A value as a tree; the order of the values takes the place of lines."""
        self.values += 1
        place = self.origin.place(self.values, key)
        if depth > DEEPEST or self.values > MOST_VALUES:
            raise SpecError(f"{place}: is nested more than {DEEPEST} deep, or has too many values.")
        if isinstance(given, Mapping):
            entries = {}
            for name, value in given.items():
                if isinstance(name, str):
                    entries[_text(self.complaints, name, place)] = self.take(
                        value, _joined(key, name), depth + 1
                    )
                else:
                    self.complaints.add(place, f"the key {shown(name)} must be a text.")
            return Node(entries, place)
        if isinstance(given, list | tuple):
            return Node([self.take(v, _joined(key, i), depth + 1) for i, v in enumerate(given)], place)
        return Node(self._scalar(given, place), place)

    def _scalar(self, given: object, place: Place) -> Scalar:
        if isinstance(given, os.PathLike):
            given = os.fspath(given)
        elif hasattr(given, "item") and getattr(given, "shape", None) == ():
            given = given.item()
        if isinstance(given, str):
            return _text(self.complaints, str(given), place)
        if given is None or isinstance(given, bool | int | float):
            return given
        kind = type(given).__name__
        self.complaints.add(place, f"got a {kind}; a study is plain data: mappings, lists, texts, numbers.")
        return None


def _joined(key: str, name: str | int) -> str:
    return f"{key}.{name}" if key else str(name)
