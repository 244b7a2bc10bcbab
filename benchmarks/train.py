"""`python -m benchmarks.train`: a whole study beside a sequential transformers `Trainer` + PEFT script.

Five ranks and full fine-tuning by five seeds on models of the shape of a small ViT and of MiniLM, and
the head alone by 25 seeds on the ViT. Both are whole processes, start, loading and saving included; both
begin from the same weights and take the same rows in the same order, so that predictions can be compared
one by one. The script gets its pixels and tokens ready in memory, which is kind to it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "train.json"
RANKS, SEEDS = (1, 4, 8, 16, 64), (13, 1337, 42, 666, 888)
ROWS, EPOCHS = {"vit": 300, "minilm": 300}, {"vit": 2, "minilm": 1}
# Of heads alone: the size and the epochs of the study of real faces; the script does some of the seeds.
HEAD_ROWS, HEAD_EPOCHS, HEAD_SEEDS, HEAD_SEEDS_OF_PEER = 2500, 6, 25, 3
TRAIN = 0.64  # of the rows: whole batches of 32


def make_vit(folder: Path) -> None:
    """A ViT of 6 layers, 192 wide, for 32 x 32 pixels."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=32,
        patch_size=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def make_minilm(folder: Path) -> None:
    """A BERT of 6 layers, 384 wide, whose words are those of the procedural posts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from evenhand.datasets.synthetic_posts import vocabulary

    words = {w: i for i, w in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *vocabulary()))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)


def write_posts(path: Path, rows: int) -> None:
    """Posts of 8 to 64 tokens, 26 on average."""
    from evenhand.datasets.synthetic_posts import Config, load

    posts = load(Config(rows=rows * 4))
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(4, 6, rows), 6, 62).astype(int)
    lines = []
    for i in range(rows):
        words = " ".join(posts.inputs[4 * i : 4 * i + 4]).split()[: lengths[i]]
        group = ("a", "b")[i % 2]
        row = {"id": f"r{i}", "text": " ".join(words), "label": int(posts.labels[4 * i]), "group": group}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n")


def spec(shape: str, folder: Path, precision: str, *, heads: bool = False) -> dict[str, Any]:
    """The study, as a file says it."""
    data: dict[str, Any] = (
        {"name": "synthetic_portraits", "rows": HEAD_ROWS if heads else ROWS[shape]}
        if shape == "vit"
        else {
            "name": "table",
            "path": str(folder / "posts.jsonl"),
            "text": "text",
            "id": "id",
            "by": ["group"],
        }
    )
    rest = round(1 - TRAIN, 2)
    epochs = EPOCHS[shape]
    methods: dict[str, Any] = {
        "full": {"learning_rate": 1.0e-4, "epochs": epochs},
        "lora": {"rank": list(RANKS), "learning_rate": 1.0e-3, "epochs": epochs},
    }
    if heads:
        methods = {"head_only": {"learning_rate": 1.0e-2, "epochs": HEAD_EPOCHS}}
    return {
        "name": f"{shape}-{precision}{'-heads' if heads else ''}",
        "dataset": data | {"split": {"train": TRAIN, "validation": 0.0, "test": rest}},
        "model": str(folder / shape),
        "methods": methods,
        "training": {"precision": precision, "max_length": 64, "flip": False},
        "seeds": list(range(HEAD_SEEDS)) if heads else list(SEEDS),
    }


def peer(path: Path, out: Path) -> None:
    """The sequential script: every run of a study in turn, predictions of the test rows to a file."""
    import torch

    from benchmarks.reference import plain
    from evenhand.datasets import split
    from evenhand.finetune import Data
    from evenhand.finetune.inputs.encoded_rows import encode_rows
    from evenhand.finetune.inputs.targets import ClassTargets
    from evenhand.finetune.loop import TrainingBatches
    from evenhand.finetune.modeling import adapt
    from evenhand.finetune.modeling.pretrained import load_base
    from evenhand.spec.read import read_studies
    from evenhand.study.plan import plan

    (study,) = read_studies(path)
    from evenhand import registry

    examples = registry.load("evenhand.datasets", study.dataset.name).load(study.dataset.config)
    shares = study.dataset.split
    parts = split(
        examples.ids, train=shares.train, validation=shares.validation, test=shares.test, seed=shares.seed
    )
    data = Data(examples, parts)
    jobs = [planned.job for planned in plan(study)]
    if jobs[0].method == "head_only":
        jobs = jobs[:HEAD_SEEDS_OF_PEER]
    rows, collate = plain.encode(jobs[0], data)
    found = {}
    for job in jobs:
        base = load_base(job.model, examples.task, examples.classes, job.training.precision)
        feed = encode_rows(base, examples, job.training.max_length)
        model = adapt.build_adapted_model(base, job)
        if job.training.precision == "bfloat16":
            model.set_attn_implementation("sdpa")  # what a script gets that does not know better
        lesson = TrainingBatches(feed, ClassTargets(examples.labels), parts.train, job.seed)
        order = np.concatenate(
            [
                rows
                for e in range(job.training.epochs)
                for cuts in lesson.epoch(e, job.training)
                for rows, _ in cuts
            ]
        )
        torch.manual_seed(job.seed)
        predicted = plain.run(job, data, rows, collate, model=model, order=order)
        found[f"{job.arm}/{job.seed}"] = predicted.tolist()
    out.write_text(json.dumps(found))


def timed(command: list[str], **environment: str) -> dict[str, float]:
    """Wall seconds, CPU seconds and peak memory of the largest process of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}


def predictions(folder: Path) -> tuple[dict[str, list[int]], np.ndarray]:
    """Predicted classes of the test rows of every run of a study, and the true ones."""
    import pyarrow.parquet as pq

    found, truth = {}, None
    for file in sorted(folder.glob("runs/*/predictions.parquet")):
        test = [r for r in pq.read_table(file).to_pylist() if r["split"] == "test"]
        found[f"{test[0]['arm']}/{test[0]['run']}"] = [r["prediction"] for r in test]
        truth = np.array([r["label"] for r in test])
    assert truth is not None
    return found, truth


def accuracies(answers: dict[str, list[int]], truth: np.ndarray) -> dict[str, float]:
    """Mean test accuracy over seeds, by arm."""
    arms: dict[str, list[float]] = {}
    for key, answer in answers.items():
        arms.setdefault(key.rpartition("/")[0], []).append(float(np.mean(np.array(answer) == truth)))
    return {arm: round(float(np.mean(values)), 4) for arm, values in sorted(arms.items())}


def furthest(one: dict[str, float], other: dict[str, float]) -> float:
    """Largest difference of mean accuracies of an arm."""
    return round(max(abs(one[arm] - other[arm]) for arm in one), 4)


def both(shape: str, folder: Path, precision: str, *, heads: bool = False) -> dict[str, Any]:
    """The study by evenhand and by the script, and how they compare."""
    told = spec(shape, folder, precision, heads=heads)
    path = folder / f"{told['name']}.yaml"
    path.write_text(json.dumps(told))  # JSON is YAML
    output = folder / "runs"
    ours = timed([sys.executable, "-m", "evenhand", "run", str(path), "--output", str(output)])
    answers, truth = predictions(output / told["name"])
    theirs = timed(
        [sys.executable, "-m", "benchmarks.train", "--peer", str(path), "--out", str(folder / "peer.json")]
    )
    expected = json.loads((folder / "peer.json").read_text())
    done = len(expected) / len(answers)
    assert answers.keys() >= expected.keys()
    assert heads or done == 1
    answers = {k: answers[k] for k in expected}
    flips = sum(int(np.sum(np.array(answers[k]) != np.array(expected[k]))) for k in answers)
    every = sum(len(v) for v in answers.values())
    shutil.rmtree(output)
    row = {
        "shape": shape,
        "precision": precision,
        "what": f"head only, {HEAD_EPOCHS} epochs, {HEAD_SEEDS} seeds; the script's time is scaled"
        if heads
        else "5 ranks and full, 5 seeds",
        "evenhand": ours,
        "trainer": theirs,
        "runs of the script": len(expected),
        "ratio": round(theirs["seconds"] / done / ours["seconds"], 2),
        "predictions": every,
        "predictions that differ": flips,
        "accuracies differ by": furthest(accuracies(answers, truth), accuracies(expected, truth)),
    }
    print(json.dumps(row), flush=True)
    return row | {"answers": answers, "truth": truth}


def add(rows: dict[str, Any]) -> None:
    """Put rows into the results, beside those of other calls."""
    told = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    told["machine"] = describe("evenhand", "torch", "transformers", "peft", "accelerate")
    told["rows"] |= rows
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


def main() -> None:
    """Run what was asked for and add it to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=("vit", "minilm"), action="append")
    parser.add_argument("--part", choices=("float32", "bfloat16", "heads"), action="append")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        peer(given.peer, given.out)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_vit(folder / "vit")
        make_minilm(folder / "minilm")
        write_posts(folder / "posts.jsonl", ROWS["minilm"])
        for shape in given.shape or ("vit", "minilm"):
            done: dict[str, dict[str, Any]] = {}
            parts = given.part or ("float32", "bfloat16", "heads")
            for part in [p for p in parts if shape == "vit" or p != "heads"]:
                precision = "bfloat16" if part == "bfloat16" else "float32"
                done[part] = both(shape, folder, precision, heads=part == "heads")
                kept = {k: v for k, v in done[part].items() if k not in ("answers", "truth")}
                add({f"{shape}, {part}": kept})
            if {"float32", "bfloat16"} <= done.keys():
                plain, half = done["float32"], done["bfloat16"]
                across = {
                    "ratio": round(plain["trainer"]["seconds"] / half["evenhand"]["seconds"], 2),
                    "accuracies differ by": furthest(
                        accuracies(plain["answers"], plain["truth"]),
                        accuracies(half["answers"], half["truth"]),
                    ),
                }
                print(json.dumps(across), flush=True)
                add({f"{shape}, bfloat16 study beside the script in float32": across})
    print(f"results: {RESULTS.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
