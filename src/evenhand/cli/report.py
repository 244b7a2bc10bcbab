"""`evenhand report`: judge the finished runs of a study again, and write its report and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from evenhand.cli.lib.studies import OUTPUT, find_studies, limit_blas_threads, publish
from evenhand.errors import CallError
from evenhand.tables.io.paths import path_fault


@click.command("report", short_help="Rebuild the result, the report and the figures of a study.")
@click.argument("path", metavar="[DIR]", default=OUTPUT)
@click.option(
    "--figures",
    metavar="OUT",
    help="Folder for figures and tables for a paper (SVG, PDF, PNG and CSV). It is created if needed; with "
    "several studies, each gets a subfolder with its name.",
)
def COMMAND(path: str, figures: str | None) -> None:
    """Judge the finished runs of the study in DIR, or of every study there, again; nothing is trained."""
    limit_blas_threads()
    from evenhand.spec.stored import load  # noqa: PLC0415
    from evenhand.study.run import rebuild  # noqa: PLC0415

    studies = find_studies(path)
    if figures is not None:
        _refuse(figures)
    for folder in studies:
        rebuilt = rebuild(load(folder.study), folder)
        publish(rebuilt)
        if figures is not None:
            _write(rebuilt.result, Path(figures) / folder.path.name if len(studies) > 1 else Path(figures))


def _refuse(figures: str) -> None:
    """Refuse a folder that cannot be created, before any work."""
    if not figures.strip():
        raise CallError("--figures: the path is empty; give a folder.")
    if why := path_fault(figures):
        raise CallError(f"--figures {figures}: {why}")
    existing = next(p for p in (Path(figures).absolute(), *Path(figures).absolute().parents) if p.exists())
    if not existing.is_dir():
        raise CallError(f"--figures {figures}: {existing} is a file; give a folder.")


def _write(result: Mapping[str, Any], out: Path) -> None:
    """Write a study's figures, and print which were left out."""
    from evenhand.report.figures import wording  # noqa: PLC0415
    from evenhand.report.figures.run import write_figures  # noqa: PLC0415

    figures = write_figures(result, out)
    click.echo(wording.written(figures.written, str(out)))
    for line in figures.left_out:
        click.echo(line, err=True)
