"""What every dataset must do, whichever there are."""

import ast
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from evenhand import registry
from evenhand.datasets import DatasetInfo, check_split, find_leaks, split
from tests.datasets import sample

PACKAGE = "evenhand.datasets"
NAMES = registry.names(PACKAGE)
HELD = {"evenhand", "numpy", "__future__"}


def options(name, folder):
    """Options with which a dataset can be loaded here and now."""
    folder.mkdir(exist_ok=True)
    if name == "table":
        return {"path": sample.write_csv(folder / "t.csv", sample.posts()), "text": "text", "id": "name",
                "by": ("group",), "memberships": ("target_*",)}  # fmt: skip
    if name == "utkface":
        return {"path": sample.faces(folder)}
    if name == "dlab_hate_speech":
        rows = [sample.annotation(i, 1, i % 2, f"words {i}", "religion_jewish") for i in range(20)]
        return {"path": sample.write_csv(folder / "d.csv", rows)}
    if name == "winomt":
        lines = [
            f"The cook met the guard because {p} was late{i}. ||| Asci{i}."
            for i in range(9)
            for p in ("he", "she")
        ]
        (folder / "w.txt").write_text("\n".join(lines))
        return {"path": str(folder / "w.txt")}
    if name == "text_snippets":
        return {"path": sample.write_csv(folder / "s.csv", sample.posts()), "by": ("group",)}
    return {"rows": 60, "seed": 5}


def test_the_datasets_of_the_first_edition_are_there():
    assert {"table", "utkface", "dlab_hate_speech", "synthetic_posts", "synthetic_portraits"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_card(name):
    module = registry.load(PACKAGE, name)
    info = module.INFO
    assert isinstance(info, DatasetInfo)
    assert info.task in {"text", "image", "either", "translation", "language"}
    assert all([info.title, info.labels, info.source, info.licence])
    assert issubclass(module.Config, BaseModel)
    assert module.Config.model_config["frozen"]
    assert module.Config.model_config["extra"] == "forbid"
    assert module.Config.model_json_schema()["type"] == "object"


@pytest.mark.parametrize("name", NAMES)
def test_the_top_of_the_file_imports_little(name):
    tree = ast.parse(Path(registry.load(PACKAGE, name).__file__).read_text())
    roots = {a.name.split(".")[0] for n in tree.body if isinstance(n, ast.Import) for a in n.names}
    roots |= {n.module.split(".")[0] for n in tree.body if isinstance(n, ast.ImportFrom) and n.module}
    import sys

    assert roots <= HELD | set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples(name, tmp_path):
    module = registry.load(PACKAGE, name)
    examples = module.load(module.Config(**options(name, tmp_path / "d")))
    n = len(examples.ids)
    assert n == len(examples.inputs) == len(examples.labels) > 0
    assert len(set(examples.ids)) == n
    assert all(isinstance(i, str) for i in examples.ids)
    assert examples.labels.dtype == np.int64
    assert set(examples.labels.tolist()) <= set(range(max(1, len(examples.classes))))
    assert bool(examples.classes) == (examples.task in {"text", "image"})
    assert (examples.translations is not None) == (examples.task == "translation")
    assert (examples.prompts is not None) == (examples.task == "language")
    assert module.INFO.task in {examples.task, "either"}
    kinds = bytes | np.ndarray if examples.task == "image" else str
    assert all(isinstance(value, kinds) for value in examples.inputs)
    assert examples.attributes
    for attribute in examples.attributes:
        if module.INFO.attributes:
            assert attribute.name in module.INFO.attributes
        assert len(set(attribute.groups)) == len(attribute.groups)
        for i in range(len(attribute.groups)):
            assert attribute.in_group(i).shape == (n,)
    again = module.load(module.Config(**options(name, tmp_path / "d")))
    assert list(again.ids) == list(examples.ids)
    assert (again.labels == examples.labels).all()
    assert all(np.array_equal(a, b) for a, b in zip(again.inputs, examples.inputs, strict=True))


@pytest.mark.parametrize("name", ["synthetic_posts", "synthetic_portraits"])
def test_worlds_split_and_do_not_leak(name):
    module = registry.load(PACKAGE, name)
    examples = module.load(module.Config())
    parts = split(examples.ids, train=0.7, validation=0.1, test=0.2, seed=13)
    assert check_split(examples, parts) == ((), ()) or check_split(examples, parts).complaints == ()
    assert not find_leaks(examples, parts)
