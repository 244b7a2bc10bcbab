"""Convert tables in memory to Arrow, column by column where the table cannot be converted at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from evenhand.errors import CallError, TableError
from evenhand.tables.values import Unreadable

_KINDS = {str: "texts", bool: "truth values", int: "numbers", float: "numbers", bytes: "bytes",
          list: "lists", tuple: "lists", dict: "records", set: "sets"}  # fmt: skip
_MAX_INSPECTED_VALUES = 100_000


def as_arrow(source: object) -> tuple[Any, list[str], dict[int, str]]:
    """Convert a table of any library to a `pyarrow.Table`.

    Returns:
        The table with columns `c0`, `c1`, ...; the original names; and, by number, the reasons why single
        columns cannot be read (these are all null in the table).

    Raises:
        Unreadable: it is not a table.
    """
    import pyarrow as pa  # noqa: PLC0415  (only this door needs it)

    faults = (pa.ArrowException, TypeError, ValueError, NotImplementedError, KeyError, OverflowError)
    try:
        named_columns = _columns(source)
        columns = [] if named_columns is None else list(named_columns)
        converted = _convert_table(source) if named_columns is None else None
    except faults as error:
        raise Unreadable(f"cannot be read as a table ({_first_line(error)}).") from None
    if converted is not None:
        names = [str(name) for name in converted.column_names]
        if not names:
            raise Unreadable("has no columns.")
        converted, foreign = _without_extensions(converted)
        return converted.rename_columns([f"c{i}" for i in range(len(names))]), names, foreign
    if not columns:
        raise Unreadable("has no columns.")
    arrays: dict[int, Any] = {}
    flaws: dict[int, str] = {}
    for i, (_, values) in enumerate(columns):
        try:
            arrays[i] = _array(values)
        except Unreadable as error:
            flaws[i] = str(error)
        except faults:
            flaws[i] = _describe_mixture(values)
    names = [name for name, _ in columns]
    lengths = {names[i]: len(array) for i, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"'{name}': {length}" for name, length in list(lengths.items())[:20])
        raise Unreadable(f"its columns differ in length ({shown}).")
    if not arrays:
        raise Unreadable(f"column '{names[0]}' {flaws[0]}")
    empty = pa.nulls(next(iter(lengths.values())))
    table = pa.table({f"c{i}": arrays.get(i, empty) for i in range(len(columns))})
    return table, names, flaws


def read_once(source: object, done: set[int] | None = None) -> object:
    """Replace every stream that can be read only once by a table that can be read again.

    Args:
        source: tables, paths, or containers of them.
        done: ids of the streams that were read before.

    Raises:
        CallError: one stream occurs twice.
        TableError: a stream breaks off.
    """
    done = set() if done is None else done
    if isinstance(source, Mapping):
        return (
            {name: read_once(value, done) for name, value in source.items()}
            if _has_stream(source.values())
            else source
        )
    if isinstance(source, list | tuple):
        return [read_once(value, done) for value in source] if _has_stream(source) else source
    if not _is_stream(source):
        return source
    import pyarrow as pa  # noqa: PLC0415

    if id(source) in done:
        raise CallError(
            "One stream of rows was given twice, but it can be read only once; give two streams, or a table."
        )
    done.add(id(source))
    try:
        return pa.table(source)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        raise TableError(f"A given stream of rows cannot be read ({_first_line(error)}).") from None


def _has_stream(values: Iterable[object]) -> bool:
    return any(_is_stream(v) or (isinstance(v, list | tuple) and _has_stream(v[:1000])) for v in values)


def _is_stream(value: object) -> bool:
    """Return True for a table whose rows may be readable only once."""
    kind = type(value)
    return hasattr(kind, "__arrow_c_stream__") and not hasattr(kind, "__len__")


def _columns(table: Any) -> Iterator[tuple[str, object]] | None:  # noqa: ANN401  (a table of any library)
    """Iterate over names and values of columns of any Python values; None for a table of typed columns."""
    if isinstance(table, Mapping):
        return ((str(name), values) for name, values in table.items())
    if hasattr(type(table), "iloc"):  # pandas: by position, since two columns may have one name
        return ((str(name), table.iloc[:, i]) for i, name in enumerate(table.columns))
    if hasattr(type(table), "get_columns"):  # polars: a column may hold Python objects
        return ((str(column.name), column) for column in table.get_columns())
    return None


def _convert_table(table: object) -> Any:  # noqa: ANN401  (pyarrow has no types)
    """Convert a table of typed columns to a `pyarrow.Table`."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        return pa.table(table)
    from pyarrow.interchange import from_dataframe  # noqa: PLC0415

    return from_dataframe(table)


def _without_extensions(table: Any) -> tuple[Any, dict[int, str]]:  # noqa: ANN401  (pyarrow has no types)
    """Replace extension types: periods and intervals by texts, others by nulls with a reason."""
    import pyarrow as pa  # noqa: PLC0415

    flaws = {}
    for i, field in enumerate(table.schema):
        name = extension_of(field.type)
        if name is None:
            continue
        if name.startswith("pandas."):
            array = _of_extension(table.column(i))
        else:
            array = pa.nulls(len(table))
            flaws[i] = f"holds values of the unknown type {name}; give texts or numbers."
        table = table.set_column(i, field.name, array)
    return table, flaws


def _array(values: object) -> Any:  # noqa: ANN401  (pyarrow has no types)
    """Convert a column (a list, a numpy array, a series of any library) to an Arrow array."""
    import pyarrow as pa  # noqa: PLC0415

    if hasattr(type(values), "iloc"):
        return _of_series(values)
    if hasattr(type(values), "__arrow_c_stream__"):
        return pa.chunked_array(values)
    array: Any = values if isinstance(values, list | tuple) else np.asarray(values)
    if isinstance(array, np.ndarray) and array.ndim != 1:
        if array.ndim != 2:
            raise Unreadable(f"is not a list of values (it has {array.ndim} dimensions).")
        array = list(array)
    return pa.array(array)


def _of_series(values: Any) -> Any:  # noqa: ANN401  (pandas and pyarrow have no types)
    """Convert a pandas series to an Arrow array; periods and intervals become texts as pandas prints them."""
    import pyarrow as pa  # noqa: PLC0415

    if hasattr(values.dtype, "fill_value"):  # a sparse one
        values = values.sparse.to_dense()
    array = pa.Array.from_pandas(values)
    if extension_of(array.type) is None:
        return array
    if hasattr(values.dtype, "categories"):
        return pa.Array.from_pandas(values.cat.rename_categories([str(v) for v in values.cat.categories]))
    return pa.Array.from_pandas(values.astype(object).map(str, na_action="ignore"))


def _of_extension(column: Any) -> Any:  # noqa: ANN401  (pyarrow has no types)
    """Convert an Arrow column of periods or intervals to texts."""
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_dictionary(column.type):
        return _of_series(column.to_pandas())
    coded = [
        pa.DictionaryArray.from_arrays(chunk.indices, _of_series(chunk.dictionary.to_pandas())).cast(
            pa.string()
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(coded, pa.string())


def extension_of(kind: Any) -> str | None:  # noqa: ANN401  (pyarrow has no types)
    """Name an extension type, whose stored values need decoding (a year stored as its distance from 1970)."""
    import pyarrow as pa  # noqa: PLC0415

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    name = str(getattr(inner, "extension_name", ""))
    return name if name and not name.startswith("arrow.") else None


def _describe_mixture(values: object) -> str:
    """Describe a column of mixed values, with one example of each kind."""
    advice = "give texts, numbers or truth values"
    some = list(islice(values, _MAX_INSPECTED_VALUES)) if isinstance(values, Iterable) else []
    examples: dict[str, object] = {}
    counts: Counter[str] = Counter()
    for value in some:
        if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  (NaN)
            continue
        kind = _KINDS.get(type(value), f"values of type {type(value).__name__}")
        examples.setdefault(kind, value)
        counts[kind] += 1
    kinds = sorted(examples, key=lambda kind: (kind != "texts", -counts[kind]))
    if len(kinds) < 2:
        return f"cannot be read: it holds {kinds[0] if kinds else 'no single values'}; {advice}."
    shown = [repr(examples[kind])[:40] for kind in kinds]
    return (
        f"cannot be read: it holds {' and '.join(kinds)} (as {' and '.join(shown)}); give values of one "
        "kind, for example all as text."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
