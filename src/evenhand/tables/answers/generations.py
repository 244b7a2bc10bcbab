"""Texts that models generated: the table `evenhand.generations/1`, its writer and reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import TableError, plural
from evenhand.tables.answers.completions import remarks_on_completions
from evenhand.tables.answers.read import TableForm, read_answers
from evenhand.tables.answers.vocabulary import (
    GOLD_GENDER,
    PREDICTED_GENDER,
    PREDISPOSITION,
    STEREOTYPE,
    allowed,
    respelt,
    word_of,
)
from evenhand.tables.io.parquet import repeated, run_columns, write_parquet
from evenhand.tables.reader.fields import Field
from evenhand.tables.schema import ArmRun, Attribute, BoolArray, Columns, Input, IntArray, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Name and version of the table's schema, in the file's metadata.
SCHEMA = "evenhand.generations/1"

#: Separators of several references in one text.
_JOINED = re.compile(r"\|\|\||<sep>|\[SEP\]|\t", re.IGNORECASE)
#: Separators that ordinary sentences hold, too: they count only if the parts are paraphrases.
_PARTED = (r"[\r\n]+", r";", r"\s/\s", r"\|")
#: A text in quotation marks from its beginning to its end.
_IN_QUOTES = re.compile(r"\s*(?:\"[^\"]*\"|'[^']*'|“[^”]*”|«[^»]*»)\s*", re.DOTALL)

FORM = TableForm(
    title="generations",
    fields=(
        *(Field(name, "word", required=False) for name in (GOLD_GENDER, PREDISPOSITION, STEREOTYPE)),
        Field("example_id", "name", "key", option="id"),
        Field("prompt_id", "name", "key", required=False),
        Field("template", "name", "shared", required=False),
        Field("cluster", "name", "shared", required=False, option="cluster"),
        Field("references", "texts", "shared", required=False),
        Field("completion", "text", "answer"),
        Field(PREDICTED_GENDER, "text", "answer", required=False),
    ),
    unit=("example_id",),
    resplit=True,
)


@dataclass(frozen=True)
class Generations:
    """Validated, aligned generations of all arms and runs.

    Attributes:
        arm_runs: the runs.
        completions: [runs][n] texts.
        references: [n] correct texts of each row, the gold first; empty if a row has none.
        cluster: [n] code of the template (or the named cluster) of each row.
        attributes: of the rows.
        inputs: the tables that were read.
        problems: remarks.
        genders: [runs][n] gender of the person in each text, from the column `predicted_gender`; None
            without it, and pronouns of the English texts determine the gender.
        there: [runs, n] True if a run has the row (`Columns.resplit`); None if every run has every row.
            Runs of one name have the same rows, and the text of a row that a run lacks is empty.
    """

    arm_runs: tuple[ArmRun, ...]
    completions: tuple[tuple[str, ...], ...]
    references: tuple[tuple[str, ...], ...]
    cluster: IntArray
    attributes: tuple[Attribute, ...]
    inputs: tuple[Input, ...]
    problems: tuple[str, ...]
    genders: tuple[tuple[str, ...], ...] | None = None
    there: BoolArray | None = None

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute of this name, or None."""
        return next((a for a in self.attributes if a.name == name), None)


def write_generations(  # noqa: PLR0913  (one argument per column)
    path: Path,
    ids: Sequence[str],
    prompt_ids: Sequence[str],
    templates: Sequence[str],
    prompts: Sequence[str],
    completions: Sequence[str],
    references: Sequence[Sequence[str]],
    attributes: Sequence[Attribute],
    *,
    names: dict[str, str],
) -> None:
    """Write generations as parquet; the same texts give the same bytes.

    Args:
        path: of the file.
        ids: [m] names of the rows.
        prompt_ids: [m] names of the prompts.
        templates: [m] sentence pattern of each row: rows of one pattern are not independent.
        prompts: [m] inputs of the model.
        completions: [m] outputs of the model.
        references: [m] correct outputs, the gold first.
        attributes: of the same m rows.
        names: further columns with one value: arm, run, model.
    """
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, object] = {
        "example_id": pa.array(list(ids), pa.string()),
        "prompt_id": repeated(prompt_ids),
        "template": repeated(templates),
        "prompt": pa.array(list(prompts), pa.string()),
        "completion": pa.array(list(completions), pa.string()),
        "references": pa.array([list(r) for r in references], pa.list_(pa.string())),
        **run_columns(len(ids), attributes, names),
    }
    write_parquet(path, columns, {"schema": SCHEMA})


def load_generations(source: Source, columns: Columns) -> Generations:
    """Read, validate and align generations.

    Args:
        source: files, globs or tables in memory.
        columns: names of their columns; `cluster` takes precedence over `template`.

    Raises:
        CallError: options contradict each other or do not fit generations.
        TableError: tables are wrong; carries every complaint about every table.
    """
    paired = read_answers(source, columns, FORM)
    fetched = paired.columns
    of = next(n for n in ("cluster", "template", "example_id") if n in fetched)
    _, cluster = np.unique(np.asarray(fetched[of], dtype=str), return_inverse=True)
    ids = [str(name) for name in fetched["example_id"]]
    references = _references(fetched.get("references"), len(ids))
    missing = np.ma.getmaskarray(fetched["completion"]) & paired.present
    completions = tuple(tuple(map(str, texts)) for texts in np.ma.filled(fetched["completion"], ""))
    without = _remarks_on_references(ids, references) if "references" in fetched else []
    genders, remarks = _genders(fetched.get(PREDICTED_GENDER), ids, paired.present)
    return Generations(
        arm_runs=paired.arm_runs,
        completions=completions,
        references=references,
        cluster=cluster.astype(np.int64),
        attributes=paired.attributes,
        inputs=paired.inputs,
        problems=(
            *paired.problems,
            *without,
            *remarks,
            *remarks_on_completions(paired.arm_runs, ids, completions, missing, references, paired.present),
        ),
        genders=genders,
        there=paired.present if columns.resplit else None,
    )


def _genders(
    column: Any,  # noqa: ANN401  (a masked array of texts)
    ids: Sequence[str],
    there: BoolArray,
) -> tuple[tuple[tuple[str, ...], ...] | None, list[str]]:
    """Read [runs][n] words of the column `predicted_gender`, with a remark that they replace pronouns.

    Raises:
        TableError: a value is not one of its words.
    """
    if column is None:
        return None, []
    # A row that a run lacks has no text, and so no gender.
    texts = np.where(there, np.ma.filled(column, ""), "unknown")
    read = {str(text): word_of(PREDICTED_GENDER, str(text)) for text in np.unique(texts.astype(str))}
    strange = [text for text, word in read.items() if word is None]
    if strange:
        count = int(np.isin(texts.astype(str), strange).sum())
        row = ids[int(np.argwhere(np.isin(texts.astype(str), strange))[0][1])]
        listed = ", ".join(f"'{text}'" for text in strange[:5])
        raise TableError(
            f"column '{PREDICTED_GENDER}' is {listed} in {count:,} answers (first: example '{row}'); each "
            f"value is one of {allowed(PREDICTED_GENDER)} (write 'unknown' if it is not clear)."
        )
    used = f"Column '{PREDICTED_GENDER}' gives the gender of each completion; its pronouns are not read."
    words = tuple(tuple(str(read[str(text)]) for text in run_texts) for run_texts in texts)
    return words, [used, *respelt(PREDICTED_GENDER, sorted(read))]


def _references(lists: Any, rows: int) -> tuple[tuple[str, ...], ...]:  # noqa: ANN401  (an array of lists)
    """Return the references [n] of every row; empty ones without a column."""
    if lists is None:
        return ((),) * rows
    return tuple(tuple(str(text) for text in np.ma.compressed(items)) for items in np.ma.getdata(lists))


def _remarks_on_references(ids: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    """Remark on rows without a reference, and on texts that may hold several references."""

    def where(test: Callable[[Sequence[str]], object]) -> list[str]:
        return [name for name, texts in zip(ids, references, strict=True) if test(texts)]

    remarks = []
    if lacking := where(lambda texts: not texts):
        remarks.append(
            f"Column 'references' has no text in {len(lacking):,} of {len(ids):,} rows (first: example "
            f"'{lacking[0]}'), so BLEU and chrF are not computed."
        )
    each = "each text is read as one reference. Give several as a list."
    if joined := where(lambda texts: any(map(_JOINED.search, texts))):
        remarks.append(
            f"Column 'references' holds '|||', '<sep>' or a tab in {plural(len(joined), 'row')} (first: "
            f"example '{joined[0]}'); {each}"
        )
    if alike := where(lambda texts: any(map(_holds_alike, texts))):
        remarks.append(
            "Column 'references' holds texts that seem to be several references, joined by a line break, "
            f"';', '/' or '|', in {plural(len(alike), 'row')} (first: example '{alike[0]}'); {each}"
        )
    in_quotes = where(lambda texts: any(map(_IN_QUOTES.fullmatch, texts)))
    if 2 * len(in_quotes) > len(ids):
        remarks.append(
            f"Column 'references' holds texts in quotation marks in {len(in_quotes):,} of {len(ids):,} rows "
            f"(first: example '{in_quotes[0]}'); the marks are part of the comparison with the completion."
        )
    return remarks


def _holds_alike(text: str) -> bool:
    """Return True if a text splits into parts that share at least a third of their words with the first."""
    for mark in _PARTED:
        parts = [set(re.findall(r"\w+", part.lower())) for part in re.split(mark, text.strip())]
        first = parts[0]
        if len(parts) > 1 and all(len(p) > 1 and 3 * len(p & first) >= len(p | first) for p in parts):
            return True
    return False
