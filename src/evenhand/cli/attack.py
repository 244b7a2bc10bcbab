"""`evenhand attack`: signals in, membership inference by group and a verdict out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import crossings, gate, pairs, working
from evenhand.cli.lib.options import (
    ALPHA,
    GROUPS,
    REFERENCE,
    RESULTS,
    WHERE,
    names,
    number,
    several,
    smallest,
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
A row has example_id, in_training (from the ids recorded in training), loss, margin (logit of the
true class less the log-sum-exp of the others), perhaps base_loss, model_role, arm, run, groups.
Exit codes are those of evenhand audit."""


@click.command("attack", epilog=_EXAMPLES, short_help="Infer who was in the training set, by group.")
@click.argument("files", metavar="FILE|DIR...", nargs=-1, required=True)
@several(GROUPS)
@click.option("--arm", metavar="COL", help="Column that names the arm.  [default: arm, if there]")
@click.option("--run", metavar="COL", help="Column that names the run.  [default: run, if there]")
@WHERE
@names("the column arm, else the file's name")
@REFERENCE
@click.option(
    "--attack",
    metavar="NAME[OPTIONS]",
    multiple=True,
    help="loss, lira, lira_t or rmia, with options as 'lira[mode=offline,variance=global]'. Repeatable.  "
    "[default: loss, lira and rmia, where signals and references allow]",
)
@click.option(
    "--fpr",
    metavar="RATE",
    multiple=True,
    type=float,
    help="False positive rate at which true positive rates are told. Repeatable.  [default: 0.001 0.01 0.05]",
)
@click.option(
    "--primary",
    metavar="NAME",
    multiple=True,
    help="Number that gets verdicts. Repeatable.  [default: roc_auc, true_positive_rate_at_fpr_0.01]",
)
@click.option(
    "--margin",
    type=number,
    metavar="FLOAT",
    default=0.02,
    show_default=True,
    help="Smallest difference that matters.",
)
@ALPHA
@smallest("Groups with fewer members or non-members get no verdict.")
@click.option(
    "--permutations",
    type=int,
    default=499,
    show_default=True,
    help="Permutations of membership, for the control of disparate vulnerability.",
)
@several(RESULTS)
@click.pass_context
def COMMAND(ctx: click.Context, /, files: tuple[str, ...], fail_on: str | None, **given: Any) -> None:  # noqa: ANN401
    """Infer membership from signals: under which arm, and in which group, can it be told who was trained on?

    Each FILE (csv, parquet, jsonl) holds what models say of rows that were partly in their training set; a
    DIR is a study or a folder of such files. Every run of an arm is attacked in turn, with the others as
    references.
    """
    # The matrices are small: threads of the linear algebra would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    outputs = Outputs(json=given["json"], html=given["html"], csv=given["csv"])
    columns, settings = _read_call(files, given, outputs)
    document = _judge(files, columns, settings)
    if fail_on and not document["comparisons"]:
        raise CallError(
            f"--fail-on {fail_on}: there is one arm only, so nothing to compare; give a second one."
        )
    made = outputs.render(document)
    outputs.write(made)
    from evenhand.report.privacy.terminal import summarise_attack  # noqa: PLC0415

    summarise_attack(document, console(stderr=outputs.to_standard_output), outputs.paths)
    ctx.exit(gate([document["verdict"]], fail_on))


def _read_call(
    files: Sequence[str], given: dict[str, Any], outputs: Outputs
) -> tuple[Columns, PrivacySettings]:
    """Turn options into what the judge takes; all complaints at once."""
    from evenhand.judge.privacy.settings import PrivacySettings  # noqa: PLC0415
    from evenhand.tables.schema import Columns  # noqa: PLC0415

    complaints: list[str] = []
    where = pairs(given["where"], complaints)
    intersect = crossings(given["intersect"], complaints)
    attacks = _attacks(given["attack"], complaints)
    complaints += outputs.complaints(files)
    settings: PrivacySettings | None = None
    lists = {"fprs": given["fpr"], "primary": given["primary"]}
    same = ("reference", "margin", "alpha", "min_group_size", "rng", "permutations")
    try:
        settings = PrivacySettings(
            attacks=attacks, **{k: v for k, v in lists.items() if v}, **{k: given[k] for k in same}
        )
    except InputError as error:
        complaints += error.complaints
    if complaints or settings is None:
        raise CallError(complaints)
    alike = {k: given[k] for k in ("by", "memberships", "id", "arm", "run")}
    return Columns(where=where, intersect=intersect, names=given["name"], **alike), settings


def _attacks(texts: Sequence[str], complaints: list[str]) -> tuple[tuple[str, Frozen], ...]:
    from evenhand.judge.attacks import parse_attack  # noqa: PLC0415

    found = []
    for text in texts:
        try:
            found.append(parse_attack(text))
        except InputError as error:
            complaints += [f"--attack: {complaint}" for complaint in error.complaints]
    return tuple(found)


def _judge(files: Sequence[str], columns: Columns, settings: PrivacySettings) -> Document:
    """Run the attacks."""
    from evenhand.judge.privacy.run import run_attack  # noqa: PLC0415

    with working("reading, attacking and judging"):
        return run_attack(list(files), columns, settings).to_dict()
