"""A study's page in a real browser: every chart is drawn, and nothing that a study says is run."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import study_sample

from evenhand.report.study.page import build_study_page

pytestmark = pytest.mark.slow
HOSTILE = "</script><script>document.title='taken'</script>"


@pytest.mark.parametrize("name", [None, HOSTILE])
def test_charts_are_drawn_and_nothing_is_run(name, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here; the continuous integration installs one")
    page = build_study_page(study_sample.document() if name is None else study_sample.hostile(name))
    (tmp_path / "page.html").write_text(page)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=15000", "--dump-dom"]
    command = [browser, *flags, (tmp_path / "page.html").as_uri()]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert text.count('class="marks"') == page.count('class="spec"') > 20
    assert "cannot be drawn here (" not in text.partition("window.vegaEmbed")[0]
    assert "<title>taken</title>" not in text
