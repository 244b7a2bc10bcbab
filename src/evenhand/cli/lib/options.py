"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def number(text: str, *, level: bool = False) -> float:
    """Read a number; a text with a unit or a decimal comma is refused with the number that it stands for."""
    from evenhand.spec.sections.margins import parse_share  # noqa: PLC0415  (numbers that are in order need it not)

    try:
        return float(text)
    except ValueError:
        meant = parse_share(text, level=level)
        advice = f"write {meant}." if meant is not None else "give a number such as 0.05."
        raise click.BadParameter(f"{text!r} is no number; {advice}") from None


def alpha(text: str) -> float:
    """Read alpha, of which 95 % is written 0.05."""
    return number(text, level=True)


#: Which columns hold groups and ids, and which rows are read.
GROUPS = (
    click.option(
        "--by", metavar="COL", multiple=True, help="Attribute: a column of group names. Repeatable."
    ),
    click.option(
        "--memberships",
        metavar="PATTERN",
        multiple=True,
        help="Attribute of several 0/1 columns that may overlap, as 'target_religion_*'. Repeatable.",
    ),
    click.option(
        "--intersect",
        metavar="COL,COL",
        multiple=True,
        help="Also judge the crossings of these attributes, as race,sex. Repeatable.",
    ),
    click.option(
        "--id", metavar="COL", default="example_id", show_default=True, help="Column that names an example."
    ),
)
WHERE = click.option(
    "--where", metavar="COL=VALUE", multiple=True, help="Read only rows with this value. Repeatable."
)
REFERENCE = click.option("--reference", metavar="ARM", help="The arm to compare with.  [default: the first]")
ALPHA = click.option(
    "--alpha",
    type=alpha,
    metavar="FLOAT",
    default=0.05,
    show_default=True,
    help="1 - alpha is the level of each family of intervals.",
)
#: Where results go, and the seed.
RESULTS = (
    click.option("--json", metavar="FILE", help="Write the result as JSON; - is standard output."),
    click.option("--html", metavar="FILE", help="Write a report as one HTML page that opens offline."),
    click.option("--csv", metavar="FILE", help="Write all numbers as one flat table."),
    click.option(
        "--fail-on",
        type=click.Choice(["harm", "undecided"]),
        help="Exit with 3 on any harm; with undecided, on any harm or undecided.",
    ),
    click.option("--rng", type=int, default=0, show_default=True, help="Seed of every random draw."),
)


def several(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Add options, which are shown in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def names(default: str) -> Callable[[F], F]:
    """The option that names the arms of files."""
    return click.option(
        "--name",
        metavar="NAME",
        multiple=True,
        help="Name of a file's arm, once per file; files of one name are runs of one arm.  "
        f"[default: {default}]",
    )


def smallest(meaning: str) -> Callable[[F], F]:
    """The option of the smallest group; the meaning says what happens to smaller ones."""
    return click.option("--min-group-size", type=int, default=10, show_default=True, help=meaning)
