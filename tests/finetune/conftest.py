"""Models and rows are made once for all tests of this folder."""

import os

import pytest
import torch

from evenhand import registry
from tests.finetune import worlds


@pytest.fixture(autouse=True, scope="session")
def _offline():
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folder of a small random model by family."""
    place = tmp_path_factory.mktemp("models")
    return {family: worlds.folder_of(place, family) for family in (*worlds.TEXT, *worlds.IMAGE)}


@pytest.fixture(scope="session")
def datasets():
    return {"text": worlds.data_of(worlds.texts()), "image": worlds.data_of(worlds.pictures())}


@pytest.fixture(scope="session")
def data(datasets):
    """Rows that a family reads."""
    return lambda family: datasets["image" if family in worlds.IMAGE else "text"]


def pytest_generate_tests(metafunc):
    every = registry.names("evenhand.finetune.methods")
    # Models that exist already are no way of training one; tests/study/test_existing.py is about them.
    names = [name for name in every if not registry.load("evenhand.finetune.methods", name).INFO.ready]
    if {"family", "method"} <= set(metafunc.fixturenames):
        pairs = [(family, method) for method in names for family in worlds.families_of(method)]
        metafunc.parametrize(("family", "method"), pairs)
    elif "family" in metafunc.fixturenames:
        metafunc.parametrize("family", (*worlds.TEXT, *worlds.IMAGE))
    elif "method" in metafunc.fixturenames:
        metafunc.parametrize("method", names)
