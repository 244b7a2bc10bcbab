"""Explain why rows do not pair.

Explanations name the values that differ between arms, the column that distinguishes rows of one id, or a
normalization of ids that makes them agree. They are computed only when a complaint is certain, so they may
read columns that no option names: these serve as hints only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.tables.io.database import single_row
from evenhand.tables.predictions.plan import Plan
from evenhand.tables.predictions.scores import score_columns
from evenhand.tables.predictions.validate import ValidatedTable
from evenhand.tables.reader.merge import Merged, RunRows, list_gaps, run_title
from evenhand.tables.schema import ArmRun
from evenhand.tables.values import shown

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Limits of ids and columns that a hint inspects, and of values that it names; few values of a column.
_MAX_IDS, _MAX_COLUMNS, _MAX_VALUES, _FEW_VALUES = 1000, 100, 3, 20
#: Integers up to here are exact as floats of this type.
_EXACT = {"DOUBLE": 2**53, "FLOAT": 2**24, "HALF": 2**11}
_SCIENTIFIC = r"[+-]?[0-9]+(?:\.([0-9]+))?[eE][+]?([0-9]+)"
_BLANKS = r"[\s\x{85}\x{A0}\x{2000}-\x{200D}\x{202F}\x{3000}\x{FEFF}]+"
#: Changes of ids that programs make, and SQL that normalizes them. (Blanks around an id never matter.)
_NORMALIZATIONS = {
    "blanks are dropped": f"regexp_replace({{id}}, '{_BLANKS}', '', 'g')",
    "leading zeros are dropped": r"regexp_replace({id}, '(^|[^0-9.])0+([0-9])', '\1\2', 'g')",
    "capital letters are written small": "lower({id})",
}


def describe_repeated(
    db: DuckDBPyConnection, tables: Sequence[ValidatedTable], plan: Plan, count: int, example: object
) -> str:
    """Complain of keys that occur twice, with a hint on what distinguishes the rows.

    Args:
        db: the database.
        tables: the tables.
        plan: the common schema.
        count: number of ids that occur twice.
        example: the first of them.
    """
    title = tables[0].selected.title if len(tables) == 1 else "the given tables"
    hint = "; ".join(_hints_for_repeated(db, tables, plan)) or "give one row per example, arm and run"
    return (
        f"{title}: {count:,} values of '{plan.columns.id}' (--id) occur more than once in one run (first: "
        f"'{example}'); {hint}."
    )


def _hints_for_repeated(
    db: DuckDBPyConnection, tables: Sequence[ValidatedTable], plan: Plan
) -> Iterator[str]:
    """Yield hints on what may distinguish rows of one id."""
    yield from _hints_on_rounding(db, tables, plan)
    for checked in tables:
        candidates = _distinguishing_columns(db, checked, plan)
        if candidates is None:
            continue
        where = "" if len(tables) == 1 else f"in {checked.selected.title} "
        yield f"{where}{_advice(candidates, plan)}"
        return
    homes: dict[ArmRun, list[str]] = {}
    for checked in tables:
        for table_run in checked.selected.runs:
            homes.setdefault(table_run.name, []).append(checked.selected.title)
    for (arm, run), titles in homes.items():
        if len(titles) > 1:
            yield f"'{arm}' run '{run}' is in {shown(titles)}; give every row in one table only"
            return


@dataclass(frozen=True)
class _DistinguishingColumn:
    """A column in which rows of one id differ.

    Attributes:
        name: the column.
        alone: True if it distinguishes all rows of an id.
        values: some of its values.
        size: number of its values among the inspected ids.
        sampled: True if there are further ids, and so perhaps further values.
        option: the option that names it; empty if none does.
    """

    name: str
    alone: bool
    values: tuple[str, ...]
    size: int
    sampled: bool
    option: str = ""

    def __str__(self) -> str:
        more = self.size - len(self.values)
        number = "" if self.sampled else f"{more:,} "
        lead = f"{self.option}: " if self.option else ""
        return f"'{self.name}' ({lead}{shown(self.values)}{f', and {number}more' if more else ''})"


def _distinguishing_columns(
    db: DuckDBPyConnection, checked: ValidatedTable, plan: Plan
) -> list[_DistinguishingColumn] | None:
    """List columns in which rows of one key differ, the most distinctive first; None if no key occurs twice.

    Columns that options name come last, since they hold what is judged.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    table, columns = checked.selected.opened, plan.columns
    if not checked.has_id:
        return None
    key_columns = [columns.id, *(name for name in (columns.arm, columns.run) if name is not None)]
    options = _options(checked, plan)
    flat = [n for n in table.columns if n not in key_columns and not table.columns[n].is_nested]
    others = [n for n in flat if n not in options][:_MAX_COLUMNS] + [n for n in flat if n in options]
    keys = [table.columns[name].name_sql for name in key_columns]
    fields = [f"{sql} AS k{i}" for i, sql in enumerate(keys)]
    fields += [f"{table.columns[n].text_sql} AS v{i}" for i, n in enumerate(others)]
    by = ", ".join(f"k{i}" for i in range(len(keys)))
    try:
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE doubled AS WITH every AS (SELECT {', '.join(fields)} FROM "
            f"{table.relation} WHERE {checked.selected.selection}), twice AS (SELECT {by} FROM every GROUP "
            f"BY {by} HAVING count(*) > 1 ORDER BY {by} LIMIT {_MAX_IDS}) "
            f"SELECT every.* FROM every SEMI JOIN twice USING ({by})"
        )
    except duckdb.Error:  # the file changed since it was first read
        return None
    # `doubled` holds the rows of at most _MAX_IDS repeated keys; v0, v1, ... are candidate columns.
    ids = int(single_row(db, f"SELECT count(*) FROM (SELECT DISTINCT {by} FROM doubled)")[0])
    if not ids:
        return None
    candidates = []
    for i, name in enumerate(others):
        alone, differs = single_row(
            db,
            "SELECT bool_and(d = n), bool_or(d > 1) FROM (SELECT count(*) AS n, "
            f"count(DISTINCT coalesce(v{i}, '')) AS d FROM doubled GROUP BY {by})",
        )
        if differs:
            values = db.execute(
                f"SELECT DISTINCT v{i} AS v FROM doubled WHERE v IS NOT NULL AND v <> '' ORDER BY v"
            ).fetchall()
            some = tuple(str(v)[:40] for (v,) in values[:_MAX_VALUES])
            option = options.get(name, "")
            candidates.append(_DistinguishingColumn(name, alone, some, len(values), ids == _MAX_IDS, option))
    return sorted(
        candidates,
        key=lambda c: (c.option != "", c.size > _FEW_VALUES, not c.alone, c.size),
    )


def _options(checked: ValidatedTable, plan: Plan) -> dict[str, str]:
    """Return the judged columns with the options that name them."""
    columns = plan.columns
    named = dict.fromkeys(score_columns(checked.table, columns), "--score")
    single = {
        columns.cluster: "--cluster",
        columns.weight: "--weight",
        columns.prediction: "--prediction",
        columns.label: "--label",
    }
    named |= {name: option for name, option in single.items() if name is not None}
    return (
        named | dict.fromkeys(plan.groups.flags, "--memberships") | dict.fromkeys(plan.groups.names, "--by")
    )


def _advice(candidates: Sequence[_DistinguishingColumn], plan: Plan) -> str:
    """Advise how to distinguish rows of one id: by columns `arm` and `run`, or by those that differ."""
    options = {"arm": plan.columns.arm, "run": plan.columns.run}
    free = [option for option, name in options.items() if name is None]
    called = [
        f"--{option} {option}" for option in free if any(candidate.name == option for candidate in candidates)
    ]
    if called:
        return f"distinguish its rows with {' '.join(called)}"
    if not candidates:
        return "rows of one id are equal in all columns that could distinguish them; give each once"
    judged, candidates = (
        [candidate for candidate in candidates if candidate.option],
        [candidate for candidate in candidates if not candidate.option],
    )
    if not candidates:
        return _contradicting(judged)
    listed = " and ".join(str(candidate) for candidate in candidates[:_MAX_VALUES])
    few = [
        candidate
        for candidate in candidates[:_MAX_VALUES]
        if candidate.size <= _FEW_VALUES and candidate.values
    ]
    chosen = few[:1] if few and few[0].alone else few[:2]
    if not chosen:
        return f"the rows of an id differ in {listed}; give one row per example, arm and run"
    filters = " ".join("--where " + _word(f"{candidate.name}={candidate.values[0]}") for candidate in chosen)
    steps = [f"keep one with {filters}"]
    if len(free) >= len(chosen):
        taken = " ".join(f"--{o} {_word(candidate.name)}" for o, candidate in zip(free, chosen, strict=False))
        steps.append(f"compare them with {taken}")
        if len(chosen) == 1 and len(free) == 2:
            steps.append(f"take them as runs with --run {_word(chosen[0].name)}")
    return f"the rows of an id differ in {listed}: {', or '.join(steps)}"


def _contradicting(judged: Sequence[_DistinguishingColumn]) -> str:
    """Advise on rows of one id that differ only in judged columns."""
    listed = " and ".join(str(column) for column in judged[:_MAX_VALUES])
    groups = [column for column in judged if column.option == "--by"]
    if len(groups) == len(judged):
        return (
            f"the rows of an id differ in {listed} only: a column of --by holds the one group of an "
            "example. Give each id once; where examples are in several groups, with a column of 0 and 1 for "
            f"every group, as --memberships {_word(f'{groups[0].name}_*')}"
        )
    return (
        f"the rows of an id differ in {listed} only; give each id once, or add a column that names the model "
        "or run of each row, and pass it as --arm or --run"
    )


def _word(text: str) -> str:
    """Quote a word of a command line where necessary."""
    return f"'{text}'" if any(letter.isspace() or letter in '*?[]$&;|<>()"\\`' for letter in text) else text


def describe_missing(
    db: DuckDBPyConnection,
    tables: Sequence[ValidatedTable],
    plan: Plan,
    rows: RunRows,
    merged: Merged,
) -> list[str]:
    """Complain of runs that lack examples, with hints on the reason.

    Args:
        db: the database; it has the table `merged`, one row per id.
        tables: the tables.
        plan: the common schema.
        rows: the rows of all runs.
        merged: their violations.
    """
    listed, left = list_gaps(rows, merged), merged.left
    if plan.columns.resplit:
        return [f"Runs of one name have different examples in different arms: {listed}."]
    hints = [*_hints_on_rounding(db, tables, plan), *_hints_on_spelling(db, plan, merged)]
    if left:
        hints.append(f"--inner keeps the {left:,} that all have")
    elif not hints:
        hints.append(_hint_without_common(db, plan))
    return [f"The arms and runs have different examples: {listed}; {'; '.join(hints)}."]


def _hint_without_common(db: DuckDBPyConnection, plan: Plan) -> str:
    """Suggest a reason why no example is in all runs: wrong ids, or files that are parts of one run."""
    none = "no example is in all of them: is the id column the right one?"
    arms: dict[str, list[int]] = {}
    for k, (arm, _) in enumerate(plan.arm_runs):
        arms.setdefault(arm, []).append(k)
    sets = {f"the runs of '{arm}'": runs for arm, runs in arms.items() if len(runs) > 1}
    apart = [who for who, runs in sets.items() if _are_disjoint(db, runs)]
    if apart:
        question = f"{' and '.join(apart[:_MAX_VALUES])} share no example: are they parts of one run?"
    elif not sets and _are_disjoint(db, range(len(plan.arm_runs))):
        question = f"{none} Or are these parts of one run?"
    else:
        return f"{none} It is '{plan.columns.id}' (--id)"
    return (
        f"{question} Every file is an arm of its own, or, with equal names (--name), a run of one arm, and "
        "every run has every example. Join the parts of a run into one file; or, where a column has the same "
        "value in all parts of a run, give the files of an arm one --name and that column as --run"
    )


def _are_disjoint(db: DuckDBPyConnection, runs: Sequence[int]) -> bool:
    """Return True if no example is in two of these runs."""
    present = " + ".join(f"CAST(p{k} IS NOT NULL AS INTEGER)" for k in runs)
    return bool(single_row(db, f"SELECT max({present}) FROM merged")[0] == 1)


def _hints_on_spelling(db: DuckDBPyConnection, plan: Plan, merged: Merged) -> list[str]:
    """Suggest the normalization of ids that makes most of them agree, if any does."""
    (kind,) = single_row(db, "SELECT any_value(typeof(id)) FROM merged")
    if kind != "VARCHAR":
        return []
    forms = {f"once {what}": sql for what, sql in _NORMALIZATIONS.items()}
    every = "{id}"
    for sql in _NORMALIZATIONS.values():
        every = sql.replace("{id}", every)
    forms["once blanks, leading zeros and case do not count"] = every
    runs = range(len(plan.arm_runs))
    joined = ", ".join(f"max(p{k}) AS p{k}, count(p{k}) AS n{k}" for k in runs)
    most = ", ".join(f"max(n{k})" for k in runs)
    names = list(dict.fromkeys(run_title(plan.arm_runs, k) for k in runs))
    who = " and ".join(names) if len(names) <= _MAX_VALUES else "all arms and runs"
    best: tuple[int, str] = (merged.left, "")
    for what, sql in forms.items():
        agree, total, *twice = single_row(
            db,
            f"SELECT count(*) FILTER ({merged.complete}), count(*), {most} "
            f"FROM (SELECT {sql.replace('{id}', 'id')} AS alike, {joined} FROM merged GROUP BY alike)",
        )
        # A normalization must not merge two ids of one run: then max(n) would exceed 1.
        if max(twice) == 1 and agree > best[0]:
            number = "" if agree == total else f"{agree:,} of "
            best = agree, f"{number}the ids of {who} agree {what}: write them alike in every table"
    return [best[1]] if best[1] else []


def _hints_on_rounding(db: DuckDBPyConnection, tables: Sequence[ValidatedTable], plan: Plan) -> Iterator[str]:
    """Report ids that were rounded to floats, and so are wrong.

    A text such as '1e5' alone does not prove it, since ids of letters and digits look like that, too. Rounded
    ids are in a column of numbers only, and are too large to be exact or written with too few digits.
    """
    for checked in tables:
        if not checked.has_id:
            continue
        sql, kind = checked.table.columns[plan.columns.id].sql, checked.table.columns[plan.columns.id].type
        if kind in _EXACT:
            exact, text, number = _EXACT[kind], f"CAST({sql} AS VARCHAR)", sql
            test = f"abs({sql}) >= {exact}"
        elif kind == "VARCHAR":
            exact, text, number = 2**53, sql, f"TRY_CAST({sql} AS DOUBLE)"
            decimal = f"suffix({sql}, '.0') AND abs({number}) >= {exact}"
            decimals, exponent = (f"regexp_extract({sql}, '^{_SCIENTIFIC}$', {part})" for part in (1, 2))
            short = f"length({decimals}) BETWEEN 1 AND coalesce(TRY_CAST({exponent} AS INTEGER), 0) - 1"
            large = f"abs({number}) >= {exact}"
            written = f"regexp_full_match({sql}, '{_SCIENTIFIC}') AND ({large} OR {short})"
            relation = checked.table.relation
            words = f"SELECT 1 FROM {relation} WHERE {sql} IS NOT NULL AND {number} IS NULL"
            test = f"(({written}) OR ({decimal})) AND NOT EXISTS ({words})"
        else:
            continue
        count, first = single_row(
            db, f"SELECT count(*), arg_min({text}, {number}) FROM {checked.table.relation} WHERE {test}"
        )
        if count:
            yield (
                f"ids of {checked.selected.title} were rounded to floats (first: '{first}'), which are "
                f"exact up to {exact:,} only: write ids as integers or as texts"
            )
