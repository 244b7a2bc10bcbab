"""Stored documents: how they are made comparable, written, read, and compared."""

from __future__ import annotations

import gzip
import json
import math
import platform
import re
from html.parser import HTMLParser
from pathlib import Path

DOCUMENTS = Path(__file__).with_name("documents")
PROSE_WORDS = 3
FOLDER_NAME = "FOLDER"
#: What differs from one time or folder to the next.
PASSING = {
    "created", "started", "ended", "seconds", "seconds_total", "peak_memory_bytes",
    "peak_memory_checks_bytes",
    "versions", "evenhand", "machine", "version", "path", "pid",
}  # fmt: skip
#: Equal only where every bit of training is.
DIGESTS = re.compile(r"\b[0-9a-f]{64}\b")
NUMBER = re.compile(r"(?<![\w.])[−-]?\d+(?:,\d{3})*(?:\.\d+)?")
WORDS = re.compile(r"[^\W\d_]{2,}")
TIMES = re.compile(
    r"×[\d.]+"  # what a method costs, as a multiple of another's
    r"|\d+(?:\.\d+)? ?(?:s|ms|min|seconds?|MB|GB|KB)\b"
    r"|\d{4}-\d\d-\d\d[T ][\d:+]*|[\d:]+ (?:ago|left)"
)


class _Text(HTMLParser):
    """The texts of a page, without scripts and styles."""

    def __init__(self):
        super().__init__()
        self.texts, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style", "svg")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style", "svg")

    def handle_data(self, data):
        if not self.hidden and data.strip():
            self.texts.append(" ".join(data.split()))


def texts(page):
    """What a reader of an HTML page sees, text by text."""
    parser = _Text()
    parser.feed(page)
    return parser.texts


def processor():
    """The name of this machine's processor: trained numbers are compared on the one they were stored on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "model\t"))]
    return " ".join(dict.fromkeys(names))


def lasting(value, folder):
    """A document without times, folders and versions."""
    if isinstance(value, dict):
        return {k: lasting(v, folder) for k, v in value.items() if k not in PASSING}
    if isinstance(value, list | tuple):
        return [lasting(entry, folder) for entry in value]
    if isinstance(value, str):
        return re.sub(r"TIME(?: TIME)+", "TIME", TIMES.sub("TIME", value.replace(str(folder), FOLDER_NAME)))
    return value


def write(name, value):
    DOCUMENTS.mkdir(exist_ok=True)
    content = json.dumps({"processor": processor(), "documents": value}, indent=1, ensure_ascii=False)
    with gzip.GzipFile(DOCUMENTS / f"{name}.json.gz", "wb", mtime=0) as file:
        file.write(content.encode())


def read(name):
    content = json.loads(gzip.decompress((DOCUMENTS / f"{name}.json.gz").read_bytes()))
    return lasting(content["documents"], FOLDER_NAME), content["processor"]


def differences(stored, found, *, exact, numbers=True, path="", tolerance=1e-6):
    """Where two documents differ, one line each.

    Args:
        stored: what it was.
        found: what it is.
        exact: also the words of sentences and digests of files, and numbers to the last bit; otherwise a
            sentence counts by the numbers in it.
        numbers: compare numbers at all; otherwise only what is there.
        path: where in the document.
        tolerance: of a number, relative to it and to one.

    Returns:
        A sentence for each difference.
    """
    more = {"exact": exact, "numbers": numbers, "tolerance": tolerance}
    if isinstance(stored, dict) and isinstance(found, dict):
        keys = [*stored, *(k for k in found if k not in stored)]
        return [
            line
            for key in keys
            for line in (
                differences(stored[key], found[key], path=f"{path}/{key}", **more)
                if key in stored and key in found
                else [f"{path}/{key}: only {'stored' if key in stored else 'found'}"]
            )
        ]
    if isinstance(stored, list) and isinstance(found, list):
        if len(stored) != len(found):
            return [f"{path}: {len(stored)} entries were stored, {len(found)} found"]
        each = enumerate(zip(stored, found, strict=True))
        return [line for i, (a, b) in each for line in differences(a, b, path=f"{path}[{i}]", **more)]
    if exact:
        return [] if stored == found else [f"{path}: {stored!r} was stored, {found!r} found"]
    return (
        []
        if _alike(stored, found, numbers, tolerance)
        else [f"{path}: {stored!r} was stored, {found!r} found"]
    )


def _alike(stored, found, numbers, tolerance):
    if isinstance(stored, str) and isinstance(found, str):
        if DIGESTS.search(stored) and DIGESTS.search(found):
            return True
        cells = _number(stored), _number(found)
        if None not in cells:  # of a CSV, whose last digits differ from processor to processor
            return _alike(*cells, numbers, tolerance)
        if len(WORDS.findall(stored)) < PROSE_WORDS:
            return stored == found or (not numbers and bool(NUMBER.search(stored)))
        return not numbers or NUMBER.findall(stored) == NUMBER.findall(found)
    if isinstance(stored, bool) or stored is None or found is None:
        return stored == found or not numbers
    if isinstance(stored, int | float) and isinstance(found, int | float):
        return not numbers or math.isclose(stored, found, rel_tol=tolerance, abs_tol=tolerance)
    return bool(stored == found)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
