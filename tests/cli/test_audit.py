from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evenhand import __version__, registry
from evenhand.cli import audit, main
from evenhand.cli.lib.calls import check_gate as gating
from evenhand.judge.settings import MARGIN, PRIMARY, Settings
from evenhand.tables.schema import Columns

WRONG_CALLS = [
    (["--bi", "race"], ["No such option", "--by"]),
    (["--margin", "wide"], ["--margin 'wide'", "METRIC=VALUE"]),
    (["--margin", "0.1", "--margin", "0.2"], ["got 0.1 and 0.2"]),
    (["--margin", "accuracy=0.1", "--margin", "accuracy=0.2"], ["already has the margin"]),
    (["--margin", "acuracy=0.1"], ["did you mean 'accuracy'?"]),
    (["--margin", "-0.1"], ["above 0"]),
    (["--margin", "nan"], ["above 0"]),
    (["--where", "lang"], ["--where 'lang'", "COL=VALUE"]),
    (["--where", "=en"], ["COL=VALUE"]),
    (["--intersect", "race"], ["--intersect 'race'", "two or more"]),
    (["--intersect", "race,"], ["two or more"]),
    (["--intersect", "race,race"], ["twice"]),
    (["--metric", "acuracy"], ["did you mean 'accuracy'?"]),
    (["--primary", "true_positive"], ["--primary", "true_positive_rate"]),
    (["--alpha", "1"], ["between 0 and 1"]),
    (["--alpha", "small"], ["'small'"]),
    (["--min-group-size", "0"], ["at least 1"]),
    (["--min-group-size", "ten"], ["'ten'"]),
    (["--rng", "-1"], ["--rng"]),
    (["--fail-on", "help"], ["harm", "undecided"]),
    (["--reference", "ful"], ["full"]),
    (["--by", "rase"], ["race"]),
    (["--label", "lable"], ["label"]),
    (["--html", "no/such/folder/report.html"], ["does not exist"]),
    (["--csv", "-"], ["only --json"]),
    (["--html", ""], ["path is empty"]),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(("options", "told"), WRONG_CALLS, ids=lambda x: " ".join(x)[:40])
def test_wrong_calls_exit_with_2_and_write_nothing(options, told, files, here, capsys):
    code = main(["audit", files["full"], files["lora"], "--json", "result.json", *options])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert all(word in err for word in told)
    assert contents(here) == []


def test_all_complaints_come_at_once(files, here, capsys):
    options = [
        "--margin",
        "x",
        "--where",
        "y",
        "--intersect",
        "z",
        "--alpha",
        "7",
        "--metric",
        "w",
        "--html",
        ".",
    ]
    assert main(["audit", files["full"], *options]) == 2
    err = capsys.readouterr().err
    assert "6 problems" in err
    assert contents(here) == []


@pytest.mark.parametrize(
    "arguments", [["audit"], ["audit", "no-such-file.csv"], ["audti"], ["--nonsense"], []]
)
def test_wrong_commands(arguments, here, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert "Traceback" not in err


def test_the_nearest_command_is_named(capsys):
    assert main(["audti"]) == 2
    assert "did you mean 'audit'?" in capsys.readouterr().err


def test_outputs_must_not_meet(files, here, capsys):
    Path("linked.html").symlink_to("out.html")
    assert (
        main(["audit", files["full"], "--json", "out.html", "--html", "linked.html", "--csv", files["full"]])
        == 2
    )
    err = capsys.readouterr().err
    assert "names the same file" in err
    assert "one of the inputs" in err
    assert main(["audit", files["full"].replace("full", "*"), "--csv", files["lora"]]) == 2
    assert "one of the inputs" in capsys.readouterr().err


def test_a_pipe_is_no_output_file(files, here, capsys):
    os.mkfifo("pipe")
    assert main(["audit", files["full"], "--json", "pipe"]) == 2
    assert "not a regular file" in capsys.readouterr().err


def test_a_whole_audit(files, here, capsys):
    paths = ["--json", "r.json", "--html", "r.html", "--csv", "r.csv"]
    assert main(["audit", files["full"], files["lora"], "--by", "race", *paths]) == 0
    out, err = capsys.readouterr()
    document = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert document["schema"] == "evenhand.audit/1"
    assert document["verdict"]["counts"]["harm"] > 0
    assert "race=Black" in out
    assert "html: r.html" in out
    assert err == ""
    assert Path("r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    rows = list(csv.DictReader(io.StringIO(Path("r.csv").read_text(encoding="utf-8"))))
    tables = ("rates", "disparities", "comparisons", "averages", "collective", "shrunken")
    assert len(rows) == sum(len(document[table]) for table in tables)
    assert contents(here) == ["r.csv", "r.html", "r.json"]


def test_json_to_standard_output(files, here, capfdbinary):
    assert main(["audit", files["full"], files["lora"], "--by", "race", "--json", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert json.loads(out)["schema"] == "evenhand.audit/1"
    assert b"harm" in err
    assert contents(here) == []


def test_one_arm(files, here, capsys):
    assert main(["audit", files["full"], "--by", "race"]) == 0
    assert "race=Black" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("candidate", "gate", "code"),
    [("lora", "harm", 3), ("lora", "undecided", 3), ("same", "harm", 0), ("lora", None, 0)],
)
def test_gates(candidate, gate, code, files, here, capsys):
    options = ["--fail-on", gate] if gate else []
    call = ["audit", files["full"], files[candidate], "--by", "race", "--json", "r.json", *options]
    assert main(call) == code
    assert contents(here) == ["r.json"]
    assert "race" in capsys.readouterr().out or candidate == "same"


@pytest.mark.parametrize(
    ("counts", "gate", "code"),
    [
        ({"harm": 1}, "harm", 3),
        ({"undecided": 1}, "harm", 0),
        ({"undecided": 1}, "undecided", 3),
        ({"help": 9, "harmless": 9}, "undecided", 0),
        ({"harm": 1, "undecided": 1}, None, 0),
        ({}, "harm", 3),
        ({}, None, 0),
    ],
)
def test_what_a_gate_counts(counts, gate, code):
    full = {"harm": 0, "harmless": 0, "help": 0, "undecided": 0, **counts}
    assert gating([{"counts": full, "about": "the method"}], gate) == code


def test_a_gate_without_a_comparison_is_refused(files, here, capsys):
    assert main(["audit", files["full"], "--by", "race", "--fail-on", "harm", "--json", "r.json"]) == 2
    assert "nothing can be compared" in capsys.readouterr().err
    assert contents(here) == []


def test_defaults_are_those_of_the_library():
    given = audit.COMMAND.make_context("audit", ["a.csv"]).params
    for default in (Columns(), Settings()):
        for field in dataclasses.fields(default):
            value = getattr(default, field.name)
            if field.name in given and isinstance(value, str | int | float) and field.name != "margin":
                assert given[field.name] == value
    told = audit.COMMAND.get_help(audit.click.Context(audit.COMMAND, info_name="audit")).replace("\n", " ")
    told = " ".join(told.split())
    assert f"[default: {', '.join(PRIMARY)}]" in told
    assert f"[default: {MARGIN}]" in told


def test_options_reach_columns_and_settings():
    call = [
        "a.csv",
        "--by",
        "race",
        "--by",
        "sex",
        "--where",
        "lang=a=b",
        "--intersect",
        "race, sex",
        "--name",
        "x",
    ]
    call += [
        "--margin",
        "0.05",
        "--margin",
        "log_loss=0.1",
        "--primary",
        "accuracy",
        "--memberships",
        "m_*",
        "--inner",
    ]
    context = audit.COMMAND.make_context("audit", call)
    columns, settings = audit._read_call(audit.AuditOptions(**context.params), audit.Outputs())
    assert columns == Columns(
        by=("race", "sex"), where=(("lang", "a=b"),), intersect=(("race", "sex"),), names=("x",),
        memberships=("m_*",), inner=True,
    )  # fmt: skip
    assert (settings.margin, dict(settings.margins), settings.primary) == (
        0.05,
        {"log_loss": 0.1},
        ("accuracy",),
    )


def test_help_and_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"evenhand {__version__}\n"
    assert main(["audit", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"--{word}" in told for word in ("memberships", "fail-on", "min-group-size", "reference"))


def test_the_commands_are_the_files_of_the_folder(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name.replace("_", "-") in told for name in registry.names("evenhand.cli"))


@pytest.mark.parametrize("call", [["--help"], ["--version"], ["audit", "--help"], ["audit", "--nonsense"]])
def test_help_starts_in_a_blink(call):
    heavy = ("numpy", "duckdb", "pyarrow", "scipy", "rich", "altair", "jinja2", "torch", "pandas")
    program = (
        f"import sys, evenhand.cli as c; c.main({call!r}); print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "evenhand", *words], text=True, check=False, **options
    )


def test_the_module_is_the_program(files, tmp_path):
    done = run("audit", files["full"], files["lora"], "--by", "race", cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


def test_an_old_terminal_gets_question_marks_not_a_traceback(files, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    call = ("audit", files["full"], files["lora"], "--by", "race")
    done = run(*call, cwd=tmp_path, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_error(files, tmp_path):
    for extra, code in ((), 0), (("--fail-on", "harm"), 3), (("--json", "-"), 0):
        read, write = os.pipe()
        os.close(read)
        call = ("audit", files["full"], files["lora"], "--by", "race", *extra)
        done = run(*call, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr


def test_interruption(files, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "_audit", interrupt)
    assert main(["audit", files["full"]]) == 130
    assert capsys.readouterr().err.strip() == "evenhand: interrupted"


def test_a_bug_of_ours_shows_its_traceback(files, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(audit, "_audit", fail)
    with pytest.raises(ZeroDivisionError):
        main(["audit", files["full"]])


def test_names_cannot_command_the_terminal(here, capsys):
    assert main(["audit", "evil\x1b[31m.csv"]) == 2
    assert "\x1b" not in capsys.readouterr().err
