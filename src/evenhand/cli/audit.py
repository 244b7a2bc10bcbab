"""`evenhand audit`: from tables of predictions to results and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import build_columns, publish_document, report_together, show_status
from evenhand.cli.lib.options import (
    ALPHA,
    GROUPS,
    REFERENCE,
    RESULTS,
    WHERE,
    FileOptions,
    add_options,
    min_group_size_option,
    name_option,
)
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import limit_blas_threads

if TYPE_CHECKING:
    from evenhand.judge.settings import Settings
    from evenhand.tables.schema import Columns


@dataclass(frozen=True)
class AuditOptions(FileOptions):
    """Options of the command, as parsed."""

    label: str
    prediction: str
    score: str | None
    positive: str | None
    weight: str | None
    cluster: str | None
    split: str | None
    inner: bool
    resplit: bool
    metric: tuple[str, ...]
    average: tuple[str, ...]
    margin: tuple[str, ...]
    error_rate: str
    attribute_weight: tuple[str, ...]
    scoring: str


_EXAMPLES = """\b
Examples:
  evenhand audit full.parquet lora.parquet --by race --by sex
  evenhand audit runs.csv --arm method --run seed --by race --reference full \\
      --margin 0.02 --html report.html --json result.json
  evenhand audit full.csv lora.csv --by race --by sex --intersect race,sex \\
      --memberships 'target_religion_*' --fail-on harm

\b
Exit codes:
  0 success; 2 the input or the call is wrong (nothing is written);
  3 the gate of --fail-on failed; 1 a bug in evenhand (with a traceback)."""


@click.command(
    "audit", epilog=_EXAMPLES, short_help="Judge files of predictions, generations or likelihoods by group."
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@add_options(GROUPS)
@click.option("--label", metavar="COL", default="label", show_default=True, help="Column of true labels.")
@click.option(
    "--prediction", metavar="COL", default="prediction", show_default=True, help="Column of predicted labels."
)
@click.option(
    "--score",
    metavar="COL",
    help="Column of scores, or a pattern that matches one column per class, such as 'p_*'.  "
    "[default: score or score_*, if they exist]",
)
@click.option("--positive", metavar="VALUE", help="The positive label.  [default: 1 or true]")
@click.option("--weight", metavar="COL", help="Column of weights.")
@click.option(
    "--cluster", metavar="COL", help="Column of clusters; rows in the same cluster are treated as dependent."
)
@click.option("--arm", metavar="COL", help="Column with the name of the arm, for files with several arms.")
@click.option(
    "--run", metavar="COL", help="Column with the name of the run (a seed), for files with several runs."
)
@WHERE
@click.option(
    "--split", metavar="VALUE", help="Split to read, if the files have a column split.  [default: test]"
)
@name_option("the file name")
@REFERENCE
@click.option(
    "--inner",
    is_flag=True,
    help="Judge the examples that all arms and runs share, instead of refusing different examples.",
)
@click.option(
    "--resplit", is_flag=True, help="Each run has its own test rows, which are the same in all arms."
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
    "--average",
    metavar="NAME",
    multiple=True,
    help="Compare the arms of a method (NAME[...]), or those that match a pattern such as 'lora*', with the "
    "reference on average. Repeatable.",
)
@click.option(
    "--margin",
    metavar="[METRIC=]VALUE",
    multiple=True,
    help="Smallest difference of practical importance, for all rates or for one metric. Repeatable.  "
    "[default: 0.02]",
)
@ALPHA
@click.option(
    "--error-rate",
    metavar="NAME",
    default="familywise",
    show_default=True,
    help="What alpha limits: familywise, the probability of any wrong claim; or false_discovery, the "
    "expected share of wrong ones among the claims.",
)
@click.option(
    "--attribute-weight",
    metavar="NAME=NUMBER",
    multiple=True,
    help="Share of alpha for the verdicts of an attribute, relative to the others (1); overall names all "
    "rows, which get no verdict otherwise. Repeatable.  [default: one family of all attributes]",
)
@min_group_size_option("Smaller groups get no verdict and are left out of disparities.")
@click.option(
    "--scoring",
    metavar="NAME",
    default="raw",
    show_default=True,
    help="For likelihood tables: the scoring behind the headline numbers (all scorings are compared).",
)
@add_options(RESULTS)
def COMMAND(**options: Any) -> int:  # noqa: ANN401
    """Judge predictions by group: each FILE (csv, parquet, jsonl) is an arm, the first one the reference.

    Files with generated texts (a column completion) are judged as translations: gender accuracy and shares,
    BLEU and chrF. Files with likelihoods (columns option_token, option_meaning, log_prob) are judged for
    token bias: shares by meaning and by token under six scorings, and whether conclusions depend on the
    scoring.
    """
    return _audit(AuditOptions(**options))


def _audit(options: AuditOptions) -> int:
    """Judge the files, publish the result, and return the exit code."""
    limit_blas_threads()
    from evenhand.judge.run import run_any  # noqa: PLC0415

    outputs = Outputs(json=options.json, html=options.html, csv=options.csv)
    columns, settings = _read_call(options, outputs)
    with show_status("reading and judging"):
        result = run_any(list(options.files), columns, settings, scoring=options.scoring)
    return publish_document(result.to_dict(), outputs, options.fail_on)


def _read_call(options: AuditOptions, outputs: Outputs) -> tuple[Columns, Settings]:
    """Build columns and settings from the options; report all complaints together."""
    from evenhand.judge.settings import MARGIN, Settings  # noqa: PLC0415

    complaints: list[str] = []
    columns = replace(
        build_columns(options, complaints),
        label=options.label,
        prediction=options.prediction,
        score=options.score,
        positive=options.positive,
        weight=options.weight,
        cluster=options.cluster,
        split=options.split,
        inner=options.inner,
        resplit=options.resplit,
    )
    margin, margins = _margins(options.margin, complaints)
    weights = _weights(options.attribute_weight, complaints)
    complaints += outputs.complaints(options.files)
    with report_together(complaints):
        settings = Settings(
            reference=options.reference,
            metrics=options.metric,
            primary=options.primary,
            average=options.average,
            margin=MARGIN if margin is None else margin,
            margins=margins,
            alpha=options.alpha,
            error_rate=options.error_rate,
            attribute_weights=weights,
            min_group_size=options.min_group_size,
            rng=options.rng,
        )
    return columns, settings


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
            complaints.append(f"--margin {text!r}: {metric} already has the margin {single[metric]:g}.")
        else:
            single[metric] = number
    if len(general) > 1:
        numbers = " and ".join(f"{g:g}" for g in general)
        complaints.append(
            f"--margin: got {numbers}; give one number for all rates; METRIC=VALUE sets one metric."
        )
    return (general[0] if general else None), single


def _weights(texts: Sequence[str], complaints: list[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            equals = ""
        if not equals:
            complaints.append(
                f"--attribute-weight {text!r}: write NAME=NUMBER, as in --attribute-weight race=2."
            )
        elif name in weights:
            complaints.append(
                f"--attribute-weight {text!r}: {name} already has the weight {weights[name]:g}."
            )
        else:
            weights[name] = number
    return weights
