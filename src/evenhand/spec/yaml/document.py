"""YAML 1.2, or data from Python, as a tree of values with locations.

PyYAML follows YAML 1.1, where `1e-4` is a text and `no` is false; here scalars follow YAML 1.2. Trees hold
plain data only: mappings, lists, texts, numbers, true, false, null.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from evenhand.errors import SpecError
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.tree import Location, Node, Origin, Scalar, format_value

MAX_BYTES = 1_000_000
#: Limit against aliases that expand a short file; a study has some hundred values.
MAX_VALUES = 20_000
MAX_DEPTH = 30

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
    """The parser with the scalars of YAML 1.2; its constructors are not used."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, (_pattern, _first) in _SCALARS.items():
    _starts = [*_first, ""] if _name == "null" else [*_first]
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _starts)


def from_file(path: Path, origin: Origin) -> Node:
    """Read a file.

    Raises:
        SpecError: it cannot be read, or it is not YAML of mappings, lists and scalars.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{origin.location(line, '')}: this is not UTF-8 text; is it a study file?") from None
    except OSError as error:
        raise SpecError(f"{origin.title}: cannot be read: {error.strerror or error}.") from None
    if len(content) > MAX_BYTES:
        raise SpecError(f"{origin.title}: has more than {MAX_BYTES:,} bytes; is it a study file?")
    return from_text(text, origin)


def from_text(text: str, origin: Origin, key: str = "") -> Node:
    """Read a text.

    Args:
        text: YAML.
        origin: source of the text.
        key: dotted key of the root.

    Raises:
        SpecError: it is not YAML of mappings, lists and scalars; all complaints as far as it can be parsed.
    """
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise SpecError(_describe_syntax_error(error, origin, key)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(error.character) if isinstance(error.character, str) else error.character:04X}"
        raise SpecError(
            f"{origin.location(line, key)}: the character {code} is not allowed in YAML."
        ) from None
    except RecursionError:
        raise SpecError(f"{origin.location(0, key)}: is nested too deeply.") from None
    except (ValueError, OverflowError):
        raise SpecError(
            f"{origin.location(0, key)}: invalid YAML: an escape does not name a character."
        ) from None
    complaints = Complaints()
    tree = (
        Node(None, origin.location(0, key))
        if root is None
        else _TreeBuilder(origin, complaints).node(root, 0, key)
    )
    complaints.raise_if_any()
    return tree


def _describe_syntax_error(error: yaml.MarkedYAMLError, origin: Origin, key: str) -> str:
    """Describe a syntax error in one sentence."""
    mark = error.problem_mark or error.context_mark
    location = origin.location(mark.line + 1 if mark else 0, key)
    problem = error.problem or "it ends too early"
    if "'\\t'" in problem:
        return f"{location}: found a tab; YAML is indented with spaces."
    context = f" ({error.context})" if error.context else ""
    return f"{location}: invalid YAML: {problem}{context}."


class _TreeBuilder:
    """Builds a tree from the parser's nodes, with aliases resolved, and collects complaints."""

    def __init__(self, origin: Origin, complaints: Complaints) -> None:
        self.origin, self.complaints = origin, complaints
        self.values = 0

    def node(self, node: yaml.Node, line: int, key: str, depth: int = 0) -> Node:
        """Build the tree of a node; `line` is that of its key."""
        self.values += 1
        location = self.origin.location(line or (node.start_mark.line + 1 if depth else 0), key)
        if self.values > MAX_VALUES:
            raise SpecError(f"{location}: the aliases of this file make more than {MAX_VALUES:,} values.")
        if depth > MAX_DEPTH:
            raise SpecError(f"{location}: is nested more than {MAX_DEPTH} deep.")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return Node(dict(self._entries(node, key, depth)), location)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items = enumerate(node.value)
            return Node([self.node(item, 0, _join_key(key, i), depth + 1) for i, item in items], location)
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, location), location)
        self.complaints.add(location, f"the tag {node.tag} is not allowed; a study is plain data.")
        return Node(None, location)

    def _entries(self, node: yaml.MappingNode, key: str, depth: int) -> Iterator[tuple[str, Node]]:
        """Yield keys and values; merged ones (`<<: *name`) first, so that the mapping's own override them."""
        if depth > MAX_DEPTH:
            raise SpecError(f"{self.origin.location(node.start_mark.line + 1, key)}: merges itself.")
        for name, value in node.value:
            if name.tag == _TAG + "merge":
                yield from self._merged(value, key, depth)
        lines: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if name.tag == _TAG + "merge":
                continue
            if not isinstance(name, yaml.ScalarNode):
                self.complaints.add(
                    self.origin.location(line, key), "a key must be a text, not a list or mapping."
                )
                continue
            # A key is taken as a text, whatever scalar it looks like: a column may be called 1 or true.
            text = _check_text(self.complaints, name.value, self.origin.location(line, key))
            if text in lines:
                first = f" (first in line {lines[text]})" if self.origin.has_lines else ""
                self.complaints.add(
                    self.origin.location(line, _join_key(key, text)), f"this key is given twice{first}."
                )
            lines.setdefault(text, line)
            yield text, self.node(value, line, _join_key(key, text), depth + 1)

    def _merged(self, value: yaml.Node, key: str, depth: int) -> Iterator[tuple[str, Node]]:
        """Yield the entries of mappings that `<<` merges; the first of several has priority."""
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode):
                yield from self._entries(source, key, depth + 1)
            else:
                location = self.origin.location(value.start_mark.line + 1, key)
                self.complaints.add(location, "'<<' merges mappings only.")

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Scalar:
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "merge"}:
            return _check_text(self.complaints, node.value, location)
        if kind not in _SCALAR_PARSERS:
            self.complaints.add(location, f"the tag {node.tag} is not allowed; a study is plain data.")
            return None
        word, read = _SCALAR_PARSERS[kind]
        try:
            return read(node.value)
        except (ValueError, KeyError):
            self.complaints.add(location, f"got {format_value(node.value)}; must be {word}.")
            return None


def _check_text(complaints: Complaints, text: str, location: Location) -> str:
    """Check that a text can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        complaints.add(location, f"got {text!a}; half of a surrogate pair is not a character.")
        return ""
    return text


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALAR_PARSERS: dict[str, tuple[str, Callable[[str], Scalar]]] = {
    "null": ("null", lambda _: None),
    "bool": ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    "int": ("an integer of at most 4,300 digits", _integer),
    "float": ("a number", _number),
}


def from_python(data: Mapping[str, object], origin: Origin) -> Node:
    """Build a tree from plain data of Python: mappings, lists, tuples, texts, numbers, paths, numpy scalars.

    Raises:
        SpecError: it contains other values; every complaint.
    """
    taker = _PythonTreeBuilder(origin, Complaints())
    tree = taker.take(data, "")
    taker.complaints.raise_if_any()
    return tree


class _PythonTreeBuilder:
    """Builds a tree from data of Python, and collects complaints."""

    def __init__(self, origin: Origin, complaints: Complaints) -> None:
        self.origin, self.complaints = origin, complaints
        self.values = 0

    def take(self, data: object, key: str, depth: int = 0) -> Node:
        """Build the tree of a value; the order of the values serves as line numbers."""
        self.values += 1
        location = self.origin.location(self.values, key)
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise SpecError(f"{location}: is nested more than {MAX_DEPTH} deep, or has too many values.")
        if isinstance(data, Mapping):
            entries = {}
            for name, value in data.items():
                if isinstance(name, str):
                    entries[_check_text(self.complaints, name, location)] = self.take(
                        value, _join_key(key, name), depth + 1
                    )
                else:
                    self.complaints.add(location, f"the key {format_value(name)} must be a text.")
            return Node(entries, location)
        if isinstance(data, list | tuple):
            return Node([self.take(v, _join_key(key, i), depth + 1) for i, v in enumerate(data)], location)
        return Node(self._scalar(data, location), location)

    def _scalar(self, data: object, location: Location) -> Scalar:
        if isinstance(data, os.PathLike):
            data = os.fspath(data)
        elif hasattr(data, "item") and getattr(data, "shape", None) == ():
            data = data.item()
        if isinstance(data, str):
            return _check_text(self.complaints, str(data), location)
        if data is None or isinstance(data, bool | int | float):
            return data
        kind = type(data).__name__
        self.complaints.add(
            location, f"got a {kind}; a study is plain data: mappings, lists, texts, numbers."
        )
        return None


def _join_key(key: str, name: str | int) -> str:
    return f"{key}.{name}" if key else str(name)
