"""`evenhand audit`: predictions in, results and a verdict out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import crossings, gate, pairs, working
from evenhand.cli.lib.options import ALPHA, GROUPS, REFERENCE, RESULTS, WHERE, names, several, smallest
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import console
from evenhand.errors import CallError

if TYPE_CHECKING:
    from evenhand.judge.settings import Settings
    from evenhand.report.document import Document
    from evenhand.tables.schema import Columns

_EXAMPLES = """\b
Examples:
  evenhand audit full.parquet lora.parquet --by race --by sex
  evenhand audit runs.csv --arm method --run seed --by race --reference full \\
      --margin 0.02 --html report.html --json result.json
  evenhand audit full.csv lora.csv --by race --by sex --intersect race,sex \\
      --memberships 'target_religion_*' --fail-on harm

\b
Exit codes:
  0 done; 2 the input or the call is wrong (nothing is written);
  3 what --fail-on names was found; 1 a bug of evenhand (with a traceback)."""


@click.command(
    "audit", epilog=_EXAMPLES, short_help="Judge files of predictions, generations or likelihoods by group."
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@several(GROUPS)
@click.option("--label", metavar="COL", default="label", show_default=True, help="Column of true labels.")
@click.option(
    "--prediction", metavar="COL", default="prediction", show_default=True, help="Column of predicted labels."
)
@click.option(
    "--score",
    metavar="COL",
    help="Column of scores, or a pattern with one column per class, as 'p_*'.  "
    "[default: score or score_*, if there]",
)
@click.option("--positive", metavar="VALUE", help="The positive label.  [default: 1 or true]")
@click.option("--weight", metavar="COL", help="Column of weights.")
@click.option("--cluster", metavar="COL", help="Column of clusters: rows of one are not independent.")
@click.option("--arm", metavar="COL", help="Column that names the arm, when a file holds several.")
@click.option("--run", metavar="COL", help="Column that names the run (a seed), when a file holds several.")
@WHERE
@click.option(
    "--split", metavar="VALUE", help="Which split to read, if there is a column split.  [default: test]"
)
@names("the file's name")
@REFERENCE
@click.option(
    "--inner", is_flag=True, help="Keep the examples that all arms and runs share, instead of refusing."
)
@click.option(
    "--resplit", is_flag=True, help="Every run has test rows of its own, the same ones in every arm."
)
@click.option(
    "--metric",
    metavar="NAME",
    multiple=True,
    help="Metric or disparity to compute. Repeatable.  [default: all that the data allow]",
)
@click.option(
    "--primary",
    metavar="NAME",
    multiple=True,
    help="Metric or disparity that gets verdicts. Repeatable.  "
    "[default: accuracy, true_positive_rate, false_positive_rate]",
)
@click.option(
    "--margin",
    metavar="[METRIC=]VALUE",
    multiple=True,
    help="Smallest difference that matters, for all rates or for one metric. Repeatable.  [default: 0.02]",
)
@ALPHA
@smallest("Smaller groups get no verdict and are left out of disparities.")
@click.option(
    "--scoring",
    metavar="NAME",
    default="raw",
    show_default=True,
    help="Of likelihoods: how options are scored where one scoring is told (all are compared).",
)
@several(RESULTS)
@click.pass_context
def COMMAND(ctx: click.Context, /, files: tuple[str, ...], fail_on: str | None, **given: Any) -> None:  # noqa: ANN401
    """Judge predictions by group: each FILE (csv, parquet, jsonl) is an arm, the first one the reference.

    Files of generated texts (a column completion) are judged as translations: gender accuracy and shares,
    BLEU and chrF. Files of likelihoods (columns option_token, option_meaning, log_prob) are judged for token
    bias: shares by meaning and by token under six scorings, and whether conclusions survive them.
    """
    # The matrices of an audit are small: threads of the linear algebra would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    outputs = Outputs(json=given["json"], html=given["html"], csv=given["csv"])
    columns, settings = _read_call(files, given, outputs)
    document = _judge(files, columns, settings, given["scoring"])
    if fail_on and not document["comparisons"]:
        raise CallError(
            f"--fail-on {fail_on}: there is one arm only, so nothing to compare; give a second file."
        )
    made = outputs.render(document)
    outputs.write(made)
    if "kind" in document:
        from evenhand.report.language.page import summarise_generative as summarise  # noqa: PLC0415
    else:
        from evenhand.report.audit.terminal import summarise  # noqa: PLC0415

    summarise(document, console(stderr=outputs.to_standard_output), outputs.paths)
    ctx.exit(gate([document["verdict"]], fail_on))


def _read_call(files: Sequence[str], given: dict[str, Any], outputs: Outputs) -> tuple[Columns, Settings]:
    """Turn options into what the judge takes; all complaints at once."""
    from evenhand.judge.settings import MARGIN, Settings  # noqa: PLC0415
    from evenhand.tables.schema import Columns  # noqa: PLC0415

    complaints: list[str] = []
    where = pairs(given["where"], complaints)
    intersect = crossings(given["intersect"], complaints)
    margin, margins = _margins(given["margin"], complaints)
    complaints += outputs.complaints(files)
    settings: Settings | None = None
    try:
        settings = Settings(
            primary=given["primary"],
            metrics=given["metric"],
            margin=MARGIN if margin is None else margin,
            margins=margins,
            **{k: given[k] for k in ("reference", "alpha", "min_group_size", "rng")},
        )
    except CallError as error:
        complaints += error.complaints
    if complaints or settings is None:
        raise CallError(complaints)
    same = (
        "by",
        "memberships",
        "label",
        "prediction",
        "score",
        "id",
        "positive",
        "weight",
        "cluster",
        "arm",
        "run",
    )
    alike = {k: given[k] for k in (*same, "split", "inner", "resplit")}
    return Columns(where=where, intersect=intersect, names=given["name"], **alike), settings


def _margins(texts: Sequence[str], complaints: list[str]) -> tuple[float | None, dict[str, float]]:
    from evenhand.spec.sections.margins import parse_share  # noqa: PLC0415

    general: list[float] = []
    single: dict[str, float] = {}
    for text in texts:
        metric, equals, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            meant = parse_share(value)
            advice = f"; {value.strip()!r} is written {meant}" if meant is not None else ""
            complaints.append(
                f"--margin {text!r}: write a number or METRIC=VALUE, as in --margin log_loss=0.05{advice}."
            )
            continue
        if not equals:
            general.append(number)
        elif metric in single:
            complaints.append(f"--margin {text!r}: {metric} has a margin already, {single[metric]:g}.")
        else:
            single[metric] = number
    if len(general) > 1:
        told = " and ".join(f"{g:g}" for g in general)
        complaints.append(
            f"--margin: got {told}; give one number for all rates, and METRIC=VALUE for others."
        )
    return (general[0] if general else None), single


def _judge(files: Sequence[str], columns: Columns, settings: Settings, scoring: str) -> Document:
    """Run the audit."""
    from evenhand.judge.run import run_any  # noqa: PLC0415

    with working("reading and judging"):
        return run_any(list(files), columns, settings, scoring=scoring).to_dict()
