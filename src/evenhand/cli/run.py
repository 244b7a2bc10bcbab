"""`evenhand run`: a study in; adapted models, predictions, verdict and report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import gate
from evenhand.cli.lib.studies import OUTPUT, one_thread_of_linear_algebra, place, publish
from evenhand.errors import CallError, Complaint, InputError

if TYPE_CHECKING:
    from evenhand.spec.study import Study
    from evenhand.spec.yaml.tree import Node
    from evenhand.study.run import StudyResult
    from evenhand.study.workers.pool import Executor

RUNS_FAILED = 1

_EXAMPLES = """\b
Examples:
  evenhand run quickstart
  evenhand run study.yaml --dry-run --speed 50
  evenhand run paper/e2_gender_vit --smoke
  evenhand run study.yaml --executor accelerate -o training.parallel=fsdp
  evenhand run study.yaml -o 'methods.lora.rank=[1,8]' -o seeds=[1,2] --output studies

\b
Call it again to go on where it stopped, to try again what failed, or to add arms and seeds.

\b
Exit codes:
  0 done; 1 some runs failed (the rest is judged), or a bug of evenhand (with a traceback);
  2 the study or the call is wrong (before any training); 3 what --fail-on names was found."""


@click.command("run", epilog=_EXAMPLES, short_help="Train the methods of a study, and judge them by group.")
@click.argument("source", metavar="NAME|FILE")
@click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="A value that goes before the file's, with a dotted key. Repeatable.",
)
@click.option("--output", metavar="DIR", default=OUTPUT, show_default=True, help="Where studies are kept.")
@click.option(
    "--executor",
    type=click.Choice(["processes", "local", "accelerate"]),
    default="processes",
    show_default=True,
    help="Who trains: several processes, each with a run of its own; a single one; or several that do one "
    "run together (accelerate), each with its part of the rows, and of the model too where training.parallel "
    "is fsdp.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="How many processes.  [default: one per core; with accelerate one per GPU, or 2 without any]",
)
@click.option("--dry-run", is_flag=True, help="Train nothing: print what would be done, and how large it is.")
@click.option(
    "--smoke",
    is_flag=True,
    help="Try the study out in seconds: tiny stand-ins of its models, made-up rows, 2 seeds, 1 epoch.",
)
@click.option(
    "--speed",
    metavar="TFLOP/S",
    type=click.FloatRange(min=0, min_open=True),
    help="What --dry-run takes the machine to reach, for its times.  [default: measured here in a moment]",
)
@click.option(
    "--fail-on",
    type=click.Choice(["harm", "undecided"]),
    help="Exit with 3 on any harm; with undecided, on any harm or undecided.",
)
@click.pass_context
def COMMAND(
    ctx: click.Context,
    /,
    source: str,
    overrides: tuple[str, ...],
    output: str,
    dry_run: bool,
    smoke: bool,
    speed: float | None,
    fail_on: str | None,
    **how: Any,  # noqa: ANN401
) -> None:
    """Run the studies of FILE, or of the recipe called NAME, and judge their methods by group."""
    one_thread_of_linear_algebra()
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415

    output = str(place(output))
    if Path(output).is_file():
        raise CallError(f"--output {output}: this is a file; give a folder.")
    read = read_located_studies(source, overrides=overrides)
    studies, trees = tuple(study for study, _ in read), [tree for _, tree in read]
    if fail_on and (alone := [study.name for study in studies if len(study.arms) < 2]):
        raise CallError(f"--fail-on {fail_on}: {', '.join(alone)} has one arm, so nothing to compare.")
    if smoke:
        from evenhand.cli.lib.smoke import smaller  # noqa: PLC0415

        studies = tuple(smaller(study) for study in studies)
    if dry_run:
        from evenhand.cli.lib.plan import show_plan  # noqa: PLC0415

        for study, tree in zip(studies, trees, strict=True):
            with locating_complaints(tree, study.name if len(studies) > 1 else ""):
                show_plan(study, Path(output), speed, _processes(study, **how))
        return
    if len(studies) > 1:
        _refuse_any(studies, trees, Path(output))
    made = []
    for study, tree in zip(studies, trees, strict=True):
        with locating_complaints(tree, study.name if len(studies) > 1 else ""):
            made.append(_run(study, Path(output), how))
    for one in made:
        _tell_failures(one)
    code = gate([one.verdict for one in made], fail_on)
    ctx.exit(code or (RUNS_FAILED if any(one.failed for one in made) else 0))


def _processes(study: Study, *, executor: Executor, workers: int | None) -> int:
    """How many processes would do a run together."""
    from evenhand.study.workers.pool import refuse_call  # noqa: PLC0415

    refuse_call(study, workers, executor)
    if executor != "accelerate":
        return 1
    from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

    return workers or group_size(None)  # these may be the devices of another machine


def _refuse_any(studies: Sequence[Study], trees: Sequence[Node], output: Path) -> None:
    """Check the data of every study before the first one is trained."""
    from evenhand.spec.yaml.check import locate_complaint  # noqa: PLC0415
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.study.run import checked  # noqa: PLC0415

    complaints = []
    for study, tree in zip(studies, trees, strict=True):
        try:
            checked(study, StudyFolder(output / study.name))
        except InputError as error:
            complaints += [
                locate_complaint(what, tree, study.name)
                if isinstance(what, Complaint)
                else f"{study.name}: {what}"
                for what in error.complaints
            ]
    if complaints:
        raise InputError(dict.fromkeys(complaints))


def _run(study: Study, output: Path, how: Mapping[str, Any]) -> StudyResult:
    """Run one study, with a sign of life, and publish what it came to."""
    from evenhand.cli.lib.progress import watching  # noqa: PLC0415
    from evenhand.study.run import run_study  # noqa: PLC0415

    try:
        with watching(study.name) as watch:
            made = run_study(study, output, watch=watch, **how)
    except KeyboardInterrupt:
        click.echo(
            f"{study.name}: stopped. What is finished is kept in {output / study.name}; the same command "
            "goes on from there.",
            err=True,
        )
        raise
    publish(made)
    return made


def _tell_failures(made: StudyResult) -> None:
    """Say which runs failed, and where their tracebacks are."""
    if not made.failed:
        return
    runs = made.folder.path / "runs"
    click.echo(f"{made.result['name']}: {len(made.failed)} runs are not finished:", err=True)
    for row in made.failed:
        click.echo(f"  {row['arm']}, seed {row['run']}, {row['model']}: {row['error']}", err=True)
        click.echo(f"    evenhand show {runs / row['run_id']}", err=True)
    click.echo("  The same command tries them again.", err=True)
