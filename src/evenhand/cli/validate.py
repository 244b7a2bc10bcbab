"""`evenhand validate`: every problem of a study file at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from evenhand.errors import MissingExtraError, NotHereError

if TYPE_CHECKING:
    from evenhand.spec.study import Dataset, Study

_EXAMPLES = """\b
Examples:
  evenhand validate study.yaml
  evenhand validate study.yaml -o 'methods.lora.rank=[1,8]' -o seeds=[1,2]
  evenhand validate --schema > study.schema.json

\b
An editor that reads `# yaml-language-server: $schema=study.schema.json` in the first line of a study
completes its keys.

\b
Exit codes:
  0 the study can be run; 2 it cannot: every problem with its line."""


@click.command("validate", epilog=_EXAMPLES, short_help="Say all that is wrong with a study file.")
@click.argument("file", metavar="FILE|NAME", required=False)
@click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="A value that goes before the file's, with a dotted key. Repeatable.",
)
@click.option("--schema", is_flag=True, help="Print the JSON schema of study files, for editors.")
def COMMAND(file: str | None, overrides: tuple[str, ...], schema: bool) -> None:
    """Read a study FILE, or the recipe called NAME, and look at its data as a run does, without any model.

    Data of a hub that were not downloaded before are not looked at.
    Of models that are at hand, weights that a method cannot work with are told as well.
    """
    if schema:
        if file is not None or overrides:
            raise click.UsageError("--schema is about every study: give no FILE and no -o with it.")
        from evenhand.spec.schema import json_schema  # noqa: PLC0415

        click.echo(json.dumps(json_schema(), indent=2))
        return
    if file is None:
        raise click.UsageError("give a study FILE, or --schema.")
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415

    studies = [study for study, _ in read_located_studies(file, overrides=overrides, look=_look)]
    for study in studies:
        _refuse_weights(study)
    for study in studies:
        click.echo(_summary(study))


def _look(dataset: Dataset, study: Study | None) -> list[str]:
    """Look at the rows as a run does; of rows that are not on this machine, say that nobody looked."""
    from evenhand.datasets import local_files_only  # noqa: PLC0415  (numpy)
    from evenhand.study.look import look_at_rows  # noqa: PLC0415

    try:
        with local_files_only():
            return look_at_rows(dataset, study)[1]
    except (NotHereError, MissingExtraError) as error:
        name = f"{study.name}: " if study else ""
        click.echo(f"{name}the data were not looked at: {str(error).rstrip('.')}.", err=True)
        return []


def _refuse_weights(study: Study) -> None:
    """Complain of weights at hand that a method cannot work with, where a method asks for weights."""
    from evenhand import registry  # noqa: PLC0415
    from evenhand.cli.lib.smoke import task_of  # noqa: PLC0415

    methods = {arm.method for arm in study.arms}
    if not any(hasattr(registry.load("evenhand.finetune.methods", m), "weight_complaints") for m in methods):
        return
    try:
        from evenhand.finetune.estimate.size import check_weights  # noqa: PLC0415  (torch)
    except ImportError:
        return
    from evenhand.study.plan import plan  # noqa: PLC0415

    check_weights([planned.job for planned in plan(study)], task_of(study.dataset))


def _summary(study: Study) -> str:
    """One line."""
    arms = ", ".join(
        f"{arm.name}: {len(arm.trials)} trials" if arm.trials else arm.name for arm in study.arms
    )
    models = ", ".join(model.label for model in study.models)
    ways = sum(len(arm.trials) or 1 for arm in study.arms)
    trials = f" in {ways:,} trials" if study.tuned else ""
    runs = ways * len(study.models) * len(study.seeds)
    return (
        f"{study.name}: {_counted(runs, 'run')} = {_counted(len(study.arms), 'arm')}{trials} ({arms})"
        f" x {_counted(len(study.models), 'model')} ({models}) x {_counted(len(study.seeds), 'seed')}"
        f"{', each with its own split' if study.resplit else ''}"
        f"{_attacked(study)}, on {study.dataset.name}; compared with {study.audit.reference}"
    )


def _attacked(study: Study) -> str:
    """How models are attacked, and what that takes besides."""
    if study.privacy is None:
        return ""
    from evenhand.judge.attacks import attack_name  # noqa: PLC0415
    from evenhand.study.membership import halves  # noqa: PLC0415

    names = ", ".join(attack_name(attack.name, attack.config) for attack in study.privacy.attacks)
    more = len(halves(study.privacy)) * len(study.arms) * len(study.models)
    besides = f" with {_counted(more, 'more run')} on halves of the rows" if more else ""
    return f", attacked by {names}{besides}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
