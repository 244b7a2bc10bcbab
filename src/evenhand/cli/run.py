"""`evenhand run`: from a study file to fine-tuned models, predictions, a verdict and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import check_gate
from evenhand.cli.lib.studies import OUTPUT, limit_blas_threads, publish, resolve_path
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
Repeat the command to continue after a stop, to retry failed runs, or to add arms and seeds.

\b
Exit codes:
  0 success; 1 some runs failed (the others are judged), or a bug in evenhand (with a traceback);
  2 the study or the call is wrong (before any training); 3 the gate of --fail-on failed."""


@click.command("run", epilog=_EXAMPLES, short_help="Train the methods of a study and judge them by group.")
@click.argument("source", metavar="NAME|FILE")
@click.option(
    "-o",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override an option of the file: a dotted key and a YAML value. Repeatable.",
)
@click.option("--output", metavar="DIR", default=OUTPUT, show_default=True, help="Folder of all studies.")
@click.option(
    "--executor",
    type=click.Choice(["processes", "local", "accelerate"]),
    default="processes",
    show_default=True,
    help="How to train: several processes, each with its own run (processes); one process (local); or "
    "several processes that train one run together (accelerate), each with its part of the rows and, if "
    "training.parallel is fsdp, of the model.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Number of processes.  [default: one per core; with accelerate one per GPU, or 2 without a GPU]",
)
@click.option(
    "--dry-run", is_flag=True, help="Train nothing; print the planned runs, their sizes and estimated times."
)
@click.option(
    "--smoke",
    is_flag=True,
    help="Try the study in seconds: tiny stand-ins for its models, made-up rows, 2 seeds, 1 epoch.",
)
@click.option(
    "--speed",
    metavar="TFLOP/S",
    type=click.FloatRange(min=0, min_open=True),
    help="Speed that --dry-run assumes for its times.  [default: measured on this machine]",
)
@click.option(
    "--fail-on",
    type=click.Choice(["harm", "undecided"]),
    help="Exit with code 3 if any verdict is harm; with undecided, if any is harm or undecided.",
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
    """Train the methods of the studies in FILE, or in the recipe called NAME, and judge them by group."""
    limit_blas_threads()
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415

    output = str(resolve_path(output))
    if Path(output).is_file():
        raise CallError(f"--output {output}: this is a file; give a folder.")
    read = read_located_studies(source, overrides=overrides)
    studies, trees = tuple(study for study, _ in read), [tree for _, tree in read]
    if fail_on and (alone := [study.name for study in studies if len(study.arms) < 2]):
        raise CallError(
            f"--fail-on {fail_on}: {', '.join(alone)} has only one arm, so there is nothing to compare."
        )
    if smoke:
        from evenhand.cli.lib.smoke import shrink_study  # noqa: PLC0415

        studies = tuple(shrink_study(study) for study in studies)
    if dry_run:
        from evenhand.cli.lib.plan import show_plan  # noqa: PLC0415

        for study, tree in zip(studies, trees, strict=True):
            with locating_complaints(tree, study.name if len(studies) > 1 else ""):
                show_plan(study, Path(output), speed, _processes(study, **how))
        return
    if len(studies) > 1:
        _refuse_any(studies, trees, Path(output))
    results = []
    for study, tree in zip(studies, trees, strict=True):
        with locating_complaints(tree, study.name if len(studies) > 1 else ""):
            results.append(_run(study, Path(output), how))
    for result in results:
        _print_failures(result)
    code = check_gate([result.verdict for result in results], fail_on)
    ctx.exit(code or (RUNS_FAILED if any(result.failed for result in results) else 0))


def _processes(study: Study, *, executor: Executor, workers: int | None) -> int:
    """Return the number of processes that would train a run together."""
    from evenhand.study.workers.pool import refuse_call  # noqa: PLC0415

    refuse_call(study, workers, executor)
    if executor != "accelerate":
        return 1
    from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

    return workers or group_size(
        None
    )  # a number given by the user may refer to the devices of another machine


def _refuse_any(studies: Sequence[Study], trees: Sequence[Node], output: Path) -> None:
    """Check the data of every study before the first one is trained."""
    from evenhand.spec.yaml.check import locate_complaint  # noqa: PLC0415
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.study.run import check_study  # noqa: PLC0415

    complaints = []
    for study, tree in zip(studies, trees, strict=True):
        try:
            check_study(study, StudyFolder(output / study.name))
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
    """Run one study with progress on standard error, and publish its result."""
    from evenhand.cli.lib.progress import show_progress  # noqa: PLC0415
    from evenhand.study.run import run_study  # noqa: PLC0415

    try:
        with show_progress(study.name) as watch:
            result = run_study(study, output, watch=watch, **how)
    except KeyboardInterrupt:
        click.echo(
            f"{study.name}: stopped. Finished runs are kept in {output / study.name}; repeat the command to "
            "continue.",
            err=True,
        )
        raise
    publish(result)
    return result


def _print_failures(study: StudyResult) -> None:
    """Print which runs failed, and how to see their tracebacks."""
    if not study.failed:
        return
    runs = study.folder.path / "runs"
    click.echo(f"{study.result['name']}: {len(study.failed)} runs are not finished:", err=True)
    for row in study.failed:
        click.echo(f"  {row['arm']}, seed {row['run']}, {row['model']}: {row['error']}", err=True)
        click.echo(f"    evenhand show {runs / row['run_id']}", err=True)
    click.echo("  Repeat the command to retry them.", err=True)
