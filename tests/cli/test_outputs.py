"""Where results go: no input is lost, and what a path means is told."""

import csv
import io
import os
import subprocess
import sys

import pytest

from evenhand.cli import main

ROWS = "example_id,label,prediction,team\n" + "".join(
    f"e{i},{i % 2},{(i // 2) % 2},{'red' if i % 3 else 'blue'}\n" for i in range(24)
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "deep/er/b.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(ROWS)
    return tmp_path


def refusal(capsys, *words):
    assert main(list(words)) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    "pattern", ["**/*.csv", "*.csv", "a.csv", "./deep/../a.csv", "?.csv", "[a]*", "~/a.csv"]
)
@pytest.mark.parametrize("option", ["--csv", "--json", "--html"])
def test_an_output_is_none_of_the_files_that_are_read(here, capsys, monkeypatch, pattern, option):
    monkeypatch.setenv("HOME", str(here))
    said = refusal(capsys, "audit", pattern, "--by", "team", option, "a.csv")
    assert f"{option} a.csv: this is one of the inputs" in said
    assert (here / "a.csv").read_text() == ROWS


def test_links_lead_to_the_same_file(here, capsys):
    (here / "soft.csv").symlink_to("a.csv")
    os.link("a.csv", "hard.csv")
    (here / "turn").symlink_to("deep")
    for output in ("soft.csv", "hard.csv"):
        assert "one of the inputs" in refusal(capsys, "audit", "a.csv", "--by", "team", "--csv", output)
        assert "one of the inputs" in refusal(capsys, "audit", output, "--by", "team", "--csv", "a.csv")
    said = refusal(capsys, "audit", "deep/**/*.csv", "--by", "team", "--csv", "turn/er/b.csv")
    assert "one of the inputs" in said
    assert (here / "a.csv").read_text() == (here / "deep/er/b.csv").read_text() == ROWS


def test_two_outputs_are_two_files(here, capsys):
    for one, other in (("o", "o"), ("o", "./o"), ("deep/o", "deep/er/../o")):
        said = refusal(capsys, "audit", "a.csv", "--by", "team", "--json", one, "--csv", other)
        assert "names the same file" in said
    (here / "turn").symlink_to("deep")
    said = refusal(capsys, "audit", "a.csv", "--by", "team", "--json", "turn/o", "--html", "deep/o")
    assert "names the same file" in said
    assert not list(here.rglob("o"))


LONG = "x" * 300
WRONG = {
    LONG: "this name is too long (a part of it has 300 bytes, and most systems take 255)",
    "é" * 200: "this name is too long (a part of it has 400 bytes",
    f"{LONG}/o": "this name is too long",
    "y/" * 3000 + "o": "this name is too long",
    "s3://bucket/o": "an address (s3); give a local file",
    "deep": "this is a folder",
    "o/": "this is a folder",
    "none/o": "the folder 'none' does not exist",
    "a.csv/o": "the folder 'a.csv' does not exist",
    "a\0b": "is not a path",
    "a\ud800b": "is not a path",
    " ": "the path is empty",
}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: ascii(path[:8]))
@pytest.mark.parametrize("option", ["--json", "--html", "--csv"])
def test_paths_to_which_nothing_can_be_written(here, capsys, path, option):
    assert WRONG[path] in refusal(capsys, "audit", "a.csv", "--by", "team", option, path)


@pytest.mark.parametrize("command", ["attack", "audit --by team", "ls", "status", "report", "show"])
@pytest.mark.parametrize(
    ("path", "words"),
    [(LONG, "too long"), ("y/" * 3000, "too long"), ("a\0b", "is not a path"),
     ("s3://b/x.csv", "only files of this"), ("loop", "symbolic links"), ("loop/x.csv", "symbolic links")],
    ids=["long", "deep", "zero", "address", "circle", "in a circle"],
)  # fmt: skip
def test_paths_that_cannot_be_looked_up(here, capsys, command, path, words):
    (here / "loop").symlink_to("loop")
    said = refusal(capsys, *command.split(), path)
    assert words in said


@pytest.mark.parametrize("command", ["ls", "status", "report", "show"])
def test_a_file_in_the_place_of_a_study(here, capsys, command):
    assert "is a file; give the folder of a study" in refusal(capsys, command, "a.csv")


@pytest.mark.parametrize(
    ("folder", "words"), [(LONG, "too long"), ("a.csv", "is a file"), ("gs://b", "address")]
)
def test_folders_in_which_no_study_can_be(here, capsys, folder, words):
    assert words in refusal(capsys, "run", "quickstart", "--smoke", "--dry-run", "--output", folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read(here, capsys):
    (here / "shut").mkdir(mode=0)
    for command in ("ls", "status", "report", "show", "attack"):
        assert "Permission denied" in refusal(capsys, command, "shut")


def test_outputs_of_an_attack_are_no_files_of_its_folder(here, capsys):
    signals = "example_id,in_training,loss\n" + "".join(f"{i},{i % 2},{i % 7}\n" for i in range(40))
    folder = here / "signals"
    folder.mkdir()
    (folder / "one.csv").write_text(signals)
    said = refusal(capsys, "attack", "signals", "--csv", "signals/one.csv")
    assert "one of the inputs" in said
    study = here / "study"
    (study / "runs" / "1-x").mkdir(parents=True)
    for name in ("study.json", "result.json", "runs/1-x/run.json"):
        (study / name).write_text("{}")
    for name in ("study.json", "result.json", "runs/1-x/run.json"):
        assert "one of the inputs" in refusal(capsys, "attack", "study", "--json", f"study/{name}")
    assert main(["attack", "signals", "--json", "study/attack.json"]) == 0


def test_files_by_their_address_and_from_home(here, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    for path in (
        f"file://{here}/a.csv",
        f"file://localhost{here}/deep/er/b.csv",
        "~/a.csv",
        "~/deep/**/*.csv",
    ):
        assert main(["audit", path, "--by", "team", "--json", "~/o.json"]) == 0
        assert (here / "o.json").is_file()
        (here / "o.json").unlink()
    (here / "with blank.csv").write_text(ROWS)
    assert main(["audit", f"file://{here}/with%20blank.csv", "--by", "team"]) == 0


def test_standard_input_is_no_file(here, capsys):
    assert "standard input is not read" in refusal(capsys, "audit", "-", "--by", "team")


NAMES = ["=1+1", "+cmd", "-a", "@SUM(A1)", "\tx", "plain", "-1", "+2.5", "it's = fine", "a\r=1"]


def test_no_name_is_a_formula_in_the_table(here):
    rows = [[f"e{i}", i % 2, i // 2 % 2, NAMES[i % len(NAMES)]] for i in range(240)]
    text = io.StringIO()
    csv.writer(text).writerows([["example_id", "label", "prediction", "=team"], *rows])
    (here / "=arm.csv").write_text(text.getvalue(), newline="")
    assert main(["audit", "=arm.csv", "--by", "=team", "--csv", "o.csv"]) == 0
    with (here / "o.csv").open(newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    for cell in cells:
        if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
            float(cell)
    assert {"'=arm", "'=team", "'=1+1", "'+cmd", "'-a", "'@SUM(A1)", "plain", "-1", "it's = fine"} <= cells


def test_no_name_is_a_formula_in_the_table_of_an_attack(here):
    rows = "".join(f"{i},{i % 2},{i * 37 % 11},{NAMES[i % 4]}\n" for i in range(400))
    (here / "@s.csv").write_text("example_id,in_training,loss,team\n" + rows)
    assert main(["attack", "@s.csv", "--by", "team", "--csv", "o.csv"]) == 0
    with (here / "o.csv").open(newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert {"'@s", "'=1+1", "'-a"} <= cells
    assert not {"@s", "=1+1", "-a"} & cells


def test_numbers_stay_numbers():
    from evenhand.report.export import without_formula

    assert [without_formula(t) for t in ("-0.5", "+1", "-inf", "-", "=1", "－1+1")] == [
        "-0.5", "+1", "-inf", "'-", "'=1", "'－1+1",
    ]  # fmt: skip


def test_a_pipe_is_no_file(here):
    call = f"{sys.executable} -m evenhand audit <(cat a.csv) --by team"
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not a regular file" in done.stderr
