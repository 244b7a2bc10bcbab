"""`evenhand plan`: how many runs and rows decide, in each group."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import show_status
from evenhand.cli.lib.options import OVERRIDES, parse_number
from evenhand.cli.lib.outputs import Outputs
from evenhand.cli.lib.studies import console, resolve_path
from evenhand.errors import CallError

if TYPE_CHECKING:
    from evenhand.judge.planning.assumed import Assumptions
    from evenhand.judge.planning.forecast import Pilot


@dataclass(frozen=True)
class PlanOptions:
    """Options of the command, as parsed; a field is named after its option."""

    source: str
    overrides: tuple[str, ...]
    power: float
    difference: float | None
    disagreement: float | None
    flips: float | None
    shift: float | None
    json: str | None
    html: str | None


_EXAMPLES = """\b
Examples:
  evenhand plan evenhand-runs/my-study          from the runs of a study
  evenhand plan result.json --html plan.html    from the result of an audit
  evenhand plan study.yaml --shift 0.02         before anything is trained, from assumed variances

\b
Exit codes:
  0 success; 2 the input or the call is wrong (nothing is written); 1 a bug in evenhand."""


@click.command("plan", epilog=_EXAMPLES, short_help="Find out how many runs and rows decide, by group.")
@click.argument("source", metavar="STUDY|RESULT")
@OVERRIDES
@click.option(
    "--power",
    type=parse_number,
    metavar="FLOAT",
    default=0.8,
    show_default=True,
    help="Probability with which a question is to be decided.",
)
@click.option(
    "--difference",
    type=parse_number,
    metavar="FLOAT",
    help="True loss that is to be called harm, the margin or more.  [default: the margin of each metric]",
)
@click.option(
    "--disagreement",
    type=parse_number,
    metavar="SHARE",
    help="For a study file: share of rows that two arms answer differently in every run.  [default: 0.05]",
)
@click.option(
    "--flips",
    type=parse_number,
    metavar="SHARE",
    help="For a study file: share of an arm's answers that flip between its runs.  [default: 0.05]",
)
@click.option(
    "--shift",
    type=parse_number,
    metavar="FLOAT",
    help="For a study file: standard deviation of a run's rate beyond its flips.  [default: 0.01]",
)
@click.option("--json", metavar="FILE", help="Write the plan as JSON; - writes to standard output.")
@click.option("--html", metavar="FILE", help="Write the plan as a single HTML page that works offline.")
def COMMAND(**options: Any) -> int:  # noqa: ANN401
    """Plan runs and rows from a pilot: the folder of a study, a result.json, or a study file.

    A result has the variances of its own runs and rows. A study FILE that has not run (or the name of a
    recipe) gives the sizes of its groups only, and the variances are assumed.
    """
    return _plan(PlanOptions(**options))


def _plan(options: PlanOptions) -> int:
    """Read the pilot, plan, publish the plan, and return the exit code."""
    outputs = Outputs(json=options.json, html=options.html)
    complaints = [*outputs.complaints([options.source]), *_number_complaints(options)]
    if complaints:
        raise CallError(complaints)
    from evenhand.judge.planning.forecast import Goal, check_goal, forecast  # noqa: PLC0415

    with show_status("reading the pilot"):
        pilots, source = _read(options)
    goal = Goal(options.power, options.difference)
    check_goal(goal, pilots)
    document = forecast(pilots, goal, source)
    outputs.write(outputs.render(document))
    outputs.summarise(document, console(stderr=outputs.to_standard_output))
    return 0


def _number_complaints(options: PlanOptions) -> list[str]:
    """List the assumed numbers that are out of their range."""
    numbers = (("--disagreement", options.disagreement, 1.0), ("--flips", options.flips, 1.0))
    return [
        f"{name} {value:g}: it is from 0 to {high:g}."
        for name, value, high in (*numbers, ("--shift", options.shift, 0.5))
        if value is not None and not 0 <= value <= high
    ]


def _read(options: PlanOptions) -> tuple[list[Pilot], dict[str, Any]]:
    """Read the pilots of a study's folder or a result, or assume those of a study file."""
    from evenhand.judge.planning.read import pilots_of, read_result  # noqa: PLC0415

    path = Path(options.source)
    if not path.is_dir() and path.suffix != ".json":
        return _assume(options)
    assumed = {"--disagreement": options.disagreement, "--flips": options.flips, "--shift": options.shift}
    needless = [name for name, value in assumed.items() if value is not None]
    if needless or options.overrides:
        what = ", ".join([*needless, *(["-o"] if options.overrides else [])])
        raise CallError(f"{what}: only a study file is planned from assumptions; {path} has a result.")
    path = resolve_path(options.source)
    if path.is_dir():
        path /= "result.json"
        if not path.is_file():
            raise CallError(
                f"{options.source}: it has no result.json; give the folder of a study whose runs were judged "
                "(`evenhand report` judges them), a result.json, or a study file."
            )
    document = read_result(path)
    kind = "study" if str(document.get("schema", "")).startswith("evenhand.study/") else "result"
    return pilots_of(document, str(path)), {"kind": kind, "name": options.source}


def _assume(options: PlanOptions) -> tuple[list[Pilot], dict[str, Any]]:
    """Assume the pilots of a study file."""
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415
    from evenhand.study.pilot import assume_pilots  # noqa: PLC0415

    assumptions = _assumptions(options)
    pilots: list[Pilot] = []
    for study, tree in read_located_studies(options.source, overrides=options.overrides):
        with locating_complaints(tree):
            pilots += assume_pilots(study, assumptions)
    return pilots, {"kind": "assumed", "name": options.source, "assumptions": asdict(assumptions)}


def _assumptions(options: PlanOptions) -> Assumptions:
    """Take the assumptions from the options."""
    from evenhand.judge.planning.assumed import Assumptions  # noqa: PLC0415

    stated = {
        "disagreement": options.disagreement,
        "flips": options.flips,
        "shift": options.shift,
    }
    return Assumptions(**{name: value for name, value in stated.items() if value is not None})
