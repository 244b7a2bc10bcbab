"""The same table in many dialects: how words are written, in which files and tables in memory."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.fuzz.worlds import Frame, World, take

Value = Any
Draw = Mapping[str, Any]


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        container: the function that writes it.
        choices: its options.
        spelling: how truth values are written: `python`, `r`, `number`, `float`, `lower`.
        apart: whether every arm is a table of its own.
        extra: columns that nobody asks for.
        seed: of the order of rows and columns; None keeps it.
        strict: whether it must be read; else a refusal will do, but no other number.
    """

    container: str
    choices: Draw = field(default_factory=dict)
    spelling: str = "python"
    apart: bool = False
    extra: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def strict(self) -> bool:
        odd = ("comma_decimals", "misnamed", "shape", "misspelt", "skip")
        return not any(self.choices.get(name) for name in odd)

    @property
    def tolerance(self) -> float:
        return 1e-5 if self.choices.get("float") == "float32" else 1e-9


# ---- What a cell says.

SPELLINGS: dict[str, Callable[[bool], Value]] = {
    "python": bool,
    "number": int,
    "float": float,
    "text number": lambda v: str(int(v)),
    "text float": lambda v: f"{int(v)}.0",
    "lower": lambda v: str(v).lower(),
    "upper": lambda v: str(v).upper(),
    "title": str,
}


def spelt(world: World, spelling: str) -> World:
    """The truth values of label and prediction in other words; the same for 0 and 1."""
    if not {*world.classes} <= {0, 1}:
        return world
    for name in ("label", "prediction"):
        if name in dict(world.frame):
            world = world.having(name, [SPELLINGS[spelling](v) for v in world.column(name)])
    return world


#: Columns that nobody asks for, of `n` rows.
ODD: dict[str, Callable[[int], tuple[str, list[Value]]]] = {
    "mixed": lambda n: ("note", [(1, "text", None, 2.5)[i % 4] for i in range(n)]),
    "empty": lambda n: ("nothing", [None] * n),
    "nested": lambda n: ("meta", [{"lang": "en", "k": [i]} if i % 3 else None for i in range(n)]),
    "nested twins": lambda n: ("meta2", [{"lang": i, "Lang": "x"} for i in range(n)]),
    "lists": lambda n: ("tokens", [[i] * (i % 3) for i in range(n)]),
    "nameless": lambda n: ("", list(range(n))),
    "label in capitals": lambda n: ("Label", [f"L{i}" for i in range(n)]),
    "id in capitals": lambda n: ("EXAMPLE_ID", [i // 2 for i in range(n)]),
    "doubled": lambda n: ("twin", list(range(n))),
    "text": lambda n: ("text", ['He said: "no",\nand; left\tsoon|' if i % 2 else "é" * i for i in range(n)]),
    "long": lambda n: ("long", ["y" * 5000] * n),
    "huge": lambda n: ("huge", [10**30 + i for i in range(n)]),
    "nan": lambda n: ("nan", [float("nan"), *([float("inf")] * (n - 1))]),
    "binary": lambda n: ("raw", [bytes([255, 254, i]) for i in range(n)]),
    "time": lambda n: ("time", [datetime.datetime(2024, 1, 1 + i % 28) for i in range(n)]),  # noqa: DTZ001
    "star": lambda n: ("score2", [f"{i}" for i in range(n)]),
    "quoted name": lambda n: ('my "own"; column, here', list(range(n))),
}
ANY = ("mixed", "empty", "nested", "lists", "nameless", "label in capitals", "id in capitals", "text", "long",
       "huge", "nan", "star", "quoted name")  # fmt: skip


def with_extra(world: World, extra: Sequence[str]) -> Frame:
    frame = list(world.frame)
    rows = len(frame[0][1])
    for kind in extra:
        column = ODD[kind](rows)
        frame.append(column)
        if kind == "doubled":
            frame.insert(0, column)
    return frame


# ---- Text.


def as_text(value: Value, choices: Draw) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        text = repr(value)
        return text.replace(".", ",") if choices.get("comma_decimals") else text
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def write_csv(frame: Frame, path: Path, choices: Draw) -> Path:
    """Write as the choices say."""
    out = io.StringIO(newline="")
    delimiter, eol = choices["delimiter"], choices["eol"]
    if choices.get("sep_line"):
        out.write(f"sep={delimiter}{eol}")
    for row in _text_rows(frame, choices):
        out.write(delimiter.join(_cell(cell, choices) for cell in row) + eol)
    text = out.getvalue()
    if choices.get("no_last_eol"):
        text = text.removesuffix(eol)
    data = text.encode("utf-8-sig" if choices.get("bom") else "utf-8")
    return _written(path, data, choices)


def _text_rows(frame: Frame, choices: Draw) -> list[list[str]]:
    rows = [[name for name, _ in frame]]
    rows += [[as_text(v, choices) for v in row] for row in zip(*(v for _, v in frame), strict=True)]
    return rows


def _cell(cell: str, choices: Draw) -> str:
    """A cell, quoted where it must be; Python's own writer leaves a lone carriage return unquoted."""
    if choices["quote_all"] or any(letter in cell for letter in (choices["delimiter"], '"', "\r", "\n")):
        return '"' + cell.replace('"', '""') + '"'
    return f" {cell} " if cell and choices.get("blanks") else cell


def _written(path: Path, data: bytes, choices: Draw) -> Path:
    if choices.get("gz"):
        cut = len(data) // 2
        data = (
            gzip.compress(data[:cut]) + gzip.compress(data[cut:])
            if choices["gz"] == 2
            else gzip.compress(data)
        )
    ending = choices["ending"] + (".gz" if choices.get("gz") and not choices.get("misnamed") else "")
    path = path.with_name(path.name + (ending.upper() if choices.get("capitals") else ending))
    path.write_bytes(data)
    return path


CSV = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "eol": st.sampled_from(["\n", "\r\n", "\r"]),
        "quote_all": st.booleans(),
        "ending": st.just(".csv"),
    },
    optional={
        "bom": st.just(True),
        "sep_line": st.just(True),
        "blanks": st.just(True),
        "no_last_eol": st.just(True),
        "gz": st.sampled_from([1, 2]),
        "capitals": st.just(True),
    },
)
TSV = CSV.map(lambda c: {**c, "delimiter": "\t", "ending": ".tsv", "sep_line": False})
COMMAS = CSV.map(lambda c: {**c, "delimiter": ";", "comma_decimals": True})
MISNAMED = CSV.map(lambda c: {**c, "gz": 1, "misnamed": True})


# ---- JSON.


def plain(value: Value) -> Value:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def write_json(frame: Frame, path: Path, choices: Draw) -> Path:
    names = [name for name, _ in frame]
    columns = {name: [plain(v) for v in values] for name, values in frame}
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if choices.get("omit"):
        rows = [{k: v for k, v in row.items() if v is not None} for row in rows]
    if choices.get("any_order"):
        rows = [dict(sorted(row.items(), reverse=i % 2 == 1)) for i, row in enumerate(rows)]

    def dumps(value: Value) -> str:
        return json.dumps(value, ensure_ascii=choices["ascii"])

    shape = choices.get("shape")
    if shape == "columns":
        text = dumps({name: {str(i): v for i, v in enumerate(own)} for name, own in columns.items()})
    elif shape == "lists":
        text = dumps(columns)
    elif shape == "split":
        text = dumps(
            {"columns": names, "index": list(range(len(rows))), "data": [list(r.values()) for r in rows]}
        )
    elif shape == "index":
        text = dumps({str(i): row for i, row in enumerate(rows)})
    elif choices["ending"] == ".json":
        text = json.dumps(rows, ensure_ascii=choices["ascii"], indent=choices.get("indent"))
    else:
        text = choices["eol"].join(dumps(row) for row in rows) + choices["eol"]
    return _written(path, text.encode("utf-8-sig" if choices.get("bom") else "utf-8"), choices)


JSON = st.fixed_dictionaries(
    {
        "ascii": st.booleans(),
        "ending": st.sampled_from([".json", ".jsonl", ".ndjson"]),
        "eol": st.sampled_from(["\n", "\r\n"]),
    },
    optional={
        "bom": st.just(True),
        "omit": st.just(True),
        "any_order": st.just(True),
        "indent": st.sampled_from([1, 4]),
        "gz": st.sampled_from([1, 2]),
        "capitals": st.just(True),
    },
)
SHAPES = st.tuples(JSON, st.sampled_from(["columns", "lists", "split", "index"])).map(
    lambda t: {**t[0], "ending": ".json", "shape": t[1], "omit": False, "any_order": False}
)


# ---- Arrow, which all parquet files and most tables in memory begin as.


def arrow_column(values: Sequence[Value], choices: Draw) -> pa.Array:  # noqa: PLR0911
    """A column in the types that the choices name; columns of several types become text."""
    there = [v for v in values if v is not None]
    kinds = {type(v) for v in there}
    if kinds <= {int, float} and kinds != {int} and kinds:
        kind = choices.get("float", "float64")
        if kind == "decimal":
            if all(abs(v) < 1e6 and np.isfinite(v) for v in there):
                exact = [None if v is None else decimal.Decimal(repr(float(v))) for v in values]
                return pa.array(exact, pa.decimal128(38, 24))
            kind = "float64"
        return pa.array([None if v is None else float(v) for v in values], getattr(pa, kind)())
    if kinds == {int}:
        return _whole(values, there, choices.get("int", "int64"))
    if kinds == {list} and all(isinstance(x, float) for v in there for x in v):
        inner = pa.float32() if choices.get("float") == "float32" else pa.float64()
        sizes = {len(v) for v in there}
        if choices.get("fixed") and len(sizes) == 1:
            return pa.array(values, pa.list_(inner, sizes.pop()))
        return pa.array(values, pa.large_list(inner) if choices.get("large") else pa.list_(inner))
    if kinds == {str}:
        kind = choices.get("string", "string")
        if kind == "dictionary":
            return pa.array(values, pa.string()).dictionary_encode()
        return pa.array(values, getattr(pa, kind)())
    if len(kinds) > 1:
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    return pa.array(values)


def _whole(values: Sequence[Value], there: Sequence[int], kind: str) -> pa.Array:
    if max(map(abs, there)) >= 2**63:
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    if kind == "float64" and max(map(abs, there)) < 2**53:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kind.startswith("float"):
        kind = "int64"
    try:
        return pa.array(values, getattr(pa, kind)())
    except (pa.ArrowInvalid, OverflowError):
        return pa.array(values, pa.int64())


def arrow(frame: Frame, choices: Draw) -> pa.Table:
    arrays = [arrow_column(values, choices) for _, values in frame]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in frame])


TYPES = st.fixed_dictionaries(
    {},
    optional={
        "string": st.sampled_from(["string", "large_string", "dictionary", "string_view"]),
        "float": st.sampled_from(["float64", "float32", "decimal"]),
        "int": st.sampled_from(["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float64"]),
        "fixed": st.just(True),
        "large": st.just(True),
    },
)


def write_parquet(frame: Frame, path: Path, choices: Draw) -> Path:
    path = path.with_name(path.name + choices["ending"])
    options = {"compression": choices["compression"], "row_group_size": choices["row_group_size"]}
    if choices["writer"] == "polars":
        pl.from_arrow(arrow(frame, choices)).write_parquet(path, **options)
        return path
    if choices["writer"] == "pandas":
        made = _pandas(frame, choices)
        made.to_parquet(path, compression=None if options["compression"] == "uncompressed" else "snappy")
        return path
    table = arrow(
        frame, {**choices, "string": "string"} if choices.get("string") == "string_view" else choices
    )
    options["compression"] = {"uncompressed": "none"}.get(options["compression"], options["compression"])
    pq.write_table(
        table, path, **options,
        data_page_version=choices.get("page", "1.0"), use_dictionary=choices.get("use_dictionary", True),
    )  # fmt: skip
    return path


PARQUET = st.tuples(
    TYPES,
    st.fixed_dictionaries(
        {
            "writer": st.sampled_from(["pyarrow", "pandas", "polars"]),
            "compression": st.sampled_from(["snappy", "zstd", "gzip", "uncompressed"]),
            "row_group_size": st.sampled_from([7, 1000]),
            "ending": st.sampled_from([".parquet", ".pq", ".PARQUET"]),
        },
        optional={"page": st.just("2.0"), "use_dictionary": st.just(False), "frame": st.just("nullable"),
                  "index": st.just(True)},
    ),
).map(lambda t: {**t[0], **t[1]})  # fmt: skip


# ---- Tables in memory.


def _pandas(frame: Frame, choices: Draw) -> pd.DataFrame:
    kind = choices.get("frame", "object")
    columns = []
    for _, values in frame:
        if kind == "object":
            series = pd.Series(values, dtype=object)
        elif kind == "category" and all(isinstance(v, str) for v in values):
            series = pd.Series(values, dtype="category")
        elif kind == "nullable":
            series = pd.Series(values).convert_dtypes()
        elif kind == "arrow":
            series = pd.Series(arrow_column(values, choices).to_pandas(types_mapper=pd.ArrowDtype))
        else:
            series = pd.Series(values)
        columns.append(series)
    made = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    made.columns = [name for name, _ in frame]
    if choices.get("index"):
        made.index = pd.Index([f"i{i}" for i in range(len(made))], name="label" if kind == "plain" else None)
        made.index.name = "place"
    return made


def in_memory(frame: Frame, _: Path, choices: Draw) -> object:  # noqa: PLR0911
    """A table in memory."""
    kind = choices["kind"]
    if kind == "pandas":
        return _pandas(frame, choices)
    if kind == "dict of lists":
        return {name: list(values) for name, values in frame}
    if kind == "dict of arrays":
        return {name: _array(values) for name, values in frame}
    if kind == "dict of series":
        return {
            name: pd.Series(values) if i % 2 else pl.Series(arrow_column(values, {}))
            for i, (name, values) in enumerate(frame)
        }
    table = arrow(frame, choices)
    if kind == "polars":
        return pl.from_arrow(table)
    if kind == "reader":
        return table.to_reader(max_chunksize=7)
    if kind == "batch":
        return table.combine_chunks().to_batches()[0]
    if kind == "chunks":
        return pa.concat_tables([table.slice(0, 5), table.slice(5)])
    return table


def _array(values: Sequence[Value]) -> np.ndarray:
    kinds = {type(v) for v in values}
    if (
        len(kinds) > 1
        or kinds & {list, dict, bytes}
        or any(isinstance(v, int) and abs(v) > 2**62 for v in values)
    ):
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made
    return np.asarray(values)


KINDS = ("pandas", "dict of lists", "dict of arrays", "dict of series", "polars", "reader", "batch", "chunks",
         "arrow")  # fmt: skip
MEMORY = st.tuples(
    TYPES,
    st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS)},
        optional={
            "frame": st.sampled_from(["object", "category", "nullable", "plain", "arrow"]),
            "index": st.just(True),
        },
    ),
).map(lambda t: {**t[0], **t[1]})

CONTAINERS: dict[str, tuple[Callable[[Frame, Path, Draw], Any], st.SearchStrategy[dict[str, Any]]]] = {
    "csv": (write_csv, CSV),
    "tsv": (write_csv, TSV),
    "json": (write_json, JSON),
    "parquet": (write_parquet, PARQUET),
    "memory": (in_memory, MEMORY),
    "decimal commas": (write_csv, COMMAS),
    "misnamed gzip": (write_csv, MISNAMED),
    "json of columns": (write_json, SHAPES),
}
#: Which odd columns a container can hold.
HOLDS = {
    "csv": (*ANY, "doubled", "binary", "time"),
    "json": (*ANY, "nested twins", "time"),
    "parquet": (*(kind for kind in ANY if kind not in {"mixed", "long", "huge"}), "binary", "time"),
    "memory": (*ANY, "time"),
}


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    container = draw(st.sampled_from(["csv", "csv", "json", "parquet", "parquet", "memory", "memory", "tsv",
                                      "decimal commas", "misnamed gzip", "json of columns"]))  # fmt: skip
    choices = draw(CONTAINERS[container][1])
    kind = "csv" if "eol" in choices and "delimiter" in choices else "json" if "eol" in choices else container
    extra = draw(st.lists(st.sampled_from(HOLDS[kind]), max_size=2, unique=True))
    return Dialect(
        container,
        choices,
        spelling=draw(st.sampled_from(sorted(SPELLINGS))),
        apart=draw(st.booleans()),
        extra=tuple(extra),
        seed=draw(st.none() | st.integers(0, 99)),
    )


def render(world: World, dialect: Dialect, folder: Path) -> tuple[list[tuple[str, str, Any]], dict[str, Any]]:
    """Write a table in a dialect.

    Returns:
        (arm, run, path or table) of every table, and the options with which it says the same.
    """
    world = spelt(world, dialect.spelling)
    if dialect.seed is not None:
        world = world.ordered(random.Random(dialect.seed))
    if dialect.choices.get("comma_decimals"):
        for name in world.options["by"]:  # a name is a text, in which a comma stays what it is
            world = world.having(name, list(map(str, world.column(name))))
    frame = with_extra(world, dialect.extra)
    write = CONTAINERS[dialect.container][0]
    options = dict(world.options)
    if not dialect.apart:
        return [("", "", write(frame, folder / "table", dialect.choices))], options
    options.pop("arm", None)
    options.pop("run", None)
    arms = world.column("arm") if len(world.arms) > 1 else [world.arms[0]] * len(frame[0][1])
    runs = [str(r) for r in world.column("run")] if len(world.runs) > 1 else ["1"] * len(frame[0][1])
    tables = []
    for arm in world.arms:
        for run in world.runs:
            rows = [i for i, own in enumerate(zip(arms, runs, strict=True)) if own == (arm, run)]
            part = [(name, v) for name, v in take(frame, rows) if name not in {"arm", "run"}]
            tables.append((arm, run, write(part, folder / f"{arm}-{run}", dialect.choices)))
    return tables, options


def reference(world: World, folder: Path) -> Path:
    """The table as pyarrow writes it, without any choice."""
    path = folder / "reference.parquet"
    pq.write_table(arrow(world.frame, {}), path)
    return path
