from __future__ import annotations

import csv
import random

import pytest


def write(path, accuracy, harmed=None):
    """A file of predictions with two races, the same rows in every file."""
    draw = random.Random(5)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["example_id", "label", "prediction", "race", "sex", "lang"])
        for i in range(600):
            label, race, sex = int(draw.random() < 0.5), draw.choice(["Black", "White"]), draw.choice("FM")
            right = draw.random() < (harmed if harmed is not None and race == "Black" else accuracy)
            rows.writerow([i, label, label if right else 1 - label, race, sex, "en" if i % 3 else "de"])
    return str(path)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """full, lora (harms Black), and same (answers as full does)."""
    folder = tmp_path_factory.mktemp("predictions")
    return {
        "full": write(folder / "full.csv", 0.9),
        "lora": write(folder / "lora.csv", 0.9, harmed=0.6),
        "same": write(folder / "same.csv", 0.9),
    }
