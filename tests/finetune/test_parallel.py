"""Two processes that do a run together: what they come to is what one comes to."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from evenhand.errors import InputError
from evenhand.finetune import run
from evenhand.finetune.estimate.standin import stand_in
from evenhand.finetune.hardware import devices
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.inputs.targets import ClassTargets
from evenhand.finetune.loop import TrainingBatches
from evenhand.finetune.prepare import load_job_base
from tests.finetune import test_writing, worlds
from tests.finetune.test_training import do, losses_of, scores_of

#: 60 rows in steps of 20, cut in 7, 7 and 6: the second process has nothing to do in every second pass.
#: Gradients of the first two steps are longer than 2.3 and are cut, those of the last one are not: AdamW
#: alone would hide a sum that came out as a mean.
SHORT = {"epochs": 1, "batch_size": 20, "micro_batch": 7, "flip": False, "clip": 2.3}
SAVING = {"gradient_checkpointing": True}
JOBS = {
    "full-data": ("llama", "full", {}),
    "lora-data": ("llama", "lora", SAVING),
    "qlora-data": ("llama", "qlora", SAVING),
    "full-fsdp": ("llama", "full", {"parallel": "fsdp"}),
    "lora-fsdp": ("llama", "lora", {"parallel": "fsdp", **SAVING}),
    "head-data": ("vit", "head_only", {"flip": True}),
    "head-fsdp": ("llama", "head_only", {"parallel": "fsdp"}),
    "none-fsdp": ("llama", "none", {"parallel": "fsdp"}),
    "half-data": ("llama", "lora", {"precision": "bfloat16"}),
    "half-fsdp": ("llama", "full", {"parallel": "fsdp", "precision": "bfloat16"}),
}
#: Models that write: method, options of its training.
WRITERS = {
    ("translation", "full-data"): ("full", {}),
    ("translation", "full-fsdp"): ("full", {"parallel": "fsdp"}),
    ("translation", "lora-fsdp"): ("lora", {"parallel": "fsdp"}),
    ("language", "lora-data"): ("lora", {}),
    ("language", "lora-fsdp"): ("lora", {"parallel": "fsdp"}),
    ("language", "none-data"): ("none", {}),
}
#: Of a probability and of a loss. FSDP in bfloat16 rounds what runs from layer to layer too.
ALLOWED = dict.fromkeys(JOBS, 1e-5) | {"half-fsdp": 1e-2}


@pytest.fixture(scope="session")
def together(folders, tmp_path_factory):
    """The folder in which two processes have done every job."""
    out = tmp_path_factory.mktemp("together")
    tasks = {name: "image" if JOBS[name][0] in worlds.IMAGE else "text" for name in JOBS}
    jobs = {
        name: (tasks[name], folders[kind], method, SHORT | changes)
        for name, (kind, method, changes) in JOBS.items()
    }
    jobs |= {
        "-".join(kind): (kind[0], str(stand_in("llama", kind[0])), method, SHORT | changes)
        for kind, (method, changes) in WRITERS.items()
    }
    (out / "jobs").write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "-m", "tests.finetune.two", str(out / "jobs"), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.parametrize("name", JOBS)
def test_two_processes_are_one(name, together, folders, data, tmp_path):
    kind, way, changes = JOBS[name]
    alone = {k: v for k, v in (SHORT | changes).items() if k not in ("parallel", "gradient_checkpointing")}
    do(worlds.job_of(folders[kind], way, **alone), data(kind), tmp_path / "one")
    both = together / name
    np.testing.assert_allclose(scores_of(both), scores_of(tmp_path / "one"), atol=ALLOWED[name])
    np.testing.assert_allclose(losses_of(both), losses_of(tmp_path / "one"), atol=ALLOWED[name])
    assert np.ptp(scores_of(both)[:, 0]) > 10 * ALLOWED[name] or way == "none"
    names = {str(p.relative_to(together / name)) for p in both.rglob("*")}
    assert names == {str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").rglob("*")}
    facts = json.loads((together / f"{name}.json").read_text())
    small = way == "head_only"  # a head on stored features is copied
    assert facts["processes"] == 2
    assert facts["parallel"] == ("data" if small else changes.get("parallel", "data"))


@pytest.mark.parametrize("kind", WRITERS)
def test_two_processes_write_as_one(kind, together, tmp_path):
    task, (way, changes) = kind[0], WRITERS[kind]
    rows = test_writing.of_pairs() if task == "translation" else test_writing.of_questions()
    alone = {k: v for k, v in (SHORT | changes).items() if k != "parallel"}
    facts = run.train(worlds.job_of(str(stand_in("llama", task)), way, **alone), rows, tmp_path)
    both = together / "-".join(kind)
    np.testing.assert_allclose(losses_of(both), losses_of(tmp_path), atol=1e-5)
    told = json.loads((together / f"{both.name}.json").read_text())
    assert told["processes"] == 2
    assert told["validation"] == (facts["validation"] and pytest.approx(facts["validation"], abs=1e-5))
    one, two = (pq.read_table(next(f.glob("*s.parquet"))).to_pylist() for f in (tmp_path, both))
    if task == "translation":
        assert two == one
        return
    assert [r["log_prob"] for r in two] == pytest.approx([r["log_prob"] for r in one], abs=1e-4)
    assert [r["example_id"] for r in two] == [r["example_id"] for r in one]


def test_a_divided_model_loads_as_any_other(together, folders, data):
    rows, place = data("llama"), together / "full-fsdp"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(str(place / "model")).eval()
    encoded = encode_rows(load_job_base(worlds.job_of(folders["llama"], "full"), rows), rows.examples, 256)
    with torch.no_grad():
        again = torch.softmax(model(**encoded.take(rows.parts.test)).logits.double(), -1).numpy()
    np.testing.assert_allclose(scores_of(place), again, atol=1e-5)
    facts = json.loads((together / "full-fsdp.json").read_text())
    assert facts["checks"]["reload"] <= 1e-5
    frozen = json.loads((together / "lora-fsdp.json").read_text())["checks"]
    assert frozen["base_frozen"] > 0
    assert frozen["merged"] <= 1e-5


@pytest.mark.parametrize("way", ["full", "lora"])
def test_gradient_checkpointing_changes_nothing(way, folders, data, tmp_path, monkeypatch):
    passes = []
    layer = transformers.models.llama.modeling_llama.LlamaMLP
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda self, x: passes.append(self.training) or forward(self, x))
    kept, _ = do(worlds.job_of(folders["llama"], way), data("llama"), tmp_path / "kept")
    before = sum(passes)
    again, _ = do(worlds.job_of(folders["llama"], way, **SAVING), data("llama"), tmp_path / "again")
    assert kept == again
    assert sum(passes) == 3 * before  # once forward, and once more on the way back


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_work_is_shared_evenly_and_done_once(processes, n):
    shares = [
        devices.local_share(list(range(n)), SimpleNamespace(process_index=i, num_processes=processes))
        for i in range(processes)
    ]
    assert len({len(one) for one in shares}) == 1
    assert sorted(item for one in shares for item, counts in one if counts) == list(range(n))


@pytest.mark.parametrize("processes", [2, 3, 64])
def test_a_step_has_the_same_rows_however_many_take_part(processes, folders, data):
    rows = data("llama")
    job = worlds.job_of(folders["llama"], "full", batch_size=25)
    encoded = encode_rows(load_job_base(job, rows), rows.examples, 256)

    def steps(n):
        batches = TrainingBatches(encoded, ClassTargets(rows.examples.labels), rows.parts.train, 13, n)
        return [[part.tolist() for part, _ in cuts] for cuts in batches.epoch(0, job.training)]

    for one, divided in zip(steps(1), steps(processes), strict=True):
        whole = [row for part in one for row in part]
        assert [row for part in divided for row in part] == whole
        assert len(divided) >= min(processes, len(whole))


def test_a_process_that_is_alone_does_not_pass_for_a_group(folders, data, tmp_path):
    with pytest.raises(devices.GroupError, match="needs 2 processes, but its group has 1"):
        run.train(worlds.job_of(folders["llama"], "full"), data("llama"), tmp_path, processes=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("gpus", "wanted", "size"),
    [(0, None, 2), (0, 3, 3), (8, None, 8), (8, 2, 2), (1, None, None), (2, 4, None)],
)
def test_as_many_processes_as_gpus(gpus, wanted, size, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if size:
        assert devices.group_size(wanted) == size
        return
    with pytest.raises(InputError, match=r"only one GPU is visible|got 4, but only 2 GPUs"):
        devices.group_size(wanted)
