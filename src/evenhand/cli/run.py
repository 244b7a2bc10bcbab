"""`evenhand run`: from a study file to fine-tuned models, predictions, a verdict and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.calls import check_gate, refuse_single_arm
from evenhand.cli.lib.options import FAIL_ON, OVERRIDES
from evenhand.cli.lib.studies import OUTPUT, limit_blas_threads, publish, resolve_path
from evenhand.errors import CallError, Complaint, InputError, plural

if TYPE_CHECKING:
    from evenhand.spec.study import Study
    from evenhand.spec.yaml.tree import Node
    from evenhand.study.run import StudyResult
    from evenhand.study.workers.pool import Executor

RUNS_FAILED = 1


@dataclass(frozen=True)
class RunOptions:
    """Options of the command, as parsed; a field is named after its option."""

    source: str
    overrides: tuple[str, ...]
    output: str
    executor: Executor
    workers: int | None
    dry_run: bool
    smoke: bool
    speed: float | None
    fail_on: str | None


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
@OVERRIDES
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
@FAIL_ON
def COMMAND(**options: Any) -> int:  # noqa: ANN401
    """Train the methods of the studies in FILE, or in the recipe called NAME, and judge them by group."""
    return _run_studies(RunOptions(**options))


def _run_studies(options: RunOptions) -> int:
    """Run or plan every study, publish the results, and return the exit code."""
    limit_blas_threads()
    from evenhand.spec.read import read_located_studies  # noqa: PLC0415
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415

    output = resolve_path(options.output)
    if output.is_file():
        raise CallError(f"--output {output}: this is a file; give a folder.")
    located = read_located_studies(options.source, overrides=options.overrides)
    single = [study.name for study, _ in located if len(study.arms) < 2]
    refuse_single_arm(options.fail_on, f"{', '.join(single)} has" if single else "")
    if options.smoke:
        from evenhand.cli.lib.smoke import shrink_study  # noqa: PLC0415

        located = tuple((shrink_study(study), tree) for study, tree in located)
    located = _choose_sizes(located)
    if len(located) > 1 and not options.dry_run:
        _refuse_any(located, output)
    results = []
    for study, tree in located:
        with locating_complaints(tree, study.name if len(located) > 1 else ""):
            if options.dry_run:
                _show_plan(study, output, options)
            else:
                results.append(_run_study(study, output, options))
    if options.dry_run:
        return 0
    for result in results:
        _print_failures(result)
    code = check_gate([result.verdict for result in results], options.fail_on)
    return code or (RUNS_FAILED if any(result.failed for result in results) else 0)


def _show_plan(study: Study, output: Path, options: RunOptions) -> None:
    """Print the planned runs, and their costs if as many processes as in the call train each of them."""
    from evenhand.cli.lib.plan import show_plan  # noqa: PLC0415
    from evenhand.study.workers.pool import refuse_call  # noqa: PLC0415

    refuse_call(study, options.workers, options.executor)
    processes = 1
    if options.executor == "accelerate":
        from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

        # A number of workers may refer to the devices of another machine, so it is not compared with these.
        processes = options.workers or group_size(None)
    show_plan(study, output, options.speed, processes)


def _choose_sizes(located: Sequence[tuple[Study, Node]]) -> tuple[tuple[Study, Node], ...]:
    """Choose the sizes of matched arms in every study, before the first one is planned."""
    from evenhand.spec.yaml.check import locating_complaints  # noqa: PLC0415
    from evenhand.study.matching import choose_sizes  # noqa: PLC0415

    sized = []
    for study, tree in located:
        with locating_complaints(tree, study.name if len(located) > 1 else ""):
            sized.append((choose_sizes(study), tree))
    return tuple(sized)


def _refuse_any(located: Sequence[tuple[Study, Node]], output: Path) -> None:
    """Check the data of every study before the first one is trained."""
    from evenhand.spec.yaml.check import locate_complaint  # noqa: PLC0415
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.study.look import check_study  # noqa: PLC0415

    complaints = []
    for study, tree in located:
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


def _run_study(study: Study, output: Path, options: RunOptions) -> StudyResult:
    """Run one study with progress on standard error, and publish its result."""
    from evenhand.cli.lib.progress import show_progress  # noqa: PLC0415
    from evenhand.study.run import run_study  # noqa: PLC0415

    try:
        with show_progress(study.name) as watch:
            result = run_study(study, output, workers=options.workers, executor=options.executor, watch=watch)
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
    click.echo(f"{study.result['name']}: {plural(len(study.failed), 'run')} not finished:", err=True)
    for row in study.failed:
        click.echo(f"  {row['arm']}, seed {row['run']}, {row['model']}: {row['error']}", err=True)
        click.echo(f"    evenhand show {runs / row['run_id']}", err=True)
    click.echo("  Repeat the command to retry them.", err=True)
