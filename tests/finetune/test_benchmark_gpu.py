"""The benchmark for a GPU: where there is none it runs in small, and says so."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.gpu import __main__ as benchmark
from benchmarks.gpu import measure
from benchmarks.gpu.shapes import TRUE

from evenhand.finetune.models import llama, swinv2, vit


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it would measure the true shapes")
def test_without_a_gpu_it_runs_in_small_and_says_so(tmp_path, capsys):
    out = tmp_path / "small.json"
    benchmark.main(["--model", "vit", "--how", "eager", "--steps", "2", "--out", str(out)])
    told, found = capsys.readouterr().out, json.loads(out.read_text())
    assert "No GPU here: tiny stand-ins" in told
    assert (found["miniature"], found["device"]) == (True, "CPU")
    assert "say nothing of the true models" in found["what"]
    assert [(r["model"], r["method"]) for r in found["rows"]] == [("tiny vit", "lora"), ("tiny vit", "full")]
    for row in found["rows"]:
        assert row["rows_per_second"] == pytest.approx(8 / row["seconds_per_step"])
        assert 0 < row["share_of_peak"] == pytest.approx(row["tflops"] / found["ceiling"]["tflops"])
        assert row["tokens_per_second"] is None
        assert row["peak_memory_bytes"] > 0


def test_the_true_shapes_are_the_papers():
    assert [(s.model, s.tokens, s.batch) for s in TRUE.values()] == [
        (next(iter(vit.SHAPES)), 0, 32),
        (next(iter(swinv2.SHAPES)), 0, 32),
        (next(iter(llama.SHAPES)), 256, 32),
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into this card's memory"),
        (RuntimeError("no compiler\nmore"), "RuntimeError: no compiler"),
    ],
)
def test_a_row_that_cannot_be_measured_says_why(error, said, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(measure, "_timed", fails)
    best = measure.Ceiling(1.0, 1.0)
    row = measure.measured(TRUE["llama2"], "full", "eager", "bfloat16", 1, best)
    assert row["problem"] == said
    assert said in benchmark.line(benchmark.cells(row))
