"""CSV as Excel, R, pandas and other programs write it."""

import gzip

import pytest

from evenhand.errors import InputError
from evenhand.tables.io.dialects import dialect_of
from evenhand.tables.io.formats import tidy_names
from evenhand.tables.io.sources import TableSource
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

LINES = [
    "example_id,label,prediction,team",
    "a,1,1,red",
    "b,0,1,blue",
    "c,1,0,red",
    "d,0,0,blue",
    "e,1,1,red",
]


def text(separator=",", end="\n", lines=LINES):
    return "".join(line.replace(",", separator) + end for line in lines)


def groups(tmp_path, content, by="team", name="p.csv"):
    """Accuracy and rows of every group."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    read = load(path, Columns(by=(by,)), need_scores=False)
    (attribute,) = read.attributes
    right = read.label == read.arms[0].prediction[0]
    found = {}
    for i, group in enumerate(attribute.groups):
        mine = attribute.codes == i
        found[group] = (float(read.count[mine & right].sum()), float(read.count[mine].sum()))
    return found


RIGHT = {"blue": (1.0, 2.0), "red": (2.0, 3.0)}
WRITTEN = {
    "Excel's line": "sep=;\n" + text(";"),
    "Excel's line and mark": "\ufeffsep=;\r\n" + text(";", "\r\n"),
    "Excel's line, quoted, with tabs": '"sep=\t"\n' + text("\t"),
    "Excel's line, filled up": "SEP=,,,\n" + text(),
    "comments": "# written by an evaluation, 2026\n#seed=3\n\n" + text(),
    "a comment and Excel's line": "# x\nsep=|\n" + text("|"),
    "one end": text(end="\r"),
    "ends of two kinds": text().replace("red\n", "red\r\n"),
    "row names of R": '"",' + text().replace("\n", "\n7,").removesuffix("7,"),
    "row names of pandas": text(lines=[f",{LINES[0]}", *(f"{i},{line}" for i, line in enumerate(LINES[1:]))]),
    "columns without a name": text(lines=[line + ",," for line in LINES]),
    "columns with numbers for names": text(lines=[LINES[0] + ",0,0", *(line + ",4,5" for line in LINES[1:])]),
    "blanks around names": text(lines=[" example_id ,\u00a0label,prediction\u200b, team", *LINES[1:]]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_as_programs_write_them(tmp_path, name):
    assert groups(tmp_path, WRITTEN[name]) == RIGHT


def test_a_delimiter_in_quotes_or_names_divides_nothing(tmp_path):
    named = text(";").replace("team", '"team, colour"')
    assert groups(tmp_path, named, "team, colour") == RIGHT
    assert groups(tmp_path, text(";").replace("team", "team, colour"), "team, colour") == RIGHT
    assert groups(tmp_path, text("\t").replace("team", '"team, colour; x"'), "team, colour; x") == RIGHT
    assert groups(tmp_path, text().replace("team", '"team; x"'), "team; x") == RIGHT


def test_a_name_that_begins_with_a_hash_is_no_comment(tmp_path):
    assert groups(tmp_path, text().replace("team", "#team"), "#team") == RIGHT
    path = tmp_path / "h.csv"
    path.write_text("#" + text())
    assert dialect_of(TableSource("", "", "", path)).names[0] == "#example_id"


@pytest.mark.parametrize("note", ["a\rb", 'a\rb"c', '"a\rb"', '"a\r""b"', "a\r\rb", '"\r\n"', "\rb", "x"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_breaks_in_fields(tmp_path, note, end, packed):
    lines = [LINES[0].replace(",team", ",note,team"), *(
        line.rsplit(",", 1)[0] + f",{note}," + line.rsplit(",", 1)[1] for line in LINES[1:]
    )]  # fmt: skip
    content = text(end=end, lines=lines).encode()
    name = "p.csv.gz" if packed else "p.csv"
    assert groups(tmp_path, gzip.compress(content) if packed else content, name=name) == RIGHT


def test_a_carriage_return_is_part_of_its_field(tmp_path):
    content = text().replace("blue", "blue\rish") + 'f,1,1,"blue\rish"\n'
    assert groups(tmp_path, content) == {"blue\rish": (2.0, 3.0), "red": (2.0, 3.0)}


def test_rows_of_another_width_are_still_refused(tmp_path):
    with pytest.raises(InputError, match=r"line 2 has 5 values.*row\.names = FALSE"):
        groups(tmp_path, text().replace("\n", "\n1,").removesuffix("1,"))
    with pytest.raises(InputError, match=r"line 3 has 3 values"):
        groups(tmp_path, text().replace("b,0,1,blue", "b,0,blue") + "g,1,1,a\rb\n")


def test_names_lose_what_is_not_seen_unless_two_become_one():
    assert tidy_names([" label", "team\u00a0", "\ufeffid", "cafe\u0301"]) == [
        "label",
        "team",
        "id",
        "caf\u00e9",
    ]
    assert tidy_names(["label", " label"]) == ["label", " label"]
    assert tidy_names(["a ", " a"]) == ["a ", " a"]
    assert tidy_names(["a", "a"]) == ["a", "a"]


def test_doubled_and_unnamed_columns_stop_only_who_asks_for_them(tmp_path):
    lines = [f"{line},{x},{x}" for line, x in zip(LINES, ["decile", *"12345"], strict=True)]
    assert groups(tmp_path, text(lines=lines)) == RIGHT
    with pytest.raises(InputError, match=r"column 'decile' \(--by\) occurs 2 times"):
        groups(tmp_path, text(lines=lines), "decile")
    with pytest.raises(InputError, match=r"'prediction'.*occurs 3 times"):
        groups(tmp_path, text(lines=[line.replace("decile", "prediction") for line in lines]))
    flags = [line.replace("decile", "m_x") for line in lines]
    (tmp_path / "m.csv").write_text(text(lines=flags))
    with pytest.raises(InputError, match=r"'m_x'.*occurs"):
        load(tmp_path / "m.csv", Columns(memberships=("m_*",)), need_scores=False)


def test_folders_that_name_a_value_are_a_column(tmp_path):
    folder = tmp_path / "team=r%20d" / "site=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir(parents=True)
    content = text(lines=[line.rsplit(",", 1)[0] for line in LINES])
    assert groups(folder, content) == {"r d": (3.0, 5.0)}
    assert groups(folder, text()) == RIGHT  # the file's own column goes before its folder's
    with pytest.raises(InputError, match=r"'site' \(--by\) has no value in 5 rows"):
        groups(folder, content, "site")
