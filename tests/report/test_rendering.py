"""The script of the charts is bundled once per user, and what was kept is only taken as it was made."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import vl_convert

from evenhand.report import rendering, wording
from evenhand.report.encodings import in_unit
from evenhand.report.rendering import Cell, build_table, figure


@pytest.fixture
def bundled(monkeypatch, tmp_path):
    """What each bundling was asked for; the cache is empty."""
    asked = []
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda use: asked.append(use) or "ä\r\n</script>")
    return asked


def test_it_is_bundled_once(bundled, tmp_path):
    assert [rendering._bundled() for _ in range(2)] == ["ä\r\n</script>"] * 2
    assert len(bundled) == 1
    [path] = (tmp_path / "cache").iterdir()
    assert version("vl-convert-python") in path.name


@pytest.mark.parametrize("damage", [b"", b"nothing\nalert(1)", b"\xff\xfe\n"])
def test_a_changed_bundle_is_bundled_again(damage, bundled, tmp_path):
    rendering._bundled()
    [path] = (tmp_path / "cache").iterdir()
    complete = path.read_bytes()
    path.write_bytes(damage)
    assert rendering._bundled() == "ä\r\n</script>"
    assert (len(bundled), path.read_bytes()) == (2, complete)


def test_a_cache_that_cannot_be_written_is_done_without(bundled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "file"))
    assert [rendering._bundled() for _ in range(2)] == ["ä\r\n</script>"] * 2
    assert len(bundled) == 2


def test_headings_are_aligned_like_their_columns():
    table = build_table("t", ("arm", "value"), [[Cell("full"), figure(0.5, "50.0", css="none")]])
    assert [(c.text, c.css) for c in table.head] == [("arm", ""), ("value", "figure")]
    assert [c.text for c in build_table("t", ("arm", "value"), []).head] == ["arm", "value"]


def test_numbers_have_their_interval_in_the_unit_of_their_metric():
    row = {"metric": "accuracy", "difference": 0.04, "low": -0.01, "high": 0.09}
    assert wording.estimate(row, "difference", signed=True) == "+4.0 (−1.0 to +9.0)"
    assert wording.estimate(row | {"low": None}, "difference", signed=True) == "+4.0"
    assert in_unit(row, "accuracy", "difference", "margin") == {"difference": 4.0, "margin": None}
    assert in_unit(row, "log_loss", "difference") == {"difference": 0.04}
