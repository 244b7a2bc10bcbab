"""`python -m benchmarks.gpu`: training steps of the paper's models, LoRA and full, eager and compiled.

On one GPU: ViT-Base, Swin-v2-Large and Llama-2 7B in their true shapes, with random weights, trained by
evenhand's own loop. What the card can do at best (a matrix product, a copy) is measured in the same run, and
every row tells its share of that. What does not fit says so. Without a GPU the same runs on tiny stand-ins
of the families: that shows that it works, and measures nothing of the true models.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.gpu.measure import ceiling, free, measured
from benchmarks.gpu.shapes import METHODS_HERE, TRUE, miniature
from benchmarks.machine import describe
from evenhand.finetune import Precision

RESULTS = Path(__file__).parents[1] / "results"
MINIATURE = (
    "No GPU here: tiny stand-ins on the CPU, 'compiled' without a code generator. This shows that the "
    "benchmark runs; its figures say nothing of the true models or of any card."
)
COLUMNS = ("model", "method", "", "trains", "ms a step", "rows/s", "tokens/s", "memory", "TFLOP/s", "of peak")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, print the table, write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=tuple(TRUE), action="append", help="all, when none is given")
    parser.add_argument("--method", choices=METHODS_HERE, action="append")
    parser.add_argument("--how", choices=("eager", "compiled"), action="append")
    parser.add_argument("--precision", choices=get_args(Precision), help="bfloat16 on a GPU, else float32")
    parser.add_argument("--steps", type=int, default=20, help="counted, after three that are not")
    parser.add_argument("--profile", action="store_true", help="print which operations took the time")
    parser.add_argument("--out", type=Path, help="of the results; else benchmarks/results/gpu*.json")
    given = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # shapes are known here; weights are drawn
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    small = device.type == "cpu"
    precision: Precision = given.precision or ("float32" if small else "bfloat16")
    best = ceiling(device, precision)
    print(f"{name_of(device)}, {precision}: at best {best.tflops:.3g} TFLOP/s, {best.gbytes:.3g} GB/s copied")
    if small:
        print(MINIATURE)
    print(line(COLUMNS), flush=True)
    out = given.out or RESULTS / ("gpu_miniature.json" if small else "gpu.json")
    rows: list[dict[str, Any]] = []
    results = {
        "what": MINIATURE if small else "true shapes, random weights, evenhand's loop",
        "miniature": small,
        "device": name_of(device),
        "machine": describe("evenhand", "torch", "transformers", "peft", "accelerate"),
        "ceiling": {"precision": precision, **asdict(best)},
        "steps": given.steps,
        "rows": rows,
    }
    for name in given.model or TRUE:
        shape = miniature(TRUE[name]) if small else TRUE[name]
        for method in given.method or METHODS_HERE:
            for how in given.how or ("eager", "compiled"):
                free()
                with profiled(device) if given.profile else nullcontext():
                    rows.append(measured(shape, method, how, precision, given.steps, best))
                print(line(cells(rows[-1])), flush=True)
                out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"results: {os.path.relpath(out)}")


@contextmanager
def profiled(device: torch.device) -> Iterator[None]:
    """Print the operations that took most of the time of a block: first on the processor, then on the GPU."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    orders = ["self_cpu_time_total"]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
        orders.append("self_cuda_time_total")
    with torch.profiler.profile(activities=activities) as profile:
        yield
    for order in orders:
        print(profile.key_averages().table(sort_by=order, row_limit=18, max_name_column_width=50), flush=True)


def name_of(device: torch.device) -> str:
    """What it is measured on."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    first = [row["model"], row["method"], row["how"]]
    if "problem" in row:
        return [*first, row["problem"]]
    tokens, share = row["tokens_per_second"], row["share_of_peak"]
    return [
        *first,
        f"{row['trainable_parameters']:,}",
        f"{1000 * row['seconds_per_step']:.1f}",
        f"{row['rows_per_second']:,.0f}",
        "-" if tokens is None else f"{tokens:,.0f}",
        f"{row['peak_memory_bytes'] / 1e9:.1f} GB",
        "?" if row["tflops"] is None else f"{row['tflops']:.3g}",
        "?" if share is None else f"{100 * share:.1f} %",
    ]


def line(texts: Any) -> str:
    """Columns: names to the left, numbers to the right."""
    left = [f"{text:<11}" for text in texts[:2]] + [f"{text:<8}" for text in texts[2:3]]
    return "  ".join([*left, *(f"{text:>13}" for text in texts[3:])]).rstrip()


if __name__ == "__main__":
    main()
