"""`evenhand recipes`: list or print the study files that come with the package."""

from __future__ import annotations

import click

_EXAMPLES = """\b
Examples:
  evenhand recipes
  evenhand recipes quickstart > study.yaml"""


@click.command("recipes", epilog=_EXAMPLES, short_help="List the recipes, or print one.")
@click.argument("name", metavar="[NAME]", required=False)
def COMMAND(name: str | None) -> None:
    """List the study files that come with evenhand, or print the one called NAME."""
    from evenhand.spec.recipes import describe_recipe, recipe_names, recipe_path  # noqa: PLC0415

    if name is not None:
        click.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)
        return
    names = recipe_names()
    width = max(map(len, names), default=0)
    for each in names:
        click.echo(f"{each:<{width}}  {describe_recipe(each)}".rstrip())
