"""`evenhand attack`: from tables of signals to membership inference by group and a verdict."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import check_gate, parse_conditions, parse_crossings, show_status
from evenhand.cli.lib.options import (
    ALPHA,
    GROUPS,
    REFERENCE,
    RESULTS,
    WHERE,
    add_options,
    min_group_size_option,
    name_option,
    parse_number,
)
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import console
from evenhand.errors import CallError, InputError

if TYPE_CHECKING:
    from evenhand.judge.privacy import PrivacySettings
    from evenhand.report.document import Document
    from evenhand.spec.base import Frozen
    from evenhand.tables.schema import Columns

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
@click.pass_context
def COMMAND(ctx: click.Context, /, files: tuple[str, ...], fail_on: str | None, **options: Any) -> None:  # noqa: ANN401
    """Measure by arm and group how well an attacker can infer which rows a model was trained on.

    Each FILE (csv, parquet, jsonl) contains signals (losses, margins) of models on rows of which some were in
    their training data; a DIR is a study or a folder of such files. Every run of an arm is attacked in turn,
    with the other runs as reference models.
    """
    # The matrices are small: several BLAS threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    outputs = Outputs(json=options["json"], html=options["html"], csv=options["csv"])
    columns, settings = _read_call(files, options, outputs)
    document = _judge(files, columns, settings)
    if fail_on and not document["comparisons"]:
        raise CallError(
            f"--fail-on {fail_on}: there is only one arm, so nothing can be compared; give a second one."
        )
    contents = outputs.render(document)
    outputs.write(contents)
    from evenhand.report.privacy.terminal import summarise_attack  # noqa: PLC0415

    summarise_attack(document, console(stderr=outputs.to_standard_output), outputs.paths)
    ctx.exit(check_gate([document["verdict"]], fail_on))


def _read_call(
    files: Sequence[str], options: dict[str, Any], outputs: Outputs
) -> tuple[Columns, PrivacySettings]:
    """Build columns and settings from the options; report all complaints together."""
    from evenhand.judge.privacy.settings import PrivacySettings  # noqa: PLC0415
    from evenhand.tables.schema import Columns  # noqa: PLC0415

    complaints: list[str] = []
    where = parse_conditions(options["where"], complaints)
    intersect = parse_crossings(options["intersect"], complaints)
    attacks = _attacks(options["attack"], complaints)
    complaints += outputs.complaints(files)
    settings: PrivacySettings | None = None
    lists = {"fprs": options["fpr"], "primary": options["primary"]}
    same = ("reference", "margin", "alpha", "min_group_size", "rng", "permutations")
    try:
        settings = PrivacySettings(
            attacks=attacks, **{k: v for k, v in lists.items() if v}, **{k: options[k] for k in same}
        )
    except InputError as error:
        complaints += error.complaints
    if complaints or settings is None:
        raise CallError(complaints)
    alike = {k: options[k] for k in ("by", "memberships", "id", "arm", "run")}
    return Columns(where=where, intersect=intersect, names=options["name"], **alike), settings


def _attacks(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, Frozen], ...]:
    from evenhand.judge.attacks import parse_attack  # noqa: PLC0415

    attacks = []
    for text in texts:
        try:
            attacks.append(parse_attack(text))
        except InputError as error:
            complaints += [f"--attack: {complaint}" for complaint in error.complaints]
    return tuple(attacks)


def _judge(files: Sequence[str], columns: Columns, settings: PrivacySettings) -> Document:
    """Run the attacks."""
    from evenhand.judge.privacy.run import run_attack  # noqa: PLC0415

    with show_status("reading, attacking and judging"):
        return run_attack(list(files), columns, settings).to_dict()
