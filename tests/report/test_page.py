from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
import sample

from evenhand.report import charts
from evenhand.report.audit.page import build_page

NAMES = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
)


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self):
        super().__init__()
        self.tags = []
        self.scripts = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def plain():
    return build_page(sample.document())


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(name, plain):
    reader, before = read(build_page(sample.hostile(name))), read(plain)
    assert {t for t, _ in reader.tags} == {t for t, _ in before.tags}
    assert all(not k.startswith("on") for _, attrs in reader.tags for k in attrs)
    run = [s for (t, a), s in zip([x for x in reader.tags if x[0] == "script"], reader.scripts, strict=True)
           if a.get("type") != "application/json"]  # fmt: skip
    assert len(run) == 2
    assert not any(name in script for script in run)
    assert name in "".join(reader.text)


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_survives_in_the_chart_data(name):
    page = build_page(sample.hostile(name))
    specs = re.findall(r'<script type="application/json" class="spec">(.*?)</script>', page, re.DOTALL)
    assert specs
    assert all(isinstance(json.loads(s), dict) for s in specs)
    assert any(name in json.dumps(json.loads(s), ensure_ascii=False).replace('\\"', '"') for s in specs)


def test_nothing_is_loaded_from_outside(plain):
    reader = read(plain)
    addresses = [
        v
        for _, attrs in reader.tags
        for k, v in attrs.items()
        if k in ("src", "href", "action", "data", "srcset")
    ]
    assert addresses
    assert all(a.startswith("#") for a in addresses)
    assert not [t for t, _ in reader.tags if t in ("link", "iframe", "object", "embed", "base", "img")]
    styles = re.findall(r"<style>(.*?)</style>", plain, re.DOTALL)
    assert not any("@import" in s or "url(" in s for s in styles)
    assert "default-src 'none'" in plain


def test_every_section_is_there(plain):
    reader = read(plain)
    ids = [a["id"] for t, a in reader.tags if t == "section"]
    assert ids == ["verdict", "compared", "differences", "comparisons", "disparities", "rates", "data", "how"]
    links = [a["href"][1:] for t, a in reader.tags if t == "a"]
    assert links == ids


def test_tables_have_captions_and_scopes(plain):
    reader = read(plain)
    count = {tag: sum(t == tag for t, _ in reader.tags) for tag in ("table", "caption")}
    assert count["table"] == count["caption"] > 5
    assert all(a.get("scope") in ("col", "row") for t, a in reader.tags if t == "th")


def test_verdict_and_every_problem_are_reported(plain):
    document = sample.document()
    text = "".join(read(plain).text)
    assert document["verdict"]["sentence"] in text
    assert document["problems"][0] in text
    assert "race=Pacific: too small (6 rows, fewer than 10)" in text
    assert "race=Native: undefined (no row with a positive label)" in text
    assert "race=Pacific is left out of" in text
    assert "000000000000" in text
    assert "nan" not in text.lower().split()


def test_one_arm_has_no_comparisons_but_rates(plain):
    reader = read(build_page(sample.one_arm()))
    ids = [a["id"] for t, a in reader.tags if t == "section"]
    assert ids == ["verdict", "compared", "disparities", "rates", "data", "how"]
    assert not [a for t, a in reader.tags if t == "ul" and a.get("class") == "tiles"]


def test_an_empty_document_still_makes_a_page():
    document = {**sample.one_arm(), "rates": [], "disparities": [], "problems": []}
    assert "every value is defined" in build_page(document)


def lines(panel):
    return {
        row["group"]
        for rows in panel.spec["datasets"].values()
        for row in rows
        if "group" in row and "verdict" in row
    }


def test_the_forest_plot_has_every_primary_row():
    document = sample.document()
    panels = charts.forest(document)
    assert len(panels) == charts.forest_panels(document) == 6
    assert all(len(lines(p)) == len(sample.GROUPS) and not p.note for p in panels)
    assert all(p.spec["width"] == "container" for p in panels)


def test_a_large_audit_says_what_its_charts_leave_out():
    document = sample.document()
    for table in ("comparisons", "rates"):
        more = [
            {**r, "group": f"{r['group']}{i}"}
            for i in range(30)
            for r in document[table]
            if r["attribute"] == "race"
        ]
        document[table] = [*document[table], *more]
    panels = charts.forest(document)
    assert all(len(lines(p)) == charts.MOST_LINES for p in panels)
    assert all(p.note.startswith("40 of 161 differences are shown") for p in panels)
    harm = [r for r in document["comparisons"] if r["verdict"] == "harm" and r["metric"] == "accuracy"]
    drawn = [
        r
        for p in panels[:2]
        for rows in p.spec["datasets"].values()
        for r in rows
        if r.get("verdict") == "harm"
    ]
    assert len(drawn) == min(len(harm), 2 * charts.MOST_LINES)
    shown = charts.rates(document)
    assert any("of 155 groups are shown" in p.note for p in shown)


def test_equal_names_are_numbered():
    document = sample.document()
    double = next(r for r in document["comparisons"] if r["group"] == "Black" and r["metric"] == "accuracy")
    document["comparisons"].append(dict(double))
    assert any(name.endswith("#2") for p in charts.forest(document) for name in lines(p))
