"""A trainer that is quick and real: logistic regression on counted words, by numpy.

It keeps the contract of `evenhand.finetune.run`: in a group the first process writes, and goes on when the
others have come. What a test wants of it stands in the folder that the
variable STAND_IN names: `slow` (seconds per step), `fail`, `die`, `leave` and `silent` (lines `arm seed`, or
`*`), `full` (the same: no room for the record), `lost` (the same: one training id is not recorded), `refuse`
(complaints of `prepare`). `log` gets a line when training begins and when it has ended.
"""

import json
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np

from evenhand.finetune import Prepared
from evenhand.tables.predictions.write import write_predictions
from evenhand.tables.signals.schema import write_signals

WORDS = 97


def said(name, default=""):
    folder = os.environ.get("STAND_IN")
    path = Path(folder, name) if folder else None
    return path.read_text() if path and path.exists() else default


def wants(name, job):
    return any(line in (f"{job.arm} {job.seed}", "*") for line in said(name).splitlines())


def log(line):
    if folder := os.environ.get("STAND_IN"):
        handle = os.open(Path(folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode() + b"\n")
        os.close(handle)


def prepare(jobs, data):
    log(f"prepare {len(jobs)}")
    if said("die_preparing"):
        os.kill(os.getpid(), getattr(signal, said("die_preparing")))
    if said("no_memory"):
        raise MemoryError
    # As on the hub: a branch is at some commit, and a commit is itself.
    commits = {job.model.key: job.model.options.get("revision", said("commit")) for job in jobs}
    commits = commits if said("commit") else {}
    return Prepared(tuple(said("refuse").splitlines()), ("The stand-in knows words only.",), commits)


def stored(jobs, data):
    return [int(said("stored", "0"))] * len(jobs)


def features(texts):
    counts = np.zeros((len(texts), WORDS))
    for i, text in enumerate(texts):
        for word in text.split():
            counts[i, sum(word.encode()) % WORDS] += 1
    return counts


def meet(job, folder, processes):
    """Wait until all processes of the group are there, as those do that train together."""
    if os.environ["RANK"] != "0" and wants("fail_other", job):
        raise FloatingPointError("the other one cannot go on")
    if os.environ["RANK"] != "0" and wants("die_other", job):
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"here-{os.environ['RANK']}").touch()
    while len(list(folder.glob("here-*"))) < processes and not (folder / "train.jsonl").exists():
        time.sleep(0.01)
    log(f"here {os.environ['RANK']} of {os.environ['WORLD_SIZE']}: {job.arm} {job.seed}")
    if os.environ["RANK"] == "0":
        (folder / "train.jsonl").touch()
        for path in folder.glob("here-*"):
            path.unlink()


def train(job, data, folder, *, processes=1, progress=None):
    began = time.perf_counter()
    if processes > 1:
        meet(job, folder, processes)
        if os.environ["RANK"] != "0":
            return {}
    log(f"begin {job.arm} {job.seed}")
    print("noise on standard output", flush=True)
    rng = np.random.default_rng(job.seed)
    x, y = features(data.examples.inputs), data.examples.labels
    rank = job.options.get("rank", WORDS)
    x = x @ rng.normal(size=(WORDS, rank)) / np.sqrt(rank) if rank < WORDS else x
    w = rng.normal(size=x.shape[1]) * 0.01
    steps = 4 * job.training.epochs
    pause = float(said("slow", "0.002"))
    with (folder / "train.jsonl").open("w") as lines:
        for step in range(1, steps + 1):
            time.sleep(pause)
            batch = rng.choice(data.parts.train, size=64)
            p = 1 / (1 + np.exp(-(x[batch] @ w)))
            w -= job.training.learning_rate * x[batch].T @ (p - y[batch]) / len(batch)
            loss = float(-np.mean(np.log(np.where(y[batch] == 1, p, 1 - p))))
            told = {"step": step, "epoch": step / 4, "loss": loss, "learning_rate": 0.1, "seconds": 0.1}
            lines.write(json.dumps(told) + "\n")
            if step % 4 == 0:
                found = {"loss": loss, "accuracy": 0.5}
                lines.write(json.dumps({"step": step, "epoch": step / 4, "validation": found}) + "\n")
            lines.flush()
            if step == 2 and wants("fail", job):
                raise FloatingPointError(f"the loss of {job.arm} is no number any more")
            if step == 2 and wants("die", job):
                os.kill(os.getpid(), signal.SIGKILL)
            if step == 2 and wants("leave", job):
                print("these were my last words", flush=True)
                raise SystemExit(3)
            if progress:
                progress(step, steps)
    rows = np.concatenate([data.parts.validation, data.parts.test])
    positive = 1 / (1 + np.exp(-(x[rows] @ w)))
    if data.attacked is not None:
        tell(folder, job, data, np.where(y[data.attacked] == 1, 1, -1) * (x[data.attacked] @ w))
    if not wants("silent", job) and not job.for_signals:
        scores = np.stack([1 - positive, positive], axis=1)
        if len(data.examples.classes) > 2:  # drawn, and right more often than not
            scores = np.eye(len(data.examples.classes))[y[rows]] + rng.random(
                (len(rows), scores.shape[1] + 1)
            )
            scores /= scores.sum(axis=1, keepdims=True)
        write(folder / "predictions.parquet", job, data, rows, scores)
    if wants("no_room", job):
        raise ArithmeticError("Error while serializing: I/O error: No space left on device (os error 28)")
    (folder / "adapter").mkdir()
    np.save(folder / "adapter" / "weights.npy", w)
    # As adapters do, in whose configuration a set of names is stored.
    (folder / "adapter" / "names.json").write_text(json.dumps(list({"query", "key", "value", "output"})))
    if wants("full", job):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    seconds = time.perf_counter() - began
    log(f"end {job.arm} {job.seed}")
    return {
        "parameters": WORDS,
        "trainable_parameters": len(w),
        "seconds": {"load": 0.0, "train": seconds, "predict": 0.0, "save": 0.0, "total": seconds},
        "peak_memory_bytes": 1,
        "steps": steps,
        "checks": {"base_frozen": np.bool_(True), "merged": np.float64("nan")},
        "remarks": ["Words are counted by their letters."],
        "validation": measured(positive[: len(data.parts.validation)], y[data.parts.validation]),
        "versions": {"numpy": np.__version__},
    } | ({"revision": job.model.options["revision"]} if "revision" in job.model.options else {})


def tell(folder, job, data, margin):
    """Signals, and the ids that were trained on; `lost` leaves the ids out of the record."""
    trained, rows = data.parts.train, data.attacked
    ids = [data.examples.ids[row] for row in trained]
    if wants("lost", job):
        ids = ids[:-1]
    (folder / "train_ids.json").write_text(json.dumps(ids))
    write_signals(
        folder / "signals.parquet",
        [data.examples.ids[row] for row in rows],
        np.isin(rows, trained),
        np.logaddexp(0, -margin)[:, None],
        margin[:, None],
        [attribute.at(rows) for attribute in data.examples.attributes],
        role=job.membership.role,
        base_loss=np.full((len(rows), 1), np.log(2)),
        names={"arm": job.arm, "run": job.run, "model": job.model.label},
    )


def measured(positive, labels):
    if not len(labels):
        return None
    right = np.where(labels == 1, positive, 1 - positive)
    return {"accuracy": np.mean((positive > 0.5) == labels), "loss": -np.mean(np.log(right))}


def write(path, job, data, rows, scores):
    examples, parts = data.examples, data.parts
    splits = ["validation"] * len(parts.validation) + ["test"] * len(parts.test)
    write_predictions(
        path,
        [examples.ids[row] for row in rows],
        splits,
        examples.labels[rows],
        scores,
        examples.classes,
        [type(a)(a.name, a.kind, a.groups, codes=a.codes[rows]) for a in examples.attributes],
        names={"arm": job.arm, "run": str(job.seed), "model": job.model.label},
    )
