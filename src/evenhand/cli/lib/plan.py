"""`evenhand run --dry-run`: the planned runs, their sizes, and estimates of their duration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand import registry
from evenhand.errors import InputError, plural
from evenhand.spec.plugins import METHODS

if TYPE_CHECKING:
    from evenhand.finetune import Job
    from evenhand.finetune.estimate.size import Size
    from evenhand.finetune.inputs.block_counts import BlockCounts
    from evenhand.spec.study import Study
    from evenhand.store.folder import StudyFolder
    from evenhand.store.runs import State
    from evenhand.study.plan import Planned

#: Rough average for English text.
_CHARACTERS_PER_TOKEN = 4
#: Rows of a forward pass in training on a GPU, if the study does not set micro_batch.
_MICRO_BATCH = 64
_HEADINGS = ("", "runs", "finished", "trains", "share", "steps", "memory", "a run", "in all")


@dataclass(frozen=True)
class _Line:
    """The runs of one arm, of one of its trials, or of an arm on halves of the rows, on one model.

    Attributes:
        runs: the runs, each with its status.
        size: size of one of them, if it is known.
        processes: number of processes that train a run together.
        rows: number of rows, or of blocks of packed text, by part; None if unknown.
        about: whether `rows` is an estimate.
    """

    runs: Sequence[tuple[Planned, State]]
    size: Size | None
    processes: int
    rows: Mapping[str, int] | None
    about: bool = False

    def seconds(self, speed: float) -> float | None:
        """Estimate the seconds of computation of one run, at `speed` TFLOP/s per process."""
        if self.size is None or self.rows is None:
            return None
        from evenhand.study.membership import read_rows  # noqa: PLC0415

        job = self.runs[0][0].job
        read = read_rows(job, self.rows)
        operations = self.size.operations(**read, epochs=job.training.epochs)
        return operations / (speed * 1e12 * self.processes)

    def stored(self) -> int | None:
        """Estimate the bytes of the models that unfinished runs will save; None if unknown."""
        missing = sum(s.status != "finished" and not p.job.for_signals for p, s in self.runs)
        return None if self.size is None else missing * self.size.stored_bytes

    def cells(self, speed: float) -> list[str]:
        """Return the cells of the table; unknown values are question marks."""
        from evenhand.study.plan import steps  # noqa: PLC0415

        job, size = self.runs[0][0].job, self.size
        finished = sum(state.status == "finished" for _, state in self.runs)
        seconds = self.seconds(speed)
        most = -(-job.training.batch_size // self.processes)
        micro_batch = min(job.training.micro_batch or _MICRO_BATCH, most)
        taken = 0 if size and not size.trainable else steps(job, self.rows) if self.rows else None
        return [
            self.runs[0][0].kind,
            f"{len(self.runs):,}",
            f"{finished:,}",
            f"{size.trainable:,}" if size else "?",
            _share(size.trainable, size.parameters) if size else "?",
            "?" if taken is None else f"{'about ' if self.about and taken else ''}{taken:,}",
            _memory(size.bytes(micro_batch, self.processes)) if size else "?",
            "?" if seconds is None else duration(seconds),
            "?" if seconds is None else duration(seconds * len(self.runs)),
        ]


def show_plan(study: Study, output: Path, speed: float | None, processes: int) -> None:
    """Print the runs of a study, their status and estimated cost; nothing is written.

    Args:
        study: the study.
        output: folder of all studies.
        speed: assumed speed of a device in TFLOP/s; None measures this machine.
        processes: number of processes that train a run together, each on its own device.

    Raises:
        InputError: the study cannot be run here, for example because its data are missing; everything
            that can be estimated without them is printed first.
    """
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.study.data import load, sizes  # noqa: PLC0415
    from evenhand.study.look import check_study  # noqa: PLC0415
    from evenhand.study.plan import plan  # noqa: PLC0415

    folder = StudyFolder(output / study.name)
    missing: InputError | None = None
    rows: Mapping[str, int] | None = None
    try:
        facts = check_study(study, folder)
        rows = sizes(facts)
    except InputError as error:
        missing = error
        try:
            facts = load(study.dataset.model_copy(update={"smoke": True})).facts
        except InputError:  # without made-up rows the form of the real ones is unknown
            raise missing from None
        facts["mean_characters"] = None
    runs = folder.runs_of(facts)
    states = {p.run_id: (p, runs.look(p.run_id)) for p in plan(study)}
    blocks = {} if rows is None or facts["task"] != "language" else _packed(study)
    lines, remarks = _build_lines(list(states.values()), facts, rows, blocks, processes)
    if rows is not None and facts["task"] == "text" and any(line.size for line in lines):
        _refuse_texts(study, [runs[0].job for runs in states.values()])
    reached = speed if speed is not None else _measure_speed(study.training.precision)
    finished = sum(state.status == "finished" for _, state in states.values())
    click.echo(f"{study.name}: {plural(len(states), 'run')}, {finished} of them finished, in {folder.path}")
    counts = ", ".join(f"{n:,} {part}" for part, n in rows.items()) if rows else "not known"
    click.echo(f"rows: {counts}{' (each seed draws its own split)' if study.resplit else ''}")
    if processes > 1:
        part = "of the rows and of the model" if study.training.parallel == "fsdp" else "of the rows"
        click.echo(f"each run uses {processes} processes, each with its part {part}; memory is per process")
    for model in study.models:
        model_lines = [line for line in lines if line.runs[0][0].job.model.label == model.label]
        size = next((line.size for line in model_lines if line.size), None)
        large = f", {size.parameters:,} parameters" if size else ""
        click.echo(f"\n{model.label}{large}")
        if model.label in blocks:
            click.echo(_describe_blocks(blocks[model.label]))
        _table([line.cells(reached) for line in model_lines])
        _print_sizes(study, model.label)
    seconds = [(line.seconds(reached), len(line.runs)) for line in lines]
    if all(each is not None for each, _ in seconds):
        total = sum((each or 0.0) * count for each, count in seconds)
        on = "one device" if processes == 1 else f"{processes} devices"
        assumptions = _describe_assumptions(study, facts, reached, stated=speed is not None)
        click.echo(f"\nAll runs on {on}: {duration(total)}. {assumptions}")
    _print_disk_space(lines, folder)
    for remark in remarks:
        click.echo(f"Unknown: {remark}", err=True)
    if missing is not None:
        raise missing


def _print_sizes(study: Study, model: str) -> None:
    """Print the chosen sizes of matched arms, and how far they are from their goals."""
    from evenhand.study.matching import rows_of_sizes, sentence_of_size  # noqa: PLC0415

    for row in rows_of_sizes(study.arms, model):
        click.echo(f"  {sentence_of_size(row)}")


def _measure_speed(precision: str) -> float:
    """Measure the speed of this machine in TFLOP/s; 1 without torch, since there are no times then."""
    try:
        from evenhand.finetune.hardware.speed import measure_tflops  # noqa: PLC0415  (torch)
    except ImportError:
        return 1.0
    return measure_tflops(precision)


def _print_disk_space(lines: Sequence[_Line], folder: StudyFolder) -> None:
    """Print the estimated size of the models to be saved, and the free disk space."""
    stored = [line.stored() for line in lines]
    if any(size is None for size in stored):
        return
    needed, free = sum(size or 0 for size in stored), folder.free()
    if not needed:
        return
    click.echo(f"Models to be stored: {_memory(needed)}; {_memory(free)} are free at {folder.path}.")
    if needed > free:
        click.echo("This does not fit: make room, or give another --output.", err=True)


def _packed(study: Study) -> dict[str, BlockCounts]:
    """Pack plain text into blocks for each model, by label; empty without torch."""
    try:
        from evenhand.finetune.inputs.block_counts import count_blocks  # noqa: PLC0415  (torch)
    except ImportError:
        return {}
    from evenhand.finetune import Model  # noqa: PLC0415
    from evenhand.study.data import load  # noqa: PLC0415

    data = load(study.dataset).of(study.seeds[0])
    return {
        m.label: count_blocks(Model(m.name, dict(m.options), m.label), data, study.training.max_length)
        for m in study.models
    }


def _refuse_texts(study: Study, jobs: Sequence[Job]) -> None:
    """Refuse texts with tokens outside a model's embedding; rows are reloaded only if this can happen."""
    from evenhand.finetune.prepare import check_texts  # noqa: PLC0415  (torch)
    from evenhand.study.data import load  # noqa: PLC0415

    check_texts(jobs, lambda: [str(text) for text in load(study.dataset).examples.inputs])


def _describe_blocks(packed: BlockCounts) -> str:
    """Describe the number of blocks, and whether it is counted or estimated."""
    parts = ", ".join(f"{n:,} {part}" for part, n in packed.blocks.items() if part != "test")
    if packed.counted:
        return f"  texts are packed in blocks of {packed.limit} tokens: {parts}"
    return (
        f"  texts are packed in blocks of {packed.limit} tokens: about {parts}. Its tokenizer is not on this "
        f"machine: blocks and steps are estimated from {_CHARACTERS_PER_TOKEN} characters per token"
    )


def _build_lines(
    states: Sequence[tuple[Planned, State]],
    facts: Mapping[str, Any],
    rows: Mapping[str, int] | None,
    blocks: Mapping[str, BlockCounts],
    processes: int,
) -> tuple[list[_Line], list[str]]:
    """Group the runs by model, arm and trial, estimate their sizes, and explain missing estimates."""
    grouped: dict[tuple[str, str], list[tuple[Planned, State]]] = {}
    for planned, state in states:
        grouped.setdefault((planned.job.model.label, planned.kind), []).append((planned, state))
    jobs = [runs[0][0].job for runs in grouped.values()]
    try:
        from evenhand.finetune.estimate.size import estimate_sizes  # noqa: PLC0415  (torch)
    except ImportError as error:
        remark = f"sizes need more packages ({error}): pip install 'evenhand[train]'."
        read = None if facts["task"] == "language" else rows
        return [_Line(runs, None, processes, read) for runs in grouped.values()], [remark]
    longest = max(job.training.max_length for job in jobs)
    tokens = longest if blocks or facts["mean_characters"] is None else min(_tokens(facts), longest)
    estimates = estimate_sizes(jobs, facts["task"], facts["classes"], tokens)
    lines = []
    for runs, size in zip(grouped.values(), estimates.estimates, strict=True):
        packed = blocks.get(runs[0][0].job.model.label)
        read, about = (packed.blocks, not packed.counted) if packed else (rows, False)
        lines.append(_Line(runs, size, processes, read, about))
    return lines, list(estimates.remarks)


def _tokens(facts: Mapping[str, Any]) -> int:
    """Estimate the number of tokens of a text, including two special tokens."""
    return round((facts["mean_characters"] or 0) / _CHARACTERS_PER_TOKEN) + 2


def _describe_assumptions(study: Study, facts: Mapping[str, Any], speed: float, *, stated: bool) -> str:
    """Describe the assumptions behind the estimates."""
    packed = facts["task"] == "language" and facts["mean_characters"] is not None
    read = f"blocks of {study.training.max_length}" if packed else f"texts of {_tokens(facts)}"
    texts = f", {read} tokens" if facts["task"] != "image" else ""
    activations = "twice the outputs of all layers"
    if study.training.gradient_checkpointing:
        activations = "the inputs of all layers and twice the outputs of one layer"
    quantises = any(registry.load(METHODS, arm.method).INFO.quantised for arm in study.arms)
    packed_weights = "; half a byte or one if it is quantised, and the scales" if quantises else ""
    reached = f"{speed:g} TFLOP/s"
    if not stated:
        reached = f"{speed:.2g} TFLOP/s (a matrix product, measured on this machine)"
    return (
        f"Memory and times are estimates, not measured. Times: {reached}{texts}, 4 operations per "
        "token and frozen weight, 6 per trained weight. Memory: 4 bytes per weight (6 in bfloat16"
        f"{packed_weights}), 12 more per trained weight (gradient, AdamW), and {activations} for a "
        "micro-batch.\n"
    )


def _share(part: int, total: int) -> str:
    """Format a share in per cent, with two significant digits."""
    return f"{100 * part / total:.2g} %" if part < total else f"{100 * part / total:.0f} %"


def _memory(size: int) -> str:
    """Format bytes as MB or GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column aligned left, numbers aligned right."""
    every = [_HEADINGS, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(_HEADINGS))]
    for row in every:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        click.echo(f"  {'  '.join(cells)}".rstrip())


def duration(seconds: float) -> str:
    """Format a duration as seconds, minutes or hours."""
    if seconds < 90:
        return "< 1 s" if seconds < 1 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
