"""`evenhand ls`: list the plug-ins, or the runs of a study."""

from __future__ import annotations

import click

from evenhand.cli.lib.plugins import KINDS
from evenhand.cli.lib.studies import find_studies


@click.command("ls", short_help="List plug-ins, or the runs of a study.")
@click.argument("path", metavar="[DIR]", required=False)
def COMMAND(path: str | None) -> None:
    """List the names that study files can use (datasets, methods, ...); with DIR, the runs of its studies."""
    if path is None:
        _list_plugins()
    else:
        _list_runs(path)


def _list_plugins() -> None:
    from evenhand.spec.plugins import installed, plugin  # noqa: PLC0415
    from evenhand.spec.recipes import describe_recipe, recipe_names  # noqa: PLC0415

    for kind, package in KINDS.items():
        names = installed(package)
        width = max(map(len, names), default=0)
        click.echo(f"{kind}:")
        for name in names:
            click.echo(f"  {name:<{width}}  {plugin(package, name).INFO.title}".rstrip())
    click.echo("recipes:")
    recipes = recipe_names()
    for name in recipes:
        click.echo(f"  {name:<{max(map(len, recipes))}}  {describe_recipe(name)}".rstrip())


def _list_runs(path: str) -> None:
    from evenhand.study.results.status import read_status  # noqa: PLC0415

    for folder in find_studies(path):
        standing = read_status(folder)
        click.echo(f"{standing.name}:")
        for planned, state in standing.runs:
            took = ""
            if state.status == "finished" and state.record:
                took = f"  {state.record['facts']['seconds']['total']:.1f} s"
            again = f"  {state.attempts} attempts" if state.attempts > 1 else ""
            click.echo(f"  {planned.run_id}  {state.status:<11}  {planned.title}{took}{again}")
