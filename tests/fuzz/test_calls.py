"""Any call: documented exit codes, messages in plain words, whole outputs or none, inputs as they were."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.dialects import CONTAINERS
from tests.fuzz.examples import fuzzed
from tests.fuzz.harness import call, contents, sane, whole
from tests.fuzz.test_mutations import CSV, PARQUET, table

COLUMNS = (
    "label", "prediction", "g", "w", "text", "score", "example_id", "arm", "run", "split", "", "G", "*",
    "m_*", "m_a", "*_*", "g ", "lable", "x" * 300, "c0", "'", '"', ";", "é", "--by", "-", "g,text", "g,g",
    "g,", ",", "sc*re",
)  # fmt: skip
NUMBERS = (
    "0", "1", "2", "5", "-1", "0.05", "1e-300", "1e400", "nan", "inf", "-0", "", "x", "0,05", "5%", "0x1",
    "٣", "1_0", "99999999999999999999", " 1", "0.5=0.5", "accuracy=2", "accuracy=0.1", "accuracy", "=0.1",
    "acuracy=0.1", "log_loss=0.1", "accuracy=nan", "true_positive_rate=1",
)  # fmt: skip
METRICS = (
    "accuracy", "log_loss", "acuracy", "", "ACCURACY", "roc_auc", "worst_group_accuracy", "all", "__init__",
    "../x", "accuracy_difference", "gender_accuracy", "_x", "f1",
)  # fmt: skip
NAMES = ("a", "b", "", "reference", "a,b", "x" * 400, "ü", "a\nb")
PLACES = (
    "out.json", "new.csv", "a.csv", "./a.csv", "sub/../a.csv", "link.csv", "hard.csv", "A.CSV", "sub",
    "no/x.json", "", "-", "x" * 300 + ".json", "a.csv/x.json", "../linked/a.csv", "~", "b.parquet",
    "out.json/", " ", "old.json",
)  # fmt: skip
FILES = (
    "a.csv", "b.parquet", "*.csv", "?.csv", "[ab].csv", "**/*.csv", "sub/../a.csv", "link.csv",
    "nothing.csv", "sub", "", "a.csv/", "~/a.csv", "https://example.org/a.csv", "s3://bucket/a.parquet",
    "file:a.csv", "a.txt", "hf://datasets/x/y.csv", "x" * 300, "-", "a.CSV", "{a,b}.csv", "[", "a.csv\n",
)  # fmt: skip
OPTIONS: dict[str, tuple[str, ...] | None] = {
    "--by": COLUMNS, "--memberships": COLUMNS, "--intersect": COLUMNS, "--label": COLUMNS,
    "--prediction": COLUMNS, "--score": COLUMNS, "--id": COLUMNS, "--weight": COLUMNS, "--cluster": COLUMNS,
    "--arm": COLUMNS, "--run": COLUMNS, "--positive": ("0", "1", "true", "2", "", "neg", " 1", "1.0"),
    "--split": ("test", "", "x"),
    "--where": ("g=plain", "g=", "=x", "g", "x=1", "g=Zoë", "w=1", "w=1.0", "g==", "text=text 1", "g=no"),
    "--name": NAMES, "--reference": NAMES, "--inner": None, "--resplit": None, "--metric": METRICS,
    "--primary": METRICS, "--margin": NUMBERS, "--alpha": NUMBERS, "--min-group-size": NUMBERS,
    "--rng": NUMBERS, "--scoring": ("raw", "pmi", "x", ""), "--fail-on": ("harm", "undecided", "help", ""),
    "--json": PLACES, "--csv": PLACES, "--bye": ("x",), "--html": ("a.csv", "", "sub", "-", "no/x.html"),
}  # fmt: skip
OPTION = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda name: (
        st.just((name,))
        if OPTIONS[name] is None
        else st.tuples(st.just(name), st.sampled_from(OPTIONS[name]))
    )
)


@contextlib.contextmanager
def folder_of_files() -> Iterator[Path]:
    """A folder with two tables, links to one of them, and a folder inside; it is the current one."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        (Path(name) / "linked").symlink_to(folder, target_is_directory=True)
        CONTAINERS["csv"][0](table(1, scores=True), folder / "a", CSV)
        CONTAINERS["parquet"][0](table(2, scores=True), folder / "b", PARQUET)
        (folder / "sub").mkdir()
        (folder / "old.json").write_text("an earlier result")
        (folder / "link.csv").symlink_to("a.csv")
        (folder / "hard.csv").hardlink_to(folder / "a.csv")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def last(words: list[str], option: str) -> str | None:
    places = [value for name, value in itertools.pairwise(words) if name == option]
    return places[-1] if places else None


@fuzzed(
    0.3,
    files=st.lists(st.sampled_from(FILES), max_size=2),
    options=st.lists(OPTION, max_size=4),
    plain=st.booleans(),
)
def test_any_call(files, options, plain):
    words = ["audit", *(["a.csv"] if plain else []), *files]
    words += [] if any(name == "--by" for name, *_ in options) else ["--by", "g"]
    words += [] if any(name == "--metric" for name, *_ in options) else ["--metric", "accuracy"]
    words += [word for option in options for word in option]
    with folder_of_files() as folder:
        inputs = [folder / "a.csv", folder / "b.parquet"]
        before, there = contents(inputs), sorted(p.name for p in folder.rglob("*"))
        outcome = call(words)
        sane(outcome, [Path(name).name or "''" for name in (*files, "a.csv", "b.parquet")])
        assert contents(inputs) == before, "an input was changed"
        new = sorted(p.name for p in folder.rglob("*"))
        if outcome.refused:
            assert new == there, "something was written, though the exit code is 2"
            assert (folder / "old.json").read_text() == "an earlier result"
        else:
            paths = {kind: last(words, f"--{kind}") for kind in ("json", "csv")}
            if all(paths.values()) and paths["json"] != "-":
                whole(outcome, {kind: folder / str(path) for kind, path in paths.items()})


SAMPLE = (
    (
        ["a.csv", "b.parquet", "--by", "g", "--json", "out.json", "--csv", "out.csv", "--html", "out.html"],
        {0, 2},
    ),
    (["a.csv", "hard.csv", "--by", "g", "--json", "-", "--fail-on", "harm"], {0, 2, 3}),
    (["a.csv", "--by", "nothing", "--html", "out.html"], {2}),
    (["../linked/a.csv", "--by", "g", "--csv", "sub/../a.csv"], {2}),
    (["a.csv", "--by", "g", "--margin", "2", "--json", "out.json"], {2}),
    ([], {2}),
)


def test_processes_behave_as_calls_do():
    """Of a few calls, what a shell sees: exit code, streams and files."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUTF8": "1"}
    with folder_of_files() as folder:
        inputs = [folder / "a.csv", folder / "b.parquet"]
        before = contents(inputs)
        for words, codes in SAMPLE:
            outputs = [folder / name for name in words if name.startswith("out.")]
            for path in outputs:
                path.unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-m", "evenhand", "audit", *words],
                capture_output=True, text=True, encoding="utf-8", env=environment, check=False,
            )  # fmt: skip
            assert done.returncode in codes, done.stderr
            assert "Traceback" not in done.stderr
            assert contents(inputs) == before
            if done.returncode == 2:
                assert done.stdout == ""
                assert not [path for path in outputs if path.exists()]
            elif "out.html" in words:
                assert (folder / "out.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
