"""Damaged and odd files: refused in plain words, or read as other readers read them; never a traceback."""

from __future__ import annotations

import gzip
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import oracle
from tests.fuzz.calls import by_command, by_python, differences, words
from tests.fuzz.dialects import CONTAINERS, arrow
from tests.fuzz.examples import fuzzed
from tests.fuzz.harness import Outcome, replayable, sane, whole
from tests.fuzz.worlds import Frame

NEEDED = ("example_id", "label", "prediction", "g")
CSV = {"delimiter": ",", "eol": "\n", "quote_all": False, "ending": ".csv"}
JSON = {"ascii": False, "ending": ".jsonl", "eol": "\n"}
PARQUET = {"writer": "pyarrow", "compression": "snappy", "row_group_size": 1000, "ending": ".parquet"}
#: Files that are damaged.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "csv": ("csv", CSV),
    "semicolons": ("csv", {**CSV, "delimiter": ";", "eol": "\r\n", "bom": True}),
    "quoted": ("csv", {**CSV, "quote_all": True}),
    "tsv": ("tsv", {**CSV, "delimiter": "\t", "ending": ".tsv"}),
    "csv.gz": ("csv", {**CSV, "gz": 1}),
    "jsonl": ("json", JSON),
    "json": ("json", {**JSON, "ending": ".json"}),
    "jsonl.gz": ("json", {**JSON, "gz": 1}),
    "parquet": ("parquet", PARQUET),
    "plain parquet": ("parquet", {**PARQUET, "compression": "uncompressed", "use_dictionary": False}),
}


def table(seed: int, *, scores: bool = False) -> Frame:
    """A plain table of 24 rows."""
    rng = random.Random(seed)
    label = [i % 2 for i in range(24)]
    answers = [v if rng.random() < 0.7 else 1 - v for v in label]
    frame: Frame = [
        ("example_id", [f"r{i}" for i in range(24)]),
        ("label", label),
        ("prediction", answers),
        ("g", [("Zoë", "b, c", "plain")[i % 3] for i in range(24)]),
        ("w", [rng.choice([0.5, 1.0, 2.25]) for _ in range(24)]),
        ("text", ['he said "no", and left' if i % 5 == 0 else f"text {i}" for i in range(24)]),
    ]
    if scores:
        frame.insert(3, ("score", [round(0.05 + 0.4 * rng.random() + 0.5 * v, 4) for v in answers]))
    return frame


def write(frame: Frame, way: str, folder: Path) -> Path:
    container, choices = WAYS[way]
    path: Path = CONTAINERS[container][0](frame, folder / "table", choices)
    return path


# ---- Bytes.

WORDS = (
    b"\0", b"\xff", b"\xc3", b'"', b"\n", b"\r", b",", b";", b"\t", b"|", b"'", b"\\", b"{", b"}", b"[",
    b"]", b":", b" ", b"NaN", b"1e400", b"-", b"\xef\xbb\xbf", b"\x1f\x8b", b"\x1a", b"\xe2\x80\xa8", b"0",
    b"1", b'""', b"null", b"\n\n", b"\r\n",
)  # fmt: skip
STEP = st.tuples(
    st.sampled_from(["insert", "delete", "flip", "replace", "cut", "double line", "drop line", "swap all"]),
    st.floats(0, 1),
    st.sampled_from(WORDS),
    st.integers(1, 40),
)


def mutated(data: bytes, step: tuple[str, float, bytes, int]) -> bytes:
    """The bytes with one thing changed."""
    kind, where, word, size = step
    at = int(where * len(data))
    if kind == "insert":
        return data[:at] + word + data[at:]
    if kind == "delete":
        return data[:at] + data[at + size :]
    if kind == "flip" and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ (1 << size % 8)]) + data[at + 1 :]
    if kind == "replace":
        return data[:at] + word + data[at + len(word) :]
    if kind == "cut":
        return data[:at]
    lines = data.split(b"\n")
    line = min(int(where * len(lines)), len(lines) - 1)
    if kind == "double line":
        return b"\n".join(lines[: line + 1] + lines[line:])
    if kind == "drop line":
        return b"\n".join(lines[:line] + lines[line + 1 :])
    old = (b",", b";", b"\t", b'"', b"\n", b"label")[size % 6]
    return data.replace(old, word, 1 + size)


def judged(path: Path, folder: Path, options: Mapping[str, Any]) -> Outcome:
    with replayable(folder, [str(path), *words(options)], [path]):
        return by_command(folder, [path], options, [])


def agrees(path: Path, outcome: Outcome, needed: tuple[str, ...], **columns: str | None) -> None:
    """What was read is what other readers read; where these find a flaw, evenhand has said so."""
    if outcome.document is None:
        return
    try:
        other = oracle.read(path, needed)
    except oracle.NoTableError:
        return
    flaw = oracle.flaws(other, **columns)
    assert not flaw or outcome.document["problems"], f"read without a remark, though {flaw}"
    if flaw:
        return
    expected = oracle.accuracies(other.rows, columns.get("weight"))
    found = {
        row["group"] if row["attribute"] else None: (row["n"], row["value"])
        for row in outcome.document["rates"]
        if row["metric"] == "accuracy"
    }
    assert found.keys() == expected.keys(), (
        f"groups {sorted(map(str, found))}, but the file has {sorted(map(str, expected))}"
    )
    for group, (n, value) in expected.items():
        own = found[group]
        same = (
            own[1] is None
            if math.isnan(value)
            else own[1] is not None and math.isclose(own[1], value, abs_tol=1e-9)
        )
        assert own[0] == n and same, f"group {group!r}: {own}, but the file says {(n, value)}"  # noqa: PT018


@fuzzed(
    0.3,
    seed=st.integers(0, 20),
    way=st.sampled_from(sorted(WAYS)),
    steps=st.lists(STEP, min_size=1, max_size=2),
    weighted=st.booleans(),
    inside=st.booleans(),
)
def test_damaged_bytes(seed, way, steps, weighted, inside):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(table(seed), way, folder)
        data = path.read_bytes()
        packed = inside and path.suffix == ".gz"
        if packed:
            data = gzip.decompress(data)
        for step in steps:
            data = mutated(data, step)
        if packed:
            data = gzip.compress(data)
        path.write_bytes(data)
        options = {"by": ["g"], "metric": ["accuracy"], "min_group_size": 1} | (
            {"weight": "w"} if weighted else {}
        )
        outcome = judged(path, folder, options)
        agrees(path, outcome, (*NEEDED, "w") if weighted else NEEDED, weight="w" if weighted else None)


@fuzzed(0.01, way=st.sampled_from(sorted(WAYS)), step=STEP)
def test_damaged_bytes_in_a_process(way, step):
    """What a shell sees of a damaged file: exit code, streams and files."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUTF8": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(table(1), way, folder)
        path.write_bytes(mutated(path.read_bytes(), step))
        before, outputs = path.read_bytes(), {"json": folder / "out.json", "csv": folder / "out.csv"}
        call = [sys.executable, "-m", "evenhand", "audit", str(path), "--by", "g", "--metric", "accuracy"]
        call += ["--json", str(outputs["json"]), "--csv", str(outputs["csv"])]
        done = subprocess.run(call, capture_output=True, encoding="utf-8", env=environment, check=False)
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        sane(outcome, [path.name])
        whole(outcome, outputs)
        assert path.read_bytes() == before


# ---- Words in cells.

CELLS = (
    "", " ", "NA", "N/A", "None", "null", "NULL", "nan", "NaN", "#N/A", "<NA>", "NaT", "\\N", "n/a", "inf",
    "-inf", "Infinity", "1e400", "-1e400", "-0", "-0.0", "-1", "-0.001", "1_000", "0x1", "１", "١", " 1",
    "1 ", "+1", "01", "1.", ".5", "1e0", "1E0", "TRUE", "True", "T", "yes", "1,0", "1.5", "1.0000001",
    "-1e-9", "1.0", "1.00", "9" * 400, "9007199254740993", "e\u0301", "\u200b1", "\u00a01", "[1]", "[]",
    "{}", '{"a": 1}', "[0.5]", "-", "?", ".", "x" * 70000, "1\n", "\ta", "a\rb", "\ufeff1", "1;0", "1e-400",
    "1e308", "1e200", "0", "1", "2", "Zoë", "ZOË", "Zoë ", "r0", "R0", "r0 ",
)  # fmt: skip
LOST = frozenset(c.lower() for c in CELLS[:14])


@fuzzed(
    0.12,
    seed=st.integers(0, 20),
    column=st.sampled_from(["example_id", "label", "prediction", "g", "w", "score", "m_a"]),
    cell=st.sampled_from(CELLS),
    rows=st.sets(st.integers(0, 23), min_size=1, max_size=3),
    used=st.sets(st.sampled_from(["weight", "cluster", "score"])),
)
def test_an_odd_word_in_a_cell(seed, column, cell, rows, used):
    frame = table(seed, scores=column == "score" or "score" in used)
    frame.append(("m_a", [int(i % 3 == 0) for i in range(24)]))
    frame = [
        (name, [cell if name == column and i in rows else v for i, v in enumerate(values)])
        for name, values in frame
    ]
    # Written as text, so that the cell says the same in every file.
    frame = [(name, [str(v) for v in values] if name == column else values) for name, values in frame]
    options: dict[str, Any] = {
        "by": ["g"],
        "memberships": ["m_*"],
        "metric": ["accuracy"],
        "min_group_size": 1,
    }
    options |= {"weight": "w"} if "weight" in used or column == "w" else {}
    options |= {"cluster": "text"} if "cluster" in used else {}
    options["metric"] += ["brier_score"] if column == "score" or "score" in used else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outcomes = {}
        for way in ("quoted", "jsonl", "parquet"):
            path = write(frame, way, folder)
            outcomes[way] = judged(path, folder, options)
            named = {
                "weight": options.get("weight"),
                "score": "score" if "brier_score" in options["metric"] else None,
            }
            agrees_except_groups(path, outcomes[way], named)
        outcomes["memory"] = by_python(arrow(frame, {}), options)
    _alike(outcomes)
    plain = outcomes["parquet"]
    if column in {"label", "prediction", "g"} and cell.strip().lower() in LOST and plain.document is not None:
        assert any(cell in remark for remark in plain.document["problems"]), (
            f"{cell!r} is taken for a value in silence"
        )


def agrees_except_groups(path: Path, outcome: Outcome, named: Mapping[str, str | None]) -> None:
    needed = (*NEEDED, "m_a", *(v for v in named.values() if v))
    document = outcome.document
    if document is not None:
        plain = {**document, "rates": [r for r in document["rates"] if r["attribute"] in {None, "g"}]}
        agrees(path, Outcome(0, document=plain), needed, member="m_a", **named)


def _alike(outcomes: Mapping[str, Outcome]) -> None:
    plain = outcomes["parquet"]
    for way, other in outcomes.items():
        assert other.refused == plain.refused, f"{way}: {other.err or 'read'}; parquet: {plain.err or 'read'}"
        if plain.document is not None and other.document is not None:
            said = differences(plain.document, other.document, within=1e-9)
            said = [s for s in said if "'table'" not in s] if way == "memory" else said
            assert not said, f"{way}: " + "\n".join(said[:5])
