"""`evenhand report`: judge the finished runs of a study again, and write its report."""

from __future__ import annotations

import click

from evenhand.cli._studies import OUTPUT, folders, publish


@click.command("report", short_help="Rebuild the result and the report of a study.")
@click.argument("path", metavar="[DIR]", default=OUTPUT)
def COMMAND(path: str) -> None:
    """Judge what is finished of the study in DIR, or of every study there; nothing is trained."""
    from evenhand.spec.stored import load  # noqa: PLC0415
    from evenhand.study.run import rebuild  # noqa: PLC0415

    for folder in folders(path):
        publish(rebuild(load(folder.study), folder))
