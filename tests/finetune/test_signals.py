"""What a run says of rows that are attacked: against torch's losses, before and after training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from evenhand.finetune import Data, Membership, run
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.outputs import signals
from evenhand.finetune.outputs.predict import probabilities
from evenhand.study.membership import rows_for_run
from tests.finetune.worlds import job_of

HALF = Membership("shared", 13, 1)


def done(job, data, folder):
    """A run on what its membership asks for, and the table that it wrote."""
    folder.mkdir()
    facts = run.train(job, rows_for_run(data, job.membership) if job.membership else data, folder)
    file = folder / "signals.parquet"
    return facts, pq.ParquetFile(file).read().to_pydict() if file.exists() else None


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_margins_and_losses_are_torch_s(classes):
    rng = np.random.default_rng(classes)
    values, labels = rng.normal(size=(50, classes)) * 8, rng.integers(0, classes, 50)
    margin = signals.margins(values, labels)
    logits = torch.from_numpy(values)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(signals.losses(margin), loss.numpy(), rtol=1e-9, atol=1e-12)
    p = torch.softmax(logits, 1).numpy()[np.arange(50), labels]
    np.testing.assert_allclose(margin, np.log(p / (1 - p)), rtol=1e-6)


def test_margins_by_hand():
    values = np.array([[1.0, 3.0], [0.0, 800.0], [800.0, 0.0]])
    margin = signals.margins(values, np.array([1, 1, 1]))
    assert margin.tolist() == [2.0, 800.0, -800.0]
    loss = signals.losses(np.array([2.0, 40.0, -800.0]))
    assert loss == pytest.approx([0.1269280110429725, 4.248354255291589e-18, 800.0], rel=1e-12)


@pytest.mark.parametrize("way", ["lora", "head_only", "none"])
@pytest.mark.parametrize("reader", ["distilbert", "vit"])
def test_a_run_on_a_half(way, reader, folders, data, tmp_path):
    rows = data(reader)
    job = replace(job_of(folders[reader], way), membership=HALF)
    facts, table = done(job, rows, tmp_path / "run")
    kept = {p.name for p in (tmp_path / "run").iterdir()}
    assert kept == {"train.jsonl", "signals.parquet", "train_ids.json"}
    assert facts["validation"] is None
    ids = json.loads((tmp_path / "run" / "train_ids.json").read_text())
    assert len(ids) == len(rows.parts.train) // 2
    assert [i for i, inside in zip(table["example_id"], table["in_training"], strict=True) if inside] == [
        i for i in table["example_id"] if i in set(ids)
    ]
    assert sum(table["in_training"]) == len(ids)
    assert table["example_id"] == [rows.examples.ids[row] for row in rows.parts.train]
    assert set(table["model_role"]) == {"target"}
    assert {(a, r, m) for a, r, m in zip(table["arm"], table["run"], table["model"], strict=True)} == {
        (way, "half 1", "tiny")
    }
    assert {"group", "target_x", "target_y"} <= set(table)
    loss, before = np.array(table["loss"]), np.array(table["base_loss"])
    assert loss.shape == before.shape == (len(rows.parts.train), 2 if reader == "vit" else 1)
    np.testing.assert_allclose(np.logaddexp(0, -np.array(table["margin"])), loss)
    np.testing.assert_allclose(before, untrained(job, rows), rtol=1e-5)
    assert (loss == before).all() == (way == "none")


def untrained(job, rows):
    """Losses of the training rows under the model before training, by another way."""
    accelerator = accelerator_of("float32")
    base = load_base(job.model, rows.examples.task, rows.examples.classes, "float32")
    model, views = adapt.build_adapted_model(base, job), [rows.examples]
    if rows.examples.task == "image":
        turned = [np.ascontiguousarray(picture[:, ::-1]) for picture in rows.examples.inputs]
        views.append(replace(rows.examples, inputs=turned))
    found = []
    for examples in views:
        encoded = encode_rows(base, examples, job.training.max_length)
        scores = probabilities(model, encoded, rows.parts.train, accelerator)
        found.append(-np.log(scores[np.arange(len(scores)), examples.labels[rows.parts.train]]))
    return np.stack(found, axis=1)


def test_pictures_that_are_not_mirrored_have_one_view(folders, data, tmp_path):
    job = replace(job_of(folders["vit"], "full", flip=False, epochs=1), membership=HALF)
    _, table = done(job, data("vit"), tmp_path / "run")
    assert np.array(table["loss"]).shape[1] == 1


@pytest.mark.parametrize("way", ["full", "lora", "head_only"])
def test_being_asked_changes_nothing_else(way, folders, data, tmp_path):
    plain = job_of(folders["vit"], way)
    _, nothing = done(plain, data("vit"), tmp_path / "plain")
    _, table = done(replace(plain, membership=Membership("offline", 13)), data("vit"), tmp_path / "asked")
    assert nothing is None
    assert sum(table["in_training"]) == len(table["example_id"]) // 2 == len(data("vit").parts.test) // 2
    assert set(table["run"]) == {"13"}
    own = {"signals.parquet", "train_ids.json"}
    files = [p.relative_to(tmp_path / "plain") for p in (tmp_path / "plain").rglob("*") if p.is_file()]
    assert {p.name for p in (tmp_path / "asked").iterdir()} == {p.parts[0] for p in files} | own
    for path in files:
        if path.name != "train.jsonl":
            assert (tmp_path / "asked" / path).read_bytes() == (tmp_path / "plain" / path).read_bytes()


def test_references_were_not_trained_on_the_attacked_rows(folders, data, tmp_path):
    job = replace(job_of(folders["distilbert"], "full"), membership=Membership("offline", 13, 2))
    _, table = done(job, data("distilbert"), tmp_path / "run")
    assert set(table["model_role"]) == {"reference 2"}
    assert not any(table["in_training"])


def test_what_was_trained_on_is_what_is_told(folders, data, tmp_path):
    """Membership comes from the rows that the loop got, whatever was planned."""
    other = Data(data("distilbert").examples, data("distilbert").parts, data("distilbert").parts.train)
    job = replace(job_of(folders["distilbert"], "full"), membership=HALF)
    (tmp_path / "run").mkdir()
    run.train(job, other, tmp_path / "run")
    table = pq.ParquetFile(tmp_path / "run" / "signals.parquet").read().to_pydict()
    assert all(table["in_training"])
