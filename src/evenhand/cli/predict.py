"""`evenhand predict`: predictions of models and adapters that exist already, as tables to audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import parse_conditions
from evenhand.cli.lib.options import WHERE
from evenhand.errors import CallError, InputError, plural

if TYPE_CHECKING:
    from evenhand.finetune.predict import ReadySource
    from evenhand.spec.base import Frozen
    from evenhand.study.predict import PredictProgress, ReadyRun


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command, as parsed; a field is named after its option."""

    data: tuple[str, ...]
    arm: tuple[str, ...]
    to: str
    text: str | None
    image: str | None
    label: str
    positive: str | None
    id: str | None
    by: tuple[str, ...]
    memberships: tuple[str, ...]
    where: tuple[str, ...]
    split_column: str | None
    limit: int | None
    base: tuple[str, ...]
    classes: tuple[str, ...]
    max_length: int
    precision: str
    batch: int | None
    lenient: bool


_EXAMPLES = """\b
Examples:
  evenhand predict posts.parquet --text comment --label toxic --by race \\
      --arm full=./full --arm lora=org/adapter@v2 --arm lora=org/adapter-s2 --to predictions/
  evenhand audit predictions/*.parquet --arm arm --run run --by race --reference full

\b
A MODEL is a folder or a hub id, with @REVISION for a branch, tag or commit: a whole model with a
trained head, or an adapter in PEFT's format, whose base is found from its own settings. Models of
one arm are its runs. Files that are complete are not made again: the same call goes on where it stopped.

\b
Exit codes:
  0 success; 2 the input or the call is wrong; 1 a bug in evenhand."""


@click.command("predict", epilog=_EXAMPLES, short_help="Predict with models and adapters that exist already.")
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@click.option(
    "--arm",
    metavar="NAME=MODEL",
    multiple=True,
    required=True,
    help="A model or an adapter, under the name of an arm. Repeatable; a repeated name adds a run.",
)
@click.option("--to", metavar="DIR", required=True, help="Folder for the tables of predictions.")
@click.option("--text", metavar="COL", help="Column of texts; give this or --image.")
@click.option("--image", metavar="COL", help="Column of pictures: bytes, or names of files.")
@click.option(
    "--label", metavar="COL", default="label", show_default=True, help="Column with the true label."
)
@click.option("--positive", metavar="VALUE", help="The positive label.  [default: 1 or true]")
@click.option("--id", metavar="COL", help="Column with the id of the row.  [default: from the content]")
@click.option(
    "--by", metavar="COL", multiple=True, help="Attribute to keep: a column of group names. Repeatable."
)
@click.option(
    "--memberships",
    metavar="PATTERN",
    multiple=True,
    help="Attribute whose groups may overlap: one 0/1 column per group, such as 'target_religion_*'.",
)
@WHERE
@click.option("--split-column", metavar="COL", help="Column with the part of a row: train, validation, test.")
@click.option("--limit", type=int, metavar="N", help="Predict only so many rows, drawn by their ids.")
@click.option(
    "--base",
    metavar="NAME=MODEL",
    multiple=True,
    help="Base of an arm's adapters, where it is not the one that they name. Repeatable.",
)
@click.option(
    "--classes",
    metavar="NAME=A,B,...",
    multiple=True,
    help="The labels that the outputs of an arm's models mean, in their order, if they have other names. "
    "Repeatable.",
)
@click.option(
    "--max-length", type=int, metavar="N", default=256, show_default=True, help="Most tokens of a text."
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Precision of the arithmetic, for all models.",
)
@click.option("--batch", type=int, metavar="N", help="Most rows of a forward pass.  [default: 64]")
@click.option(
    "--lenient",
    is_flag=True,
    help="Accept settings of an adapter that the installed PEFT does not know; they are ignored.",
)
def COMMAND(**options: Any) -> int:  # noqa: ANN401
    """Predict the rows of DATA with models and adapters that exist already, and write tables to audit.

    DATA is a csv, parquet or jsonl file, a folder, or a hub dataset.
    """
    return _predict(PredictOptions(**options))


def _predict(options: PredictOptions) -> int:
    """Read the call, predict, and say where the tables are."""
    complaints: list[str] = []
    runs = _runs(options, complaints)
    conditions = parse_conditions(options.where, complaints)
    if (options.text is None) == (options.image is None):
        complaints.append("--text or --image: give exactly one, the column that the models read.")
    complaints += [
        f"{name} {value}: it must be at least 1."
        for name, value in (("--max-length", options.max_length), ("--batch", options.batch))
        if value is not None and value < 1
    ]
    if complaints:
        raise CallError(complaints)
    from evenhand.finetune.predict import PredictSettings  # noqa: PLC0415  (torch)
    from evenhand.study.predict import predict  # noqa: PLC0415

    precision: Any = options.precision
    settings = PredictSettings(precision, options.max_length, options.batch)
    folder = Path(options.to)
    record = predict(_config(options, conditions), runs, settings, folder, _say)
    for remark in [
        *record["problems"],
        *(r for t in record["tables"].values() for r in t.get("remarks", ())),
    ]:
        click.echo(f"note: {remark}", err=True)
    click.echo(f"note: {record['trained_on']}", err=True)
    by = "".join(f" --by {name}" for name in options.by)
    click.echo(
        f"{plural(len(record['tables']), 'table')} of {plural(record['rows']['n'], 'row')} in {folder}; "
        f"next: evenhand audit {folder}/*.parquet --arm arm --run run{by}"
    )
    return 0


def _config(options: PredictOptions, conditions: tuple[tuple[str, str], ...]) -> Frozen:
    """Build the options of the dataset `table`."""
    from pydantic import ValidationError  # noqa: PLC0415

    from evenhand.datasets.table import Config  # noqa: PLC0415

    where: dict[str, tuple[str, ...]] = {}
    for column, value in conditions:
        where[column] = (*where.get(column, ()), value)
    stated = {
        "path": options.data if len(options.data) > 1 else options.data[0],
        "text": options.text, "image": options.image, "label": options.label, "positive": options.positive,
        "id": options.id, "by": options.by, "memberships": options.memberships, "where": where,
        "split_column": options.split_column, "limit": options.limit,
    }  # fmt: skip
    try:
        return Config.model_validate({name: value for name, value in stated.items() if value is not None})
    except ValidationError as error:
        raise CallError(
            [f"{'.'.join(map(str, e['loc'])) or 'the call'}: {e['msg']}." for e in error.errors()]
        ) from None


def _runs(options: PredictOptions, complaints: list[str]) -> list[ReadyRun]:
    """Read the models of the arms."""
    from evenhand.study.predict import ReadyRun  # noqa: PLC0415

    arms = [pair for text in options.arm if (pair := _pair("--arm", text, complaints))]
    names = {name for name, _ in arms}
    bases, classes = (
        _by_arm(option, texts, names, complaints)
        for option, texts in (("--base", options.base), ("--classes", options.classes))
    )
    counts: Counter[str] = Counter()
    runs = []
    for name, model in arms:
        counts[name] += 1
        try:
            source = _source(model, bases.get(name), classes.get(name), lenient=options.lenient)
        except InputError as error:
            complaints += error.complaints
            continue
        runs.append(ReadyRun(name, str(counts[name]), source))
    return runs


def _by_arm(option: str, texts: tuple[str, ...], arms: set[str], complaints: list[str]) -> dict[str, str]:
    """Read an option that is about arms."""
    from evenhand.errors import nearest  # noqa: PLC0415

    pairs = [pair for text in texts if (pair := _pair(option, text, complaints))]
    complaints += [
        f"{option}: no --arm has the name '{name}'; {nearest(name, sorted(arms))}"
        for name, _ in pairs
        if name not in arms
    ]
    return dict(pairs)


def _pair(option: str, text: str, complaints: list[str]) -> tuple[str, str] | None:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        complaints.append(f"{option} {text!r}: write it as NAME=MODEL.")
        return None
    return name, value


def _source(model: str, base: str | None, classes: str | None, *, lenient: bool) -> ReadySource:
    """Build the source of a model from the texts of the call."""
    from evenhand.finetune import split_revision  # noqa: PLC0415
    from evenhand.finetune.predict import ReadySource  # noqa: PLC0415

    name, revision = split_revision(model)
    base_name, base_revision = (None, None) if base is None else split_revision(base)
    names = () if classes is None else tuple(part.strip() for part in classes.split(","))
    return ReadySource(name, revision, base_name, base_revision, names, lenient)


def _say(now: PredictProgress) -> None:
    """Say what is being done."""
    click.echo(f"{now.run.arm}, run {now.run.run} ({now.number} of {now.total}): {now.step}", err=True)
