"""The loop: against transformers' Trainer, its batches, and that the same job gives the same bytes."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from evenhand.finetune import Data, Model, run
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.hardware.linears import frozen_weights_in_bf16, onednn_linears
from evenhand.finetune.inputs import features
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.inputs.targets import ClassTargets
from evenhand.finetune.loop import TrainingBatches, _accumulate_gradients
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.prepare import load_job_base
from tests.finetune import worlds


def do(job, data, folder):
    """Run; the folder's predictions, what was saved, and the facts."""
    folder.mkdir(parents=True)
    facts = run.train(job, data, folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "train.jsonl")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}, facts


def scores_of(folder, split="test"):
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    return np.array([s for s, part in zip(table["score"], table["split"], strict=True) if part == split])


def losses_of(folder):
    lines = [json.loads(x) for x in (folder / "train.jsonl").read_text().splitlines()]
    return [x["loss"] for x in lines if "loss" in x]


class InOrder(transformers.Trainer):
    """Takes rows as they come and notes the loss of each step."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self.__dict__.setdefault("seen", []).append(float(loss))
        return loss


@pytest.mark.parametrize("kind", ["bert", "llama", "vit"])
@pytest.mark.parametrize("way", ["full", "lora"])
def test_same_as_transformers_trainer(kind, way, folders, data, tmp_path):
    rows = data(kind)
    job = worlds.job_of(folders[kind], way, epochs=3, batch_size=20, micro_batch=7, flip=False)
    folder = tmp_path / "ours"
    do(job, rows, folder)

    base = load_job_base(job, rows)
    encoded = encode_rows(base, rows.examples, job.training.max_length)
    model = adapt.build_adapted_model(base, job)
    batches = TrainingBatches(encoded, ClassTargets(rows.examples.labels), rows.parts.train, job.seed)
    order = [
        int(r) for e in range(3) for cuts in batches.epoch(e, job.training) for part, _ in cuts for r in part
    ]

    def collate(some):
        told = encoded.take(np.array(some))
        return told | {"labels": torch.from_numpy(rows.examples.labels[np.array(some)])}

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "theirs"), num_train_epochs=1, learning_rate=job.training.learning_rate,
        per_device_train_batch_size=20, weight_decay=job.training.weight_decay, warmup_steps=1,
        lr_scheduler_type="cosine", max_grad_norm=job.training.clip, use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        dataloader_pin_memory=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = InOrder(model, arguments, data_collator=collate, train_dataset=order)
        trainer.train()
    np.testing.assert_allclose(losses_of(folder), trainer.seen, atol=1e-4)
    model.eval()
    with torch.no_grad():
        theirs = torch.softmax(model(**encoded.take(rows.parts.test)).logits.double(), -1).numpy()
    np.testing.assert_allclose(scores_of(folder), theirs, atol=1e-5)
    assert np.ptp(scores_of(folder)[:, 0]) > 1e-4  # rows differ by more than is allowed


@pytest.mark.parametrize("way", ["full", "lora", "head_only"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_job_same_bytes(way, precision, folders, data, tmp_path):
    rows = data("bert")
    job = worlds.job_of(folders["bert"], way, precision=precision)
    first, facts = do(job, rows, tmp_path / "first")
    other = "bfloat16" if precision == "float32" else "float32"
    for between in ("head_only", "lora", "full"):
        changed = worlds.job_of(
            folders["bert"], between, seed=7, precision=other if between == "lora" else precision
        )
        do(changed, rows, tmp_path / f"between-{between}")
    again, _ = do(job, rows, tmp_path / "again")
    assert first == again
    seed, _ = do(replace(job, seed=14), rows, tmp_path / "seed")
    assert seed["predictions.parquet"] != first["predictions.parquet"]
    if precision == "bfloat16":
        assert facts["checks"]["reload"] < 0.02


def test_fresh_process_same_bytes(folders, datasets, tmp_path):
    job = worlds.job_of(folders["bert"], "lora")
    first, _ = do(job, datasets["text"], tmp_path / "first")
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path; from evenhand.finetune import run; from tests.finetune import worlds\n"
        "data = worlds.data_of(worlds.texts())\n"
        "run.train(worlds.job_of(sys.argv[1], 'lora'), data, Path(sys.argv[2]))"
    )
    place = tmp_path / "second"
    place.mkdir()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, folders["bert"], str(place)],
        check=True,
        capture_output=True,
    )
    assert {name: (place / name).read_bytes() for name in first} == first


def test_every_method_sees_the_same_rows(folders, data, tmp_path, monkeypatch):
    rows, seen, epoch = data("vit"), {}, TrainingBatches.epoch

    def noted(self, number, training):
        for cuts in epoch(self, number, training):
            pairs = [pair for part in cuts for pair in zip(*part, strict=True)]
            step = {int(row): bool(mirrored) for row, mirrored in pairs}
            seen.setdefault(arm, []).append(step)
            yield cuts

    monkeypatch.setattr(TrainingBatches, "epoch", noted)
    for arm in ("full", "head_only", "lora"):
        do(worlds.job_of(folders["vit"], arm), rows, tmp_path / arm)
    assert seen["full"] == seen["lora"] == seen["head_only"]
    assert {m for step in seen["full"] for m in step.values()} == {True, False}
    n = len(rows.parts.train)
    steps = seen["full"][: -(-n // 16)]
    assert sorted(r for step in steps for r in step) == sorted(rows.parts.train.tolist())
    assert steps != seen["full"][len(steps) :]


def test_stored_features_change_nothing(family, folders, data, tmp_path, monkeypatch):
    rows, job = data(family), worlds.job_of(folders[family], "head_only", epochs=3)
    do(job, rows, tmp_path / "stored")
    monkeypatch.setattr(features, "cacheable", lambda *_: False)
    do(job, rows, tmp_path / "whole")
    np.testing.assert_allclose(scores_of(tmp_path / "stored"), scores_of(tmp_path / "whole"), atol=1e-5)
    np.testing.assert_allclose(losses_of(tmp_path / "stored"), losses_of(tmp_path / "whole"), atol=1e-5)


def test_features_are_computed_once(folders, datasets, tmp_path, monkeypatch):
    rows = Data(datasets["text"].examples, datasets["text"].parts)
    calls, read = [], features._read
    monkeypatch.setattr(features, "_read", lambda *a: calls.append(1) or read(*a))
    for seed in range(5):
        do(worlds.job_of(folders["bert"], "head_only", seed=seed), rows, tmp_path / str(seed))
    assert len(calls) == 1


def test_micro_batches_sum_to_the_batch(folders, data):
    rows, found = data("llama"), {}
    accelerator = accelerator_of("float32")
    for size in (None, 3):
        job = worlds.job_of(folders["llama"], "full", micro_batch=size, batch_size=16)
        base = load_job_base(job, rows)
        batches = TrainingBatches(
            encode_rows(base, rows.examples, 256), ClassTargets(rows.examples.labels), rows.parts.train, 13
        )
        model = adapt.build_adapted_model(base, job)
        *_, last = batches.epoch(0, job.training)
        assert sum(len(r) for r, _ in last) == len(rows.parts.train) % 16 == 12  # a short batch
        loss = _accumulate_gradients(model, last, batches, accelerator)
        found[size] = loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]
    assert found[None][0] == pytest.approx(found[3][0], abs=1e-6)
    for whole, cut in zip(found[None][1], found[3][1], strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-6, rtol=1e-5)


def test_rate_that_explodes_fails_clearly(folders, data, tmp_path):
    job = worlds.job_of(folders["llama"], "full", learning_rate=1e38, epochs=4, warmup=0.0)
    with pytest.raises(FloatingPointError, match="learning rate"):
        do(job, data("llama"), tmp_path / "run")


def test_more_than_two_classes(folders, tmp_path):
    rows = worlds.data_of(worlds.texts(classes=4))
    _, facts = do(worlds.job_of(folders["bert"], "lora"), rows, tmp_path / "run")
    scores = scores_of(tmp_path / "run")
    assert scores.shape == (len(rows.parts.test), 4)
    np.testing.assert_allclose(scores.sum(1), 1)
    validation = scores_of(tmp_path / "run", "validation")
    right = np.mean(validation.argmax(1) == rows.examples.labels[rows.parts.validation])
    assert facts["validation"]["accuracy"] == right


def test_fast_linears_are_linear():
    torch.manual_seed(1)
    plain = torch.nn.Linear(160, 192)
    exact = torch.nn.Linear(160, 192).double()
    exact.load_state_dict({k: v.double() for k, v in plain.state_dict().items()})
    x = torch.randn(3, 5, 160)
    found, wanted = x.clone().requires_grad_(), x.double().requires_grad_()
    holder = torch.nn.Sequential(plain)
    with onednn_linears(holder, accelerator_of("float32")):
        assert "forward" in vars(plain)
        y = holder(found)
        y.square().sum().backward()
    assert "forward" not in vars(plain)
    z = exact(wanted)
    z.square().sum().backward()
    for one, other in ((y, z), (found.grad, wanted.grad), (plain.weight.grad, exact.weight.grad)):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(plain.bias.grad.double(), exact.bias.grad, rtol=1e-5, atol=1e-4)


def test_halved_gives_the_weights_back():
    torch.manual_seed(1)
    layer = torch.nn.Linear(8, 8)
    layer.requires_grad_(False)
    before, model = layer.weight.clone(), torch.nn.Sequential(layer)
    accelerator = accelerator_of("bfloat16")
    with frozen_weights_in_bf16(model, accelerator):
        assert layer.weight.dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
    assert torch.equal(layer.weight, before)
    with pytest.raises(RuntimeError, match="changed"), frozen_weights_in_bf16(model, accelerator):
        layer.weight.data[0, 0] += 1
    assert torch.equal(layer.weight, before)


def test_encoded_rows_are_cached(folders, datasets):
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    assert encode_rows(base, datasets["text"].examples, 256) is encode_rows(
        base, datasets["text"].examples, 256
    )
