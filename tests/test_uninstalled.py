"""The package works from a checkout that no package manager has installed."""

from __future__ import annotations

import importlib.metadata

import pytest

import evenhand


def test_an_audit_needs_no_metadata_of_the_package(monkeypatch):
    found = importlib.metadata.Distribution.from_name

    def lacks_evenhand(name):
        if name == "evenhand":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", staticmethod(lacks_evenhand))
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("evenhand")
    table = {"label": [0, 1] * 20, "prediction": [0, 1] * 20, "race": ["a", "b"] * 20}
    assert evenhand.audit(table, by=["race"]).to_dict()["evenhand"] == evenhand.__version__
