"""`python -m tests.stored NAME...` stores documents; `--compare` looks at every word and bit of them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.stored.cases import CASES
from tests.stored.compare import differences, lasting, read, write


def documents(name):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        streams = io.StringIO(), io.StringIO()

        def capture():
            contents = [stream.getvalue() for stream in streams]
            for stream in streams:
                stream.seek(0)
                stream.truncate()
            return "".join(contents)

        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            found = CASES[name](capture)
        return json.loads(json.dumps(lasting(found, Path(folder))))


if __name__ == "__main__":
    os.environ.pop("STAND_IN", None)
    words = sys.argv[1:]
    names = [word for word in words if not word.startswith("--")] or list(CASES)
    count = 0
    for name in names:
        began = time.perf_counter()
        found = documents(name)
        if "--compare" in words:
            lines = differences(read(name)[0], found, exact=True)
            count += len(lines)
            print(
                f"{name}: {len(lines)} differences, {time.perf_counter() - began:.1f} s",
                *lines[:8],
                sep="\n  ",
            )
        else:
            write(name, found)
            print(f"{name}: stored, {time.perf_counter() - began:.1f} s")
    sys.exit(bool(count))
