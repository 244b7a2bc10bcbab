"""`evenhand attack`: from tables of signals to membership inference by group and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    parse_number,
)
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import limit_blas_threads
from evenhand.errors import InputError

if TYPE_CHECKING:
    from evenhand.judge.privacy.settings import PrivacySettings
    from evenhand.spec.base import Frozen
    from evenhand.tables.schema import Columns


@dataclass(frozen=True)
class AttackOptions(FileOptions):
    """Options of the command, as parsed."""

    attack: tuple[str, ...]
    fpr: tuple[float, ...]
    margin: float
    permutations: int


_EXAMPLES = """\b
Examples:
  evenhand attack evenhand-runs/my-study --by race --reference full
  evenhand attack signals/ --by race --attack lira --attack 'lira[mode=offline]' \\
      --html privacy.html --json privacy.json
  evenhand attack target.parquet references.parquet --attack 'rmia[mode=offline,a=0.3]' \\
      --memberships 'target_religion_*' --fail-on harm

\b
Columns of a file: example_id, in_training (from the ids recorded in training), loss, margin (the
logit of the true class minus the log-sum-exp of the others), groups; optional: base_loss,
model_role, arm, run. Exit codes are those of evenhand audit."""


@click.command("attack", epilog=_EXAMPLES, short_help="Attack models with membership inference, by group.")
@click.argument("files", metavar="FILE|DIR...", nargs=-1, required=True)
@add_options(GROUPS)
@click.option("--arm", metavar="COL", help="Column with the name of the arm.  [default: arm, if it exists]")
@click.option("--run", metavar="COL", help="Column with the name of the run.  [default: run, if it exists]")
@WHERE
@name_option("the column arm, otherwise the file name")
@REFERENCE
@click.option(
    "--attack",
    metavar="NAME[OPTIONS]",
    multiple=True,
    help="Attack: loss, lira, lira_t or rmia, with options as in 'lira[mode=offline,variance=global]'. "
    "Repeatable.  [default: loss, lira and rmia, as far as signals and references allow]",
)
@click.option(
    "--fpr",
    metavar="RATE",
    multiple=True,
    type=float,
    help="False positive rate at which to report the true positive rate. Repeatable.  "
    "[default: 0.001 0.01 0.05]",
)
@click.option(
    "--primary",
    metavar="NAME",
    multiple=True,
    help="Measure that gets verdicts. Repeatable.  [default: roc_auc, true_positive_rate_at_fpr_0.01]",
)
@click.option(
    "--margin",
    type=parse_number,
    metavar="FLOAT",
    default=0.02,
    show_default=True,
    help="Smallest difference of practical importance.",
)
@ALPHA
@min_group_size_option("Groups with fewer members or fewer non-members get no verdict.")
@click.option(
    "--permutations",
    type=int,
    default=499,
    show_default=True,
    help="Number of permutations of membership in the control for disparate vulnerability.",
)
@add_options(RESULTS)
def COMMAND(**options: Any) -> int:  # noqa: ANN401
    """Measure by arm and group how well an attacker can infer which rows a model was trained on.

    Each FILE (csv, parquet, jsonl) contains signals (losses, margins) of models on rows of which some were in
    their training data; a DIR is a study or a folder of such files. Every run of an arm is attacked in turn,
    with the other runs as reference models.
    """
    return _attack(AttackOptions(**options))


def _attack(options: AttackOptions) -> int:
    """Attack the models of the files, publish the result, and return the exit code."""
    limit_blas_threads()
    from evenhand.judge.privacy.run import run_attack  # noqa: PLC0415

    outputs = Outputs(json=options.json, html=options.html, csv=options.csv)
    columns, settings = _read_call(options, outputs)
    with show_status("reading, attacking and judging"):
        result = run_attack(list(options.files), columns, settings)
    return publish_document(result.to_dict(), outputs, options.fail_on)


def _read_call(options: AttackOptions, outputs: Outputs) -> tuple[Columns, PrivacySettings]:
    """Build columns and settings from the options; report all complaints together."""
    from evenhand.judge.privacy.settings import FPRS, PrivacySettings  # noqa: PLC0415

    complaints: list[str] = []
    columns = build_columns(options, complaints)
    attacks = _attacks(options.attack, complaints)
    complaints += outputs.complaints(options.files)
    with report_together(complaints):
        settings = PrivacySettings(
            attacks=attacks,
            reference=options.reference,
            primary=options.primary,
            margin=options.margin,
            alpha=options.alpha,
            fprs=options.fpr or FPRS,
            min_group_size=options.min_group_size,
            rng=options.rng,
            permutations=options.permutations,
        )
    return columns, settings


def _attacks(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, Frozen], ...]:
    from evenhand.judge.attacks import parse_attack  # noqa: PLC0415

    attacks = []
    for text in texts:
        try:
            attacks.append(parse_attack(text))
        except InputError as error:
            complaints += [f"--attack: {complaint}" for complaint in error.complaints]
    return tuple(attacks)
