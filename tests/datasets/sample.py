"""Small files of every kind that datasets read, made by the tests."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from evenhand.datasets import dlab_hate_speech

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def jpeg(number, kind="JPEG", size=16):
    """A picture that differs for every number."""
    points = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(points).save(out, kind)
    return out.getvalue()


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def posts(n=40, **columns):
    """Rows with a text, a label, a group, two flags; further columns are functions of the row's number."""
    return [
        {
            "name": f"r{i}",
            "text": f"Some words, number {i}.",
            "label": i % 2,
            "group": "ab"[i % 3 == 0],
            "target_x": int(i % 4 == 0),
            "target_y": int(i % 5 == 0),
            **{name: make(i) for name, make in columns.items()},
        }
        for i in range(n)
    ]


def faces(folder, n=12, age=lambda i: 20 + i):
    for i in range(n):
        name = f"{age(i)}_{i % 2}_{i % 5}_2017010{i:05d}.jpg.chip.jpg"
        (folder / name).write_bytes(jpeg(i))
    return str(folder)


def face_table(path, n=12, **columns):
    made = {
        "filename": [f"{20 + i}_{i % 2}_{i % 5}_{i}.jpg.chip.jpg" for i in range(n)],
        "age": [20 + i for i in range(n)],
        "gender": [i % 2 for i in range(n)],
        "race": [i % 5 for i in range(n)],
        "image": [jpeg(i) for i in range(n)],
        **columns,
    }
    pq.write_table(pa.table(made), path)
    return str(path)


def annotation(comment, annotator, score, text, *targets):
    """One row in the hub's format: a comment as one annotator saw it."""
    row = {"comment_id": comment, "annotator_id": annotator, "platform": 1}
    for attribute, groups in dlab_hate_speech.GROUPS.items():
        row |= {f"target_{attribute}_{group}": f"{attribute}_{group}" in targets for group in groups}
        row[f"target_{attribute}"] = any(t.startswith(f"{attribute}_") or t == attribute for t in targets)
    return {**row, "hate_speech_score": score, "text": text}
