"""The columns of a kind of table, and which of them one table has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.errors import nearest
from evenhand.tables.io.database import Table
from evenhand.tables.schema import Columns
from evenhand.tables.values import Column

Kind = Literal[
    "name", "run", "class", "group", "word", "text", "words", "meaning", "texts", "number", "numbers",
    "score", "scores", "weight", "flag",
]  # fmt: skip

#: Kinds whose values may be lists, with what else to give.
_LISTS: Mapping[Kind, str] = {
    "texts": "a list of texts per row",
    "numbers": "a number, or a list of numbers",
    "scores": "a number, or a list of numbers",
}


@dataclass(frozen=True)
class Field:
    """A column of a kind of table.

    Attributes:
        name: its name, unless an option names it.
        kind: a name that every row has, a run or arm, a class, a group, a group whose names are a fixed
            vocabulary (word), a text that may be empty, words that may not, a meaning (a name that may be
            empty if the column is optional), a list of texts, a number, a number or list of numbers, a
            score or list of scores, a weight, or a flag of 0 and 1.
        role: part of the key, shared (the same for a key in every arm and run), or an answer.
        required: True if a table must have it; else it is used if the table has it.
        option: the attribute of `Columns` that names it; a field whose option names no column is not read.
        label: the option in complaints, if it differs.
        why: the reason for the column, in brackets.
    """

    name: str
    kind: Kind
    role: Literal["key", "shared", "answer"] = "shared"
    required: bool = True
    option: str = ""
    label: str = ""
    why: str = ""

    def column(self, columns: Columns) -> str | None:
        """Return the name of its column in a call; None if it is not read."""
        if not self.option:
            return self.name
        name: str | None = getattr(columns, self.option)
        return name

    @property
    def title(self) -> str:
        """The option in brackets, as complaints name it after the column; else empty."""
        label = self.label or (f"--{self.option}" if self.option else "")
        return f" ({label})" if label else ""


#: Columns that tell arms and runs apart.
RUN_FIELDS = (Field("arm", "run", option="arm"), Field("run", "run", option="run"))


def group_columns(columns: Columns) -> tuple[str, ...]:
    """List all needed partition columns, each once."""
    return tuple(dict.fromkeys((*columns.by, *(name for names in columns.intersect for name in names))))


def group_fields(columns: Columns) -> tuple[Field, ...]:
    """List the partition columns that a call names."""
    return tuple(
        Field(name, "group", label="--by" if name in columns.by else "--intersect")
        for name in group_columns(columns)
    )


def match_columns(pattern: str, names: Iterable[str]) -> tuple[str, ...]:
    """List the names that a pattern with one star matches, in the table's order."""
    before, _, after = pattern.partition("*")
    return tuple(
        name
        for name in names
        if len(name) > len(before) + len(after) and name.startswith(before) and name.endswith(after)
    )


def member_columns(members: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """List all membership columns, each once."""
    return tuple(dict.fromkeys(name for names in members.values() for name in names))


def find_columns(
    table: Table, fields: Iterable[Field], columns: Columns, title: str
) -> tuple[dict[Field, str], dict[str, tuple[str, ...]], list[str]]:
    """Find the columns of a table's fields and of the memberships.

    Args:
        table: an opened table.
        fields: the columns of its kind.
        columns: names and roles of columns in the call.
        title: noun for the rows of such tables.

    Returns:
        The column of each field that the table has, the columns of each membership pattern, and complaints
        about missing, unreadable and nested columns.
    """
    known = list(table.columns)
    members = {pattern: match_columns(pattern, known) for pattern in columns.memberships}
    flags = [Field(name, "flag", label="--memberships") for name in member_columns(members)]
    present: dict[Field, str] = {}
    complaints: dict[str, None] = {}
    for field in (*fields, *flags):
        name = field.column(columns)
        if name is None:
            continue
        column = table.columns.get(name)
        if column is not None:
            present[field] = name
            if fault := _fault(field, column):
                complaints[f"column '{name}'{fault}"] = None
        elif field.required:
            why = field.why or ("" if field.title else f", but {title} need it")
            complaints[f"column '{name}'{field.title} not found{why}; {nearest(name, known)}"] = None
    for pattern, names in members.items():
        if not names:
            complaints[f"--memberships '{pattern}' matches no column; {nearest(pattern, known)}"] = None
    return present, members, list(complaints)


def _fault(field: Field, column: Column) -> str:
    """Explain why a column cannot be the field's; empty if it can."""
    if column.flaw:
        return f"{field.title} {column.flaw}"
    if column.is_nested and not (field.kind in _LISTS and column.is_list):
        allowed = _LISTS.get(field.kind, "one value per row")
        return f" is nested (it holds {column.shape}); give {allowed}."
    return ""


def value_sql(column: Column, kind: Kind) -> str:
    """Return SQL for a value of a field, by its kind; NULL for a value of another kind."""
    if kind == "name":
        return column.name_sql
    if kind == "meaning":  # true and false in lower case, as in every format
        name = column.name_sql
        return f"nullif(CASE WHEN lower({name}) IN ('true', 'false') THEN lower({name}) ELSE {name} END, '')"
    if kind == "number" and column.type == "BOOLEAN":
        return "NULL::DOUBLE"  # true is not a number
    if kind in {"number", "weight"}:
        return column.number_sql
    if kind == "numbers":
        return _list_sql(column)
    if kind == "flag":
        return column.flag_sql
    return column.text_sql


def _list_sql(column: Column) -> str:
    """Return SQL for a list of numbers, also of a single one."""
    sql = column.sql
    if column.type.startswith("BOOLEAN"):
        return "NULL::DOUBLE[]"
    if column.is_list:
        return f"TRY_CAST({sql} AS DOUBLE[])"
    if column.type == "VARCHAR":
        trimmed = f"trim({sql})"
        number = f"TRY_CAST({trimmed} AS DOUBLE)"
        return (
            f"CASE WHEN starts_with({trimmed}, '[') THEN TRY_CAST({trimmed} AS DOUBLE[]) "
            f"WHEN {number} IS NULL THEN NULL ELSE [{number}] END"
        )
    number = f"TRY_CAST({sql} AS DOUBLE)"
    return f"CASE WHEN {number} IS NULL THEN NULL ELSE [{number}] END"
