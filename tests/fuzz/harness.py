"""Calls of evenhand in this process, and what must hold of every one of them, whatever is in the files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.cli import main

#: Words of the libraries beneath, of SQL and of Python, which no reader of a message should have to know.
ENGINE = re.compile(
    r"duckdb|\bSQL\b|STRUCT\b|VARCHAR|BIGINT|\bDOUBLE\b|Binder|Catalog Error|Conversion Error|Parser Error"
    r"|Invalid Input Error|Invalid Error|Not implemented|INTERNAL|IO Error|Out of Range|pyarrow|\bArrow"
    r"|polars|read_csv|read_json|read_parquet|ignore_errors|Traceback|Errno|\bCAST\b|RuntimeWarning"
    r"|codec can't|zlib|TProtocol|[Tt]hrift|Snappy|object at 0x"
)
#: What the call of Python says when it is given something that is no table.
ALLOWED = "(pandas, polars, pyarrow, a dict of columns)"
CODES = {0, 2, 3}


@dataclass(frozen=True)
class Outcome:
    """What a call gave.

    Attributes:
        code: the exit code; 1 for an exception that escaped.
        out: standard output.
        err: standard error.
        document: the result, if there is one.
        crash: the traceback of an exception that escaped.
    """

    code: int
    out: str = ""
    err: str = ""
    document: Mapping[str, Any] | None = None
    crash: str = ""

    @property
    def refused(self) -> bool:
        return self.code == 2


def call(arguments: Sequence[str]) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code, crash = main(list(arguments)), ""
        except SystemExit as error:
            code, crash = int(error.code or 0), ""
        except Exception:
            code, crash = 1, traceback.format_exc()
    return Outcome(code, out.getvalue(), err.getvalue(), crash=crash)


def audit_files(folder: Path, arguments: Sequence[str], inputs: Sequence[Path]) -> Outcome:
    """Run `evenhand audit` with all outputs that are cheap, and check what holds of every call."""
    outputs = {"json": folder / "out.json", "csv": folder / "out.csv"}
    for path in outputs.values():
        path.unlink(missing_ok=True)
    written = [word for kind, path in outputs.items() for word in (f"--{kind}", str(path))]
    before = contents(inputs)
    outcome = call(["audit", *arguments, *written])
    sane(outcome, [p.name for p in inputs])
    assert contents(inputs) == before, "an input was changed"
    return Outcome(outcome.code, outcome.out, outcome.err, whole(outcome, outputs), outcome.crash)


def sane(outcome: Outcome, names: Sequence[str]) -> None:
    """An exit code that is documented, no traceback, and a message that names what is wrong."""
    assert not outcome.crash, f"an exception escaped:\n{outcome.crash}"
    said = outcome.out + outcome.err
    assert outcome.code in CODES, f"exit code {outcome.code}: {said}"
    odd = ENGINE.search(outcome.err.replace(ALLOWED, ""))
    assert not odd, f"{odd[0]!r} is no word for a reader: {outcome.err}"
    if outcome.refused:
        assert not outcome.out.strip(), f"exit code 2, but something on standard output: {outcome.out}"
        assert outcome.err.startswith("evenhand"), outcome.err
        assert outcome.err.count("evenhand: ") + outcome.err.count("evenhand audit: ") >= 1, outcome.err
        assert re.search(r"--|FILE|\barms?\b", outcome.err) or any(name in outcome.err for name in names), (
            f"names neither a file nor an option: {outcome.err}"
        )


def whole(outcome: Outcome, outputs: Mapping[str, Path]) -> Mapping[str, Any] | None:
    """The result as it was written: every output is whole, or, of a refused call, none is there."""
    if outcome.refused:
        left = [kind for kind, path in outputs.items() if path.exists()]
        assert not left, f"exit code 2, but --{left[0]} was written"
        return None
    document: Mapping[str, Any] = json.loads(outputs["json"].read_text(encoding="utf-8"), parse_constant=_no)
    with outputs["csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len({len(row) for row in rows}) == 1, "--csv: rows of several lengths"
    parts = ("rates", "disparities", "comparisons", "averages", "collective", "shrunken")
    counted = sum(len(document.get(part, ())) for part in parts)
    assert len(rows) == 1 + counted, "--csv: another number of rows than the result"
    return document


def _no(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def contents(paths: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


@contextlib.contextmanager
def replayable(folder: Path, arguments: Sequence[str], inputs: Sequence[Path]) -> Iterator[None]:
    """Keep the files and the command of a failure under `.hypothesis/evenhand`, where it can be run again."""
    try:
        yield
    except AssertionError as error:
        kept = Path(".hypothesis") / "evenhand" / folder.name
        kept.mkdir(parents=True, exist_ok=True)
        for path in inputs:
            if path.is_file():
                (kept / path.name).write_bytes(path.read_bytes())
        words = [Path(word).name if word.startswith(str(folder)) else word for word in arguments]
        (kept / "call.json").write_text(json.dumps(words, ensure_ascii=False, indent=1), encoding="utf-8")
        error.add_note(f"the files of the last failure: {kept}; call: evenhand {words}")
        raise


def printed(text: str) -> None:
    """Print progress past the captured output."""
    print(text, file=sys.__stderr__, flush=True)
