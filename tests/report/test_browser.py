"""The page in a real browser: charts are drawn, and nothing that a file says is run."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

import evenhand
from evenhand.report.audit.page import build_page

pytestmark = pytest.mark.slow
HOSTILE = "</script><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def dom(tmp_path_factory):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here; the continuous integration installs one")
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 900)
    group = np.where(np.arange(900) % 3 == 0, HOSTILE, "plain")
    tables = [
        {
            "example_id": np.arange(900).astype(str),
            "label": label,
            "prediction": np.where(rng.random(900) < wrong, 1 - label, label),
            "g": group,
        }
        for wrong in (0.1, 0.3)
    ]
    result = evenhand.compare(*tables, by="g").to_dict()
    (folder / "page.html").write_text(build_page(result))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", "--dump-dom"]
    command = [browser, *flags, (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, result


def test_charts_are_drawn(dom):
    text, result = dom
    drawn = text.count('class="marks"')
    assert drawn >= 2, "vega puts one svg with class marks per chart"
    assert text.count('aria-roledescription="point"') + text.count("mark-symbol") >= 2
    assert result["verdict"]["sentence"].split(":")[0] in text


def test_nothing_that_a_file_says_is_run(dom):
    text, _ = dom
    assert "<title>taken</title>" not in text
    assert "&lt;/script&gt;" in text
