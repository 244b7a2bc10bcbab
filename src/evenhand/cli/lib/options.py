"""Options that several commands have, and the record of those that `audit` and `attack` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class FileOptions:
    """Options of the commands that judge files, as parsed; a field is named after its option."""

    files: tuple[str, ...]
    by: tuple[str, ...]
    memberships: tuple[str, ...]
    intersect: tuple[str, ...]
    id: str
    arm: str | None
    run: str | None
    where: tuple[str, ...]
    name: tuple[str, ...]
    reference: str | None
    primary: tuple[str, ...]
    alpha: float
    min_group_size: int
    json: str | None
    html: str | None
    csv: str | None
    fail_on: str | None
    rng: int


def parse_number(text: str, *, level: bool = False) -> float:
    """Parse a number; for a text with a unit or a decimal comma, the error suggests the number it means."""
    from evenhand.spec.sections.margins import parse_share  # noqa: PLC0415  (only needed for malformed numbers)

    try:
        return float(text)
    except ValueError:
        meant = parse_share(text, level=level)
        advice = f"write {meant}." if meant is not None else "give a number such as 0.05."
        raise click.BadParameter(f"{text!r} is not a number; {advice}") from None


def parse_alpha(text: str) -> float:
    """Parse alpha; for a confidence level such as 95 %, the error suggests 0.05."""
    return parse_number(text, level=True)


#: Columns of groups and ids.
GROUPS = (
    click.option(
        "--by",
        metavar="COL",
        multiple=True,
        help="Attribute to judge by: a column of group names. Repeatable.",
    ),
    click.option(
        "--memberships",
        metavar="PATTERN",
        multiple=True,
        help="Attribute whose groups may overlap: one 0/1 column per group, such as 'target_religion_*'. "
        "Repeatable.",
    ),
    click.option(
        "--intersect",
        metavar="COL,COL",
        multiple=True,
        help="Also judge by the combinations of these attributes, such as race,sex. Repeatable.",
    ),
    click.option(
        "--id",
        metavar="COL",
        default="example_id",
        show_default=True,
        help="Column with the id of the example.",
    ),
)
WHERE = click.option(
    "--where", metavar="COL=VALUE", multiple=True, help="Read only the rows with this value. Repeatable."
)
REFERENCE = click.option(
    "--reference", metavar="ARM", help="Arm to compare the others with.  [default: the first]"
)
ALPHA = click.option(
    "--alpha",
    type=parse_alpha,
    metavar="FLOAT",
    default=0.05,
    show_default=True,
    help="Each family of intervals has the simultaneous level 1 - alpha.",
)
OVERRIDES = click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override an option of the file: a dotted key and a YAML value. Repeatable.",
)
FAIL_ON = click.option(
    "--fail-on",
    type=click.Choice(["harm", "undecided"]),
    help="Exit with code 3 if any verdict is harm; with undecided, if any is harm or undecided.",
)
#: Output files, the gate, and the seed.
RESULTS = (
    click.option("--json", metavar="FILE", help="Write the result as JSON; - writes to standard output."),
    click.option("--html", metavar="FILE", help="Write a report as a single HTML page that works offline."),
    click.option("--csv", metavar="FILE", help="Write all numbers as one flat CSV table."),
    FAIL_ON,
    click.option("--rng", type=int, default=0, show_default=True, help="Seed of all random draws."),
)


def add_options(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Return a decorator that adds options, which --help shows in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def name_option(default: str) -> Callable[[F], F]:
    """Build the option that names the arm of each file."""
    return click.option(
        "--name",
        metavar="NAME",
        multiple=True,
        help="Name of a file's arm, once per file; files with the same name are runs of one arm.  "
        f"[default: {default}]",
    )


def min_group_size_option(meaning: str) -> Callable[[F], F]:
    """Build the option for the smallest group; `meaning` states what happens to smaller groups."""
    return click.option("--min-group-size", type=int, default=10, show_default=True, help=meaning)
