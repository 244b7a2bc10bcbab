"""`evenhand validate`: report all problems of a study file together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from evenhand.cli.lib.options import OVERRIDES
from evenhand.errors import MissingExtraError, NotHereError, plural

if TYPE_CHECKING:
    from evenhand.spec.study import Dataset, Study
    from evenhand.spec.yaml.tree import Node

_EXAMPLES = """\b
Examples:
  evenhand validate study.yaml
  evenhand validate study.yaml -o 'methods.lora.rank=[1,8]' -o seeds=[1,2]
  evenhand validate --schema > study.schema.json

\b
Editors with a YAML language server complete the keys of a study file whose first line is
`# yaml-language-server: $schema=study.schema.json`.

\b
Exit codes:
  0 the study can be run; 2 it cannot: all problems are listed with their lines."""


@click.command("validate", epilog=_EXAMPLES, short_help="Report all problems of a study file.")
@click.argument("file", metavar="FILE|NAME", required=False)
@OVERRIDES
@click.option("--schema", is_flag=True, help="Print the JSON schema of study files, for editors.")
def COMMAND(file: str | None, overrides: tuple[str, ...], schema: bool) -> None:
    """Check a study FILE, or the recipe called NAME, and its data as a run does, without training.

    Data on a hub that have not been downloaded are not checked. For models on this machine, weights that a
    method cannot work with are reported too.
    """
    if schema:
        if file is not None or overrides:
            raise click.UsageError("--schema applies to all studies; give it without FILE and without -o.")
        from evenhand.spec.schema import json_schema  # noqa: PLC0415

        click.echo(json.dumps(json_schema(), indent=2))
        return
    if file is None:
        raise click.UsageError("give a study FILE, or --schema.")
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415

    located = read_located_studies(file, overrides=overrides, look=_look)
    studies = [_choose_sizes(study, tree, several=len(located) > 1) for study, tree in located]
    for study in studies:
        _refuse_weights(study)
    for study in studies:
        click.echo(_summary(study))


def _look(dataset: Dataset, study: Study | None) -> list[str]:
    """Check the rows as a run does; print a note if they are not on this machine."""
    from evenhand.datasets import local_files_only  # noqa: PLC0415  (numpy)
    from evenhand.study.look import look_at_rows  # noqa: PLC0415

    try:
        with local_files_only():
            return look_at_rows(dataset, study)[1]
    except (NotHereError, MissingExtraError) as error:
        name = f"{study.name}: " if study else ""
        click.echo(f"{name}the data were not checked: {str(error).rstrip('.')}.", err=True)
        return []


def _choose_sizes(study: Study, tree: Node, *, several: bool) -> Study:
    """Choose the sizes of matched arms and print them; print a note if the packages for it are missing."""
    if all(arm.match is None for arm in study.arms):
        return study
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415
    from evenhand.study.matching import choose_sizes, rows_of_sizes, sentence_of_size  # noqa: PLC0415

    try:
        with locating_complaints(tree, study.name if several else ""):
            study = choose_sizes(study)
    except MissingExtraError as error:
        click.echo(f"{study.name}: the sizes were not checked: {error}.", err=True)
        return study
    for model in study.models:
        for row in rows_of_sizes(study.arms, model.label):
            click.echo(f"{study.name}, {model.label}: {sentence_of_size(row)}")
    return study


def _refuse_weights(study: Study) -> None:
    """Refuse weights on this machine that a method cannot work with, if any method checks weights."""
    from evenhand import registry  # noqa: PLC0415

    methods = {arm.method for arm in study.arms}
    if not any(hasattr(registry.load("evenhand.finetune.methods", m), "weight_complaints") for m in methods):
        return
    try:
        from evenhand.finetune.estimate.size import check_weights  # noqa: PLC0415  (torch)
    except ImportError:
        return
    from evenhand.study.matching import task_of  # noqa: PLC0415
    from evenhand.study.plan import plan  # noqa: PLC0415

    if any(arm.match is not None and not arm.match.reached for arm in study.arms):
        return
    check_weights([planned.job for planned in plan(study)], task_of(study.dataset))


def _summary(study: Study) -> str:
    """Summarise a study in one line."""
    arms = ", ".join(
        f"{arm.name}: {len(arm.trials)} trials" if arm.trials else arm.name for arm in study.arms
    )
    models = ", ".join(model.label for model in study.models)
    ways = sum(len(arm.trials) or 1 for arm in study.arms)
    trials = f" in {ways:,} trials" if study.tuned else ""
    runs = ways * len(study.models) * len(study.seeds)
    return (
        f"{study.name}: {plural(runs, 'run')} = {plural(len(study.arms), 'arm')}{trials} ({arms})"
        f" x {plural(len(study.models), 'model')} ({models}) x {plural(len(study.seeds), 'seed')}"
        f"{', each with its own split' if study.resplit else ''}"
        f"{_attacked(study)}, on {study.dataset.name}; compared with {study.audit.reference}"
    )


def _attacked(study: Study) -> str:
    """Describe the attacks of a study, and the additional runs that they need."""
    if study.privacy is None:
        return ""
    from evenhand.judge.attacks import attack_name  # noqa: PLC0415
    from evenhand.study.membership import halves  # noqa: PLC0415

    names = ", ".join(attack_name(attack.name, attack.config) for attack in study.privacy.attacks)
    more = len(halves(study.privacy)) * len(study.arms) * len(study.models)
    besides = f" with {plural(more, 'more run')} on halves of the rows" if more else ""
    return f", attacked by {names}{besides}"
