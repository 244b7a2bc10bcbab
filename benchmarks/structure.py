"""How easy the code is to read, in numbers, beside other packages.

    python -m benchmarks.structure fairlearn click

Counted with the parser and the tokenizer. A line of code has a token that is no comment, docstring or line
break. A registry (a folder of files of one form) counts like any folder. The calls between files are those
that docs/architecture.md walks, which a test follows.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

FILLERS = {"told", "found", "place"}
ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def docstring_lines(tree):
    lines = set()
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node) is not None:
            lines |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def bound(tree):
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def untyped_documents(tree):
    """Signatures that take or give `dict[str, Any]` or `Mapping[str, Any]`."""
    pattern = re.compile(r"(?:dict|Mapping)\[str, Any\]")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            given = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs) if a.annotation]
            texts = [ast.unparse(a) for a in (*given, *([node.returns] if node.returns else []))]
            yield from (text for text in texts if pattern.search(text))


def measure(folder: Path):
    files = [p for p in folder.rglob("*.py") if "tests" not in p.relative_to(folder).parts]
    code = comments = fillers = documents = rows = 0
    for path in files:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        skipped, lines, remarks = docstring_lines(tree), set(), set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                remarks.add(token.start[0])
            elif token.type not in SKIPPED:
                lines |= set(range(token.start[0], token.end[0] + 1))
        code += len(lines - skipped)
        comments += len(remarks)
        fillers += sum(bool({*name.strip("_").lower().split("_")} & FILLERS) for name in bound(tree))
        documents += sum(1 for _ in untyped_documents(tree))
        rows += len(re.findall(r"(?m)^class \w*Row\b", text))
    folders = Counter(path.parent for path in files if path.name != "__init__.py")
    flat = max(folders.values())
    return {
        "files": len(files),
        "lines of code": code,
        "most files flat in one folder": flat,
        "told, found, place bound per 1,000 lines of code": round(1000 * fillers / code, 1),
        "comment lines per 100 lines of code": round(100 * comments / code, 1),
        "dict[str, Any] in signatures": documents,
        "typed rows": rows,
    }


def walks():
    """Calls between files, by walk of docs/architecture.md; another process counts like a file."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.findall(r"- \*\*(.+?)\*\*: (.*?)(?:\.\n|;)", text, re.S)
    return {name: len(re.findall(r"`[\w/]+\.py`", walk)) - 1 for name, walk in found}


if __name__ == "__main__":
    table = {"evenhand": measure(ROOT / "src" / "evenhand")}
    for name in sys.argv[1:]:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"{name}: package not found")
        table[name] = measure(Path(next(iter(spec.submodule_search_locations))))
    for key in table["evenhand"]:
        print(f"{key:<50}", *(f"{column[key]:>10}" for column in table.values()))
    print(f"{'':<50}", *(f"{name:>10}" for name in table))
    for name, calls in walks().items():
        print(f"calls between files, {name.lower()}: {calls}")
