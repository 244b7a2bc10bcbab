"""`evenhand validate`: every problem of a study file at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evenhand.spec.study import Study

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
    """Read a study FILE, or the recipe called NAME, without loading data or models."""
    if schema:
        if file is not None or overrides:
            raise click.UsageError("--schema is about every study: give no FILE and no -o with it.")
        from evenhand.spec.schema import json_schema  # noqa: PLC0415

        click.echo(json.dumps(json_schema(), indent=2))
        return
    if file is None:
        raise click.UsageError("give a study FILE, or --schema.")
    from evenhand.spec.read import read_studies  # noqa: PLC0415

    for study in read_studies(file, overrides=overrides):
        click.echo(_summary(study))


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
    """What attacks take besides."""
    if study.privacy is None:
        return ""
    from evenhand.study.membership import halves  # noqa: PLC0415

    names = ", ".join(attack.name for attack in study.privacy.attacks)
    more = len(halves(study.privacy)) * len(study.arms) * len(study.models)
    return f", and {_counted(more, 'run')} on halves of the rows for attacks ({names})"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
