"""`evenhand report`: judge the finished runs of a study again, and write its report and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from evenhand.cli.lib.studies import OUTPUT, folders, one_thread_of_linear_algebra, publish
from evenhand.errors import CallError
from evenhand.tables.io.paths import path_fault


@click.command("report", short_help="Rebuild the result and the report of a study; figures for a paper.")
@click.argument("path", metavar="[DIR]", default=OUTPUT)
@click.option(
    "--figures",
    metavar="OUT",
    help="Write figures and tables for a paper there: SVG, PDF, PNG and CSV. The folder is made; of several "
    "studies each gets a folder of its name in it.",
)
def COMMAND(path: str, figures: str | None) -> None:
    """Judge what is finished of the study in DIR, or of every study there; nothing is trained."""
    one_thread_of_linear_algebra()
    from evenhand.spec.stored import load  # noqa: PLC0415
    from evenhand.study.run import rebuild  # noqa: PLC0415

    found = folders(path)
    if figures is not None:
        _refuse(figures)
    for folder in found:
        made = rebuild(load(folder.study), folder)
        publish(made)
        if figures is not None:
            _write(made.result, Path(figures) / folder.path.name if len(found) > 1 else Path(figures))


def _refuse(figures: str) -> None:
    """Complain of a folder that cannot be made, before the work."""
    if not figures.strip():
        raise CallError("--figures: an empty path; give a folder.")
    if why := path_fault(figures):
        raise CallError(f"--figures {figures}: {why}")
    place = next(p for p in (Path(figures).absolute(), *Path(figures).absolute().parents) if p.exists())
    if not place.is_dir():
        raise CallError(f"--figures {figures}: {place} is a file; give a folder.")


def _write(result: Mapping[str, Any], out: Path) -> None:
    """Write a study's figures, and say what was left out."""
    from evenhand.report.figures import wording  # noqa: PLC0415
    from evenhand.report.figures.run import write_figures  # noqa: PLC0415

    made = write_figures(result, out)
    click.echo(wording.written(made.written, str(out)))
    for line in made.left_out:
        click.echo(line, err=True)
