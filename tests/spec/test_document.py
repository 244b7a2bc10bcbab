"""YAML as YAML 1.2 has it, and clear words where it is none."""

from __future__ import annotations

import math
import sys
from pathlib import PurePosixPath

import numpy as np
import pytest
import yaml

from evenhand.errors import SpecError
from evenhand.spec.yaml.document import MAX_BYTES, from_file, from_python, from_text
from evenhand.spec.yaml.tree import Origin

FILE = Origin("study.yaml")


def read(text):
    return from_text(text, FILE).plain


def refused(text):
    with pytest.raises(SpecError) as caught:
        from_text(text, FILE)
    return caught.value.complaints


# Values from the tables of YAML 1.2.2, section 10.3.2; the comment says what PyYAML makes of them.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # '1e-4'
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+12.5e+3", 12500.0),
        ("no", "no"),  # False
        ("off", "off"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("010", 10),  # 8
        ("0o17", 15),
        ("0xff", 255),
        ("1:30", "1:30"),  # 90
        ("1_000", "1_000"),  # 1000
        ("2024-01-01", "2024-01-01"),  # a date
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ("=", "="),
        ("1e", "1e"),
        ("e5", "e5"),
        (".", "."),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = read(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_pyyaml_alone_would_read_them_wrong():
    assert yaml.safe_load("lr: 1e-4\ncountry: no") == {"lr": "1e-4", "country": False}
    assert read("lr: 1e-4\ncountry: no") == {"lr": 1e-4, "country": "no"}


def test_not_a_number_is_a_number():
    assert math.isnan(read("key: .NaN")["key"])


def test_keys_are_what_stands_there():
    assert read("{no: 1, 1: 2, true: 3, 1.50: 4}") == {"no": 1, "1": 2, "true": 3, "1.50": 4}


def test_places():
    tree = from_text("a: 1\nb:\n  c:\n    - x\n    - {d: 2}\n", FILE)
    assert str(tree.location) == "study.yaml"
    assert str(tree.value["b"].value["c"].location) == "study.yaml:3, b.c"
    assert str(tree.value["b"].value["c"].value[1].value["d"].location) == "study.yaml:5, b.c.1.d"


def test_every_duplicate_key_is_told_with_both_lines():
    told = refused("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert told == (
        "study.yaml:2, b.c: this key is given twice (first in line 2).",
        "study.yaml:3, a: this key is given twice (first in line 1).",
    )


def test_a_tab_is_told_as_a_tab():
    assert refused("a:\n\tb: 1\n") == ("study.yaml:2: found a tab; YAML is indented with spaces.",)


def test_a_syntax_error_has_its_line():
    (told,) = refused("a: 1\nb: [1, 2\nc: 3\n")
    assert told.startswith("study.yaml:3: invalid YAML: ")


def test_aliases_and_merged_keys():
    text = """
    base: &base {a: 1, b: {c: 2}}
    same: *base
    more: {<<: *base, a: 5}
    both: {<<: [{x: 1}, {x: 2, y: 3}]}
    """
    assert read(text) == {
        "base": {"a": 1, "b": {"c": 2}},
        "same": {"a": 1, "b": {"c": 2}},
        "more": {"a": 5, "b": {"c": 2}},
        "both": {"x": 1, "y": 3},
    }


def test_a_bomb_of_aliases_is_refused_and_cheap():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (told,) = refused("\n".join(lines))
    assert "aliases" in told


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "&a {b: *a}", "&a {<<: *a}", "a: &a {<<: [*a, *a], b: 1}", "[" * 5000, "{a: " * 200],
)
def test_endless_and_deep_ones_are_refused(text):
    assert refused(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("a: !!python/name:os.system", "tag"),
        ("a: !!set {x, y}", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: !mine 3", "tag"),
        ("a: !!int x", "must be an integer"),
        ("a: !!float x", "must be a number"),
        ("a: !!bool maybe", "true or false"),
        ("? [a, b]\n: 1", "a key must be a text"),
        ("a: 1\n---\nb: 2", "invalid YAML"),
        ("a: *nowhere", "undefined alias"),
        ("a: \x00", "U+0000"),
        ('a: "\\ud800"', "surrogate"),
        ('"\\udfff": 1', "surrogate"),
        ('a: "\\UFFFFFFFF"', "escape"),
        ("{<<: 3}", "mappings only"),
        ("a: " + "9" * 5000, "4,300"),
        ("%YAML 3.0\n---\na: 1", "invalid YAML"),
    ],
)
def test_what_is_no_plain_data_is_refused(text, word):
    (told,) = refused(text)
    assert told.startswith("study.yaml")
    assert word in told


def test_several_problems_of_the_form_are_told_at_once():
    assert len(refused("a: 1\na: 2\nb: !x 1\n? [c]\n: 1\n")) == 3


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "s.yaml"
    for content, word in [
        (b"a: 1\nb: \xff\xfe\n", "s.yaml:2: this is not UTF-8 text"),
        (b"PAR1" + bytes(range(256)), "UTF-8"),
        (b"#" * (MAX_BYTES + 1), "1,000,000 bytes"),
    ]:
        path.write_bytes(content)
        with pytest.raises(SpecError, match=word):
            from_file(path, Origin("s.yaml"))
    with pytest.raises(SpecError, match="cannot be read"):
        from_file(tmp_path / "none.yaml", Origin("none.yaml"))


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\n")
    assert from_file(path, FILE).plain == {"name": "x"}


def test_data_from_python():
    given = {
        "path": PurePosixPath("a/b"), "n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True),
        "t": (1, [2]), "none": None, "d": {"e": "f"},
    }  # fmt: skip
    found = from_python(given, Origin("study", has_lines=False)).plain
    assert found == {
        "path": "a/b", "n": 3, "x": 0.5, "b": True, "t": [1, [2]], "none": None, "d": {"e": "f"},
    }  # fmt: skip
    assert type(found["n"]) is int
    assert type(found["b"]) is bool


def test_what_is_no_plain_data_from_python_is_refused():
    given = {"a": {1, 2}, "b": object(), 3: 1, "c": b"x", "d": "\ud800", "e": np.zeros(3), "f": 1j}
    with pytest.raises(SpecError) as caught:
        from_python(given, Origin("study", has_lines=False))
    assert len(caught.value.complaints) == 7
    assert caught.value.complaints[0] == "study: the key 3 must be a text."
    assert caught.value.complaints[1].startswith("study, a: got a set;")
    endless = {}
    endless["again"] = endless
    with pytest.raises(SpecError, match="nested"):
        from_python(endless, Origin("study", has_lines=False))
    assert sys.getrecursionlimit() >= 1000
