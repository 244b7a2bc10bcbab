"""`evenhand run --dry-run`: what would be done, how large it is, and about how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evenhand.errors import InputError

if TYPE_CHECKING:
    from evenhand.finetune import Job
    from evenhand.finetune.estimate.size import Size
    from evenhand.finetune.inputs.packing import BlockCounts
    from evenhand.spec.study import Study
    from evenhand.store.folder import StudyFolder
    from evenhand.store.runs import State
    from evenhand.study.plan import Planned

#: Of English text, about.
_CHARACTERS_PER_TOKEN = 4
#: Rows of a forward pass in training where the study does not say, on a GPU.
_MICRO_BATCH = 64
_HEADINGS = ("", "runs", "finished", "trains", "share", "steps", "memory", "a run", "in all")


@dataclass(frozen=True)
class _Line:
    """The runs of one arm, of one of its trials, or of an arm on halves of the rows, on one model.

    Attributes:
        runs: each with how it stands.
        size: of one of them, if it is known.
        processes: how many do a run together.
        rows: what they read, by part: rows, or blocks of packed text; None where that is not known.
        about: whether these are estimates.
    """

    runs: Sequence[tuple[Planned, State]]
    size: Size | None
    processes: int
    rows: Mapping[str, int] | None
    about: bool = False

    def seconds(self, speed: float) -> float | None:
        """About how long one run computes."""
        if self.size is None or self.rows is None:
            return None
        from evenhand.study.membership import read_rows  # noqa: PLC0415

        job = self.runs[0][0].job
        read = read_rows(job, self.rows)
        operations = self.size.operations(**read, epochs=job.training.epochs)
        return operations / (speed * 1e12 * self.processes)

    def stored(self) -> int | None:
        """Bytes that the runs which are not finished will leave of their models; None where not known."""
        missing = sum(s.status != "finished" and not p.job.for_signals for p, s in self.runs)
        return None if self.size is None else missing * self.size.stored_bytes

    def cells(self, speed: float) -> list[str]:
        """What the table shows; what is not known is a question mark."""
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
    """Print the runs of a study, how they stand and what they take; nothing is written.

    Args:
        study: what would be done.
        output: folder of all studies.
        speed: what a device is taken to reach, in TFLOP/s; None measures this machine.
        processes: how many do a run together, each with a device of its own.

    Raises:
        InputError: the study cannot be run here, as when its data are not there; what can be known without
            is printed first.
    """
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.study.data import load, sizes  # noqa: PLC0415
    from evenhand.study.plan import plan  # noqa: PLC0415
    from evenhand.study.run import checked  # noqa: PLC0415

    folder = StudyFolder(output / study.name)
    missing: InputError | None = None
    rows: Mapping[str, int] | None = None
    try:
        facts = checked(study, folder)
        rows = sizes(facts)
    except InputError as error:
        missing = error
        try:
            facts = load(study.dataset.model_copy(update={"smoke": True})).facts
        except InputError:  # it has no made-up rows that could tell the form of the real ones
            raise missing from None
        facts["mean_characters"] = None
    runs = folder.runs_of(facts)
    states = {p.run_id: (p, runs.look(p.run_id)) for p in plan(study)}
    blocks = {} if rows is None or facts["task"] != "language" else _packed(study)
    lines, remarks = _lines(list(states.values()), facts, rows, blocks, processes)
    if rows is not None and facts["task"] == "text" and any(line.size for line in lines):
        _refuse_texts(study, [runs[0].job for runs in states.values()])
    reached = speed if speed is not None else _measured(study.training.precision)
    finished = sum(state.status == "finished" for _, state in states.values())
    click.echo(f"{study.name}: {len(states)} runs, {finished} of them finished, in {folder.path}")
    told = ", ".join(f"{n:,} {part}" for part, n in rows.items()) if rows else "not known"
    click.echo(f"rows: {told}{' (every seed draws its own split)' if study.resplit else ''}")
    if processes > 1:
        part = "of the rows and of the model" if study.training.parallel == "fsdp" else "of the rows"
        click.echo(f"every run by {processes} processes, each with its part {part}; memory is that of one")
    for model in study.models:
        own = [line for line in lines if line.runs[0][0].job.model.label == model.label]
        size = next((line.size for line in own if line.size), None)
        large = f", {size.parameters:,} parameters" if size else ""
        click.echo(f"\n{model.label}{large}")
        if model.label in blocks:
            click.echo(_told(blocks[model.label]))
        _table([line.cells(reached) for line in own])
    seconds = [(line.seconds(reached), len(line.runs)) for line in lines]
    if all(each is not None for each, _ in seconds):
        whole = sum((each or 0.0) * count for each, count in seconds)
        on = "one device" if processes == 1 else f"{processes} devices"
        told = _assumed(study, facts, reached, given=speed is not None)
        click.echo(f"\nAll runs on {on}: {duration(whole)}. {told}")
    _tell_disk(lines, folder)
    for remark in remarks:
        click.echo(f"Not known: {remark}", err=True)
    if missing is not None:
        raise missing


def _measured(precision: str) -> float:
    """What this machine reaches, in TFLOP/s; without what trains there are no times, and any number does."""
    try:
        from evenhand.finetune.hardware.speed import measure_tflops  # noqa: PLC0415  (torch)
    except ImportError:
        return 1.0
    return measure_tflops(precision)


def _tell_disk(lines: Sequence[_Line], folder: StudyFolder) -> None:
    """What the runs that are missing will store of their models, beside the room that there is."""
    stored = [line.stored() for line in lines]
    if any(size is None for size in stored):
        return
    wanted, free = sum(size or 0 for size in stored), folder.free()
    if not wanted:
        return
    click.echo(f"Models to be stored: {_memory(wanted)}; {_memory(free)} are free at {folder.path}.")
    if wanted > free:
        click.echo("This does not fit: make room, or give another --output.", err=True)


def _packed(study: Study) -> dict[str, BlockCounts]:
    """How each model, by its label, gets plain text; none without what trains."""
    try:
        from evenhand.finetune.inputs.packing import count_blocks  # noqa: PLC0415  (torch)
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
    """Complain of tokens that a model has no rows for; the rows are loaded again only where they matter."""
    from evenhand.finetune.prepare import check_texts  # noqa: PLC0415  (torch)
    from evenhand.study.data import load  # noqa: PLC0415

    check_texts(jobs, lambda: [str(text) for text in load(study.dataset).examples.inputs])


def _told(found: BlockCounts) -> str:
    """How many blocks there are, and how that is known."""
    parts = ", ".join(f"{n:,} {part}" for part, n in found.blocks.items() if part != "test")
    if found.counted:
        return f"  texts are packed in blocks of {found.limit} tokens: {parts}"
    return (
        f"  texts are packed in blocks of {found.limit} tokens: about {parts}. Its tokenizer is not here: "
        f"blocks and steps are estimates, from {_CHARACTERS_PER_TOKEN} characters a token"
    )


def _lines(
    states: Sequence[tuple[Planned, State]],
    facts: Mapping[str, Any],
    rows: Mapping[str, int] | None,
    blocks: Mapping[str, BlockCounts],
    processes: int,
) -> tuple[list[_Line], list[str]]:
    """The runs by model, arm and trial, with their sizes, and why some have none."""
    grouped: dict[tuple[str, str], list[tuple[Planned, State]]] = {}
    for planned, state in states:
        grouped.setdefault((planned.job.model.label, planned.kind), []).append((planned, state))
    jobs = [runs[0][0].job for runs in grouped.values()]
    try:
        from evenhand.finetune.estimate.size import estimate_sizes  # noqa: PLC0415  (torch)
    except ImportError as error:
        told = f"sizes need more packages ({error}): pip install 'evenhand[train]'."
        read = None if facts["task"] == "language" else rows
        return [_Line(runs, None, processes, read) for runs in grouped.values()], [told]
    longest = max(job.training.max_length for job in jobs)
    tokens = longest if blocks or facts["mean_characters"] is None else min(_tokens(facts), longest)
    found = estimate_sizes(jobs, facts["task"], facts["classes"], tokens)
    lines = []
    for runs, size in zip(grouped.values(), found.estimates, strict=True):
        own = blocks.get(runs[0][0].job.model.label)
        read, about = (own.blocks, not own.counted) if own else (rows, False)
        lines.append(_Line(runs, size, processes, read, about))
    return lines, list(found.remarks)


def _tokens(facts: Mapping[str, Any]) -> int:
    """About how many tokens a text has."""
    return round((facts["mean_characters"] or 0) / _CHARACTERS_PER_TOKEN) + 2


def _assumed(study: Study, facts: Mapping[str, Any], speed: float, *, given: bool) -> str:
    """What the estimates build on."""
    packed = facts["task"] == "language" and facts["mean_characters"] is not None
    read = f"blocks of {study.training.max_length}" if packed else f"texts of {_tokens(facts)}"
    texts = f", {read} tokens" if facts["task"] != "image" else ""
    kept = "twice what leaves the layers"
    if study.training.gradient_checkpointing:
        kept = "what enters the layers and twice what leaves one of them"
    reached = f"{speed:g} TFLOP/s"
    if not given:
        reached = f"{speed:.2g} TFLOP/s (of a product of matrices, measured here)"
    return (
        f"Memory and times are estimates, not measured. Times: {reached}{texts}, 4 operations for "
        "each frozen and 6 for each trained weight and token. Memory: 4 bytes a weight (6 in bfloat16), 12 "
        f"more a trained one (gradient, AdamW), and {kept} for a micro-batch.\n"
    )


def _share(part: int, whole: int) -> str:
    """A share in per cent, with two digits that count."""
    return f"{100 * part / whole:.2g} %" if part < whole else f"{100 * part / whole:.0f} %"


def _memory(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Print columns: the first to the left, numbers to the right."""
    every = [_HEADINGS, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(_HEADINGS))]
    for row in every:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        click.echo(f"  {'  '.join(cells)}".rstrip())


def duration(seconds: float) -> str:
    """A time that a person can plan with."""
    if seconds < 90:
        return "< 1 s" if seconds < 1 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
