"""`evenhand status`: show the progress of studies."""

from __future__ import annotations

import click

from evenhand.cli.lib.studies import OUTPUT, find_studies, print_faults


@click.command("status", short_help="Show the progress of a study.")
@click.argument("path", metavar="[DIR]", default=OUTPUT)
def COMMAND(path: str) -> None:
    """Count the runs of the study in DIR, or of every study there, by arm and status."""
    from evenhand.store.runs import STATUSES  # noqa: PLC0415
    from evenhand.study.results.status import read_status  # noqa: PLC0415

    for folder in find_studies(path):
        standing = read_status(folder)
        counts = standing.counts()
        used = [status for status in STATUSES if any(count[status] for count in counts.values())]
        finished = sum(count["finished"] for count in counts.values())
        left = standing.seconds_left()
        rest = "" if left is None else f", about {_duration(left)} left"
        click.echo(f"{standing.name}: {finished} of {len(standing.runs)} runs finished{rest}")
        names = {key: f"{arm} ({model})" for key in counts for model, arm in [key]}
        width = max(map(len, names.values()))
        for key, count in counts.items():
            tally = "  ".join(f"{count[status]:>3} {status}" for status in used)
            click.echo(f"  {names[key]:<{width}}  {tally}")
        print_faults(standing)
        if folder.prepared_fault:
            click.echo(f"  {folder.prepared_fault}", err=True)


def _duration(seconds: float) -> str:
    """Format a duration as seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
