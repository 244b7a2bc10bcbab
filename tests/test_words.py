"""The words of the project: names are nouns of the field, and sentences its plain English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "evenhand"
FILES = sorted(SOURCE.rglob("*.py"))
#: Participles that say that something was done, and not what the thing is.
FILLERS = {
    "told",
    "found",
    "said",
    "given",
    "kept",
    "made",
    "own",
    "place",
    "seen",
    "wanted",
    "whole",
    "asked",
}
#: Names that contracts fix: a key of template files.
FIXED = {"asked"}
#: Turns of phrase that are not the field's English.
PATTERNS = {
    "'is no X' for 'is not an X'": (
        r"\b(?:is|are|was|were) no (?!longer\b|more\b|fewer\b|less\b|larger\b|better\b)[a-z]"
    ),
    "'is there' for 'was found'": r"\b(?:is|are) (?:not )?there\b(?! \w)",
    "'can be told' for 'can be detected'": r"\bcan(?:not)? be told\b|\btold apart\b",
    "'goes with' for 'is associated with'": r"\bgo(?:es)? with\b",
    "'whoever'": r"\bwhoever\b",
}
QUESTION = re.compile(r"\s*(?:What|Whether|Which|How|Why|Whom|Who)\b")


def bindings(tree):
    """Every name that a module binds: variables, parameters, functions, classes, fields, aliases."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, getattr(node, "lineno", 0)


def docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = (node for node in ast.walk(tree) if isinstance(node, kinds))
    return {id(node.body[0].value): node for node in nodes if ast.get_docstring(node) is not None}


def sentences(tree):
    """Texts of a module with at least three words: messages and parts of them, without docstrings."""
    skipped = docstrings(tree)
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in skipped else None
        if isinstance(text, str) and len(re.findall(r"[a-z]{2,}", text)) >= 3:
            yield text, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_names_say_the_thing(path):
    tree = ast.parse(path.read_text())
    found = [(n, line) for n, line in bindings(tree) if {*n.strip("_").lower().split("_")} & FILLERS]
    assert [entry for entry in found if entry[0] not in FIXED] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_docstrings_do_not_begin_with_a_question(path):
    tree = ast.parse(path.read_text())
    texts = [ast.get_docstring(node) for node in docstrings(tree).values()]
    assert [text.splitlines()[0] for text in texts if QUESTION.match(text)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_messages_are_plain_english(path):
    texts = list(sentences(ast.parse(path.read_text())))
    found = [
        (name, line, text)
        for name, pattern in PATTERNS.items()
        for text, line in texts
        if re.search(pattern, text)
    ]
    assert found == []
