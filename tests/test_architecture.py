"""The shape of the project: tree, sizes, imports, public names, documents."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import evenhand
from evenhand import registry

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "evenhand"
FOLDERS = [
    p
    for p in (SOURCE, *SOURCE.rglob("*"))
    if p.is_dir() and p.name != "__pycache__" and any(f.is_file() for f in p.iterdir())
]
REGISTRIES = {
    "datasets",
    "cli",
    "finetune/methods",
    "finetune/models",
    *(f"judge/{kind}" for kind in ("metrics", "disparities", "attacks", "generative", "scorings")),
}
HEAVY = ("torch", "transformers", "peft", "pandas", "sklearn", "fairlearn", "altair", "matplotlib")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code + "\nimport sys\nprint(' '.join(m for m in sys.modules if '.' not in m))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split("\n")[-2].split())


def test_importing_the_package_imports_nothing_heavy():
    loaded = modules_after("import evenhand")
    assert not loaded & {*HEAVY, "numpy", "scipy", "duckdb", "click", "rich", "pyarrow"}


def test_help_imports_nothing_heavy():
    loaded = modules_after("from evenhand.cli import main\nmain(['--help'])")
    assert not loaded & {*HEAVY, "numpy", "scipy", "duckdb", "rich", "pyarrow"}


def test_an_audit_of_files_imports_nothing_heavy(tmp_path):
    (tmp_path / "a.csv").write_text(
        "example_id,label,prediction,g\n"
        + "".join(f"{i},{i % 2},{i % 3 == 0:d},{'ab'[i % 2]}\n" for i in range(60))
    )
    call = ["audit", str(tmp_path / "a.csv"), "--by", "g", "--json", str(tmp_path / "o.json")]
    code = f"from evenhand.cli import main\nassert main({call!r}) == 0"
    assert not modules_after(code) & {*HEAVY, "pyarrow"}


def test_an_attack_on_files_imports_nothing_heavy(tmp_path):
    rows = "".join(f"{i},{i % 2},{i % 7},{i % 5},{'ab'[i % 3 == 0]}\n" for i in range(60))
    (tmp_path / "a.csv").write_text("example_id,in_training,loss,margin,g\n" + rows)
    call = ["attack", str(tmp_path / "a.csv"), "--by", "g", "--json", str(tmp_path / "o.json")]
    code = f"from evenhand.cli import main\nassert main({call!r}) == 0"
    assert not modules_after(code) & {*HEAVY, "pyarrow"}


def test_public_names():
    assert sorted(evenhand.__all__) == evenhand.__all__
    assert len(evenhand.__all__) <= 20
    for name in evenhand.__all__:
        assert getattr(evenhand, name) is not None
    with pytest.raises(AttributeError, match="audits"):
        evenhand.audits  # noqa: B018


def test_sizes():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) < 400, (
            f"{path.relative_to(ROOT)} holds more than one concept"
        )
    for page in ("judge", "study", "finetune"):
        assert len((SOURCE / page / "run.py").read_text().splitlines()) <= 150


def test_the_tree_in_the_documents_is_the_tree():
    """docs/architecture.md names every folder of the package, no other, and files that exist."""
    block = re.search(r"```\nsrc/evenhand/\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S)
    assert block
    folders, files, path = set(), set(), []
    for line in block[1].splitlines():
        entry = re.match(r"( *)(\S+)", line)
        assert entry
        path = path[: len(entry[1]) // 2 - 1]
        if entry[2].endswith("/"):
            path.append(entry[2].rstrip("/"))
            folders.add("/".join(path))
        else:
            files.add("/".join([*path, entry[2]]))
    assert folders == {str(p.relative_to(SOURCE)) for p in FOLDERS} - {"."}
    assert all((SOURCE / name).is_file() for name in files)
    assert len(files) <= 12


def test_folders_hold_a_dozen_files():
    """Entries of a registry do not count: each is a file of the same form, and a name of the user's."""
    for folder in FOLDERS:
        names = [p.stem for p in folder.glob("*.py") if p.name != "__init__.py"]
        if str(folder.relative_to(SOURCE)) in REGISTRIES:
            continue
        assert len(names) <= 12, f"{folder.relative_to(ROOT)} has {len(names)} files"
        prefixes = Counter(name.partition("_")[0] for name in names if "_" in name.strip("_"))
        shared = [prefix for prefix, count in prefixes.items() if count >= 3]
        assert not shared, f"{folder.relative_to(ROOT)}: {shared} are folders that were not made"


def imports():
    """Which modules of the package a module imports, also within functions and for types only."""
    modules = {
        ".".join(p.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): p
        for p in SOURCE.rglob("*.py")
    }
    found = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                each = [f"{node.module}.{alias.name}" for alias in node.names]
                found[name] |= {one if one in modules else node.module for one in each}
    return found


def test_no_modules_import_each_other():
    """The whole graph can be taken apart from below: what is left would be a circle."""
    left = imports()
    assert sum(map(len, left.values())) > 1000
    while free := [name for name, uses in left.items() if not uses & left.keys()]:
        for name in free:
            del left[name]
    assert not left, {name: sorted(uses & left.keys()) for name, uses in left.items()}


def test_the_ways_through_the_code_are_as_documented():
    """Every arrow in docs/architecture.md is an import, or a process or plug-in that is loaded by name."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text[text.index("## From a command to the arithmetic") : text.index("Why influence values")]
    steps = [
        re.findall(r"(⇒|→)?\s*`([\w/]+\.py)`", walk)
        for walk in re.findall(r"\*\*: (.*?)(?:\.\n|;)", section, re.S)
    ]
    assert [len(walk) for walk in steps] == [4, 2, 3, 3, 3, 5]
    modules = imports()
    loaded = {"judge/metrics/accuracy.py": ".compute(", "finetune/run.py": "trainer"}
    for walk in steps:
        names = ["evenhand." + path.removesuffix(".py").replace("/", ".") for _, path in walk]
        for (_, before), (arrow, after), caller, called in zip(
            walk, walk[1:], names, names[1:], strict=False
        ):
            source = (SOURCE / before).read_text()
            if after in loaded:
                assert loaded[after] in source
                assert (SOURCE / after).is_file()
            elif arrow == "⇒":
                assert called in (SOURCE / "study/workers/process.py").read_text()
                assert "evenhand.study.workers.messages" in modules[caller] & modules[called]
            else:
                assert called in modules[caller], f"{before} does not import {after}"


def test_every_plug_in_and_command_is_in_the_documents():
    text = "\n".join(p.read_text() for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for package in (
        "evenhand.judge.metrics",
        "evenhand.judge.disparities",
        "evenhand.judge.attacks",
        "evenhand.judge.generative",
        "evenhand.judge.scorings",
        "evenhand.datasets",
        "evenhand.finetune.methods",
        "evenhand.finetune.models",
        "evenhand.cli",
    ):
        for name in registry.names(package):
            assert name in text, f"{name} is in no document"


def test_no_trace_of_a_machine_in_what_is_committed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ".yaml", ".j2", ".js", ".css"}:
            text = path.read_text()
            assert not re.search(r"/(root|home|work|Users)/\w", text), name
