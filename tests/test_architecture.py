"""The shape of the project: tree, sizes, imports, public names, documents."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import evenhand
from evenhand import registry

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "evenhand"
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
    """docs/architecture.md names every folder and every file of the package, and no other."""
    block = re.search(r"```\nsrc/evenhand/\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S)
    assert block
    told, folders = set(), []
    for line in block[1].splitlines():
        entry = re.match(r"( *)(\S+)", line)
        assert entry
        depth = len(entry[1]) // 2
        name = entry[2]
        folders = folders[: depth - 1]
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
            told.add("/".join(folders))
        else:
            told |= {"/".join([*folders, n]) for n in re.findall(r"\w+\.py", line.split("  #")[0])}
    real = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if p.name != "__init__.py"}
    plugins = {f"judge/{kind}/" for kind in ("metrics", "disparities", "generative", "scorings")} | {
        f"finetune/{kind}/" for kind in ("models", "methods")
    }
    real = {p for p in real if not any(p.startswith(folder) for folder in plugins)}
    real |= {str(p.parent.relative_to(SOURCE)) for p in SOURCE.rglob("__init__.py")} - {"."}
    real |= {str(p.parent.relative_to(SOURCE)) for p in SOURCE.rglob("*.yaml")}
    assert told == real


def test_every_plug_in_and_command_is_in_the_documents():
    text = "\n".join(p.read_text() for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for package in (
        "evenhand.judge.metrics",
        "evenhand.judge.disparities",
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
