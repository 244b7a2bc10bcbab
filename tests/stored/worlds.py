"""Small files of every kind, made up from fixed seeds."""

from __future__ import annotations

import csv
import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 120
RACES = ("black", "white", "other")
GENDERS = ("f", "m")


def predictions(arm, *, run=0, classes=("no", "yes"), rows=ROWS):
    """Columns of one run: labels and groups are shared, predictions and scores are the run's own."""
    shared, own = np.random.default_rng(1), np.random.default_rng((2, sum(arm.encode()), run))
    label = shared.integers(len(classes), size=rows)
    race, gender = shared.integers(3, size=rows), shared.integers(2, size=rows)
    logits = own.normal(size=(rows, len(classes))) + 1.6 * np.eye(len(classes))[label]
    logits[:, 0] += 0.8 * (race == 0) * (arm != "full")
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = {
        "example_id": [f"e{i:04d}" for i in range(rows)],
        "label": [classes[k] for k in label],
        "prediction": [classes[k] for k in scores.argmax(axis=1)],
        "race": [RACES[k] for k in race],
        "gender": [GENDERS[k] for k in gender],
        "is_tall": shared.integers(2, size=rows).tolist(),
        "is_old": shared.integers(2, size=rows).tolist(),
        "weight": (1 + shared.random(rows)).round(3).tolist(),
        "author": [f"a{k}" for k in shared.integers(30, size=rows)],
    }
    columns |= {f"score_{name}": scores[:, k].round(6).tolist() for k, name in enumerate(classes)}
    return columns


def arms(names=("full", "lora"), runs=(0,), **more):
    """One table of several arms and runs, with columns that name them."""
    tables = []
    for name in names:
        for run in runs:
            table = predictions(name, run=run, **more)
            n = len(table["example_id"])
            tables.append({**table, "arm": [name] * n, "run": [f"s{run}"] * n})
    return {key: [value for table in tables for value in table[key]] for key in tables[0]}


def completions(arm):
    """Translations of 60 sentences about three people; the gold gender is said by pronouns."""
    shared, own = np.random.default_rng(3), np.random.default_rng((4, sum(arm.encode())))
    rows = []
    for i in range(60):
        gold = ("he", "she", "they")[shared.integers(3)]
        other = "he" if gold != "he" else "she"
        word = gold if own.random() < 0.75 else other
        stereotype = ("pro", "anti")[shared.integers(2)]
        job = ("nurse", "doctor", "clerk", "guard")[shared.integers(4)]
        rows.append(
            (
                f"e{i:03d}",
                f"The {job} said that {word} was late.",
                [f"The {job} said that {gold} was late."],
                {"he": "male", "she": "female", "they": "neutral"}[gold],
                stereotype,
                f"t{i % 6}",
            )
        )
    names = ("example_id", "completion", "references", "gold_gender", "stereotype", "template")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def likelihoods(arm):
    """Log-probabilities of two options in two orders, for 40 questions."""
    shared, own = np.random.default_rng(5), np.random.default_rng((6, sum(arm.encode())))
    rows = []
    for i in range(40):
        belief = shared.normal()
        for variant, order in (("letters", ("yes", "no")), ("letters_inverted", ("no", "yes"))):
            sign = 1 if order[0] == "yes" else -1
            odds = 0.4 + sign * (belief + 0.3 * own.normal())
            first = 1 / (1 + np.exp(-odds))
            for token, meaning, p in (("A", order[0], first), ("B", order[1], 1 - first)):
                rows.append(
                    (f"q{i:03d}", "t", variant, token, meaning, round(float(np.log(p)), 6), 1, GENDERS[i % 2])
                )
    names = (
        "example_id", "template", "variant", "option_token", "option_meaning", "log_prob", "n_tokens",
        "gender",
    )  # fmt: skip
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def signals(arms=("full", "lora"), models=6, rows=80):
    """What six models of two arms say of rows of which each has learnt a half."""
    shared = np.random.default_rng(7)
    halves = [shared.permutation(rows) < rows // 2 for _ in range(models // 2)]
    halves = [half for one in halves for half in (one, ~one)]
    race = [RACES[k] for k in shared.integers(3, size=rows)]
    table = {name: [] for name in ("example_id", "arm", "run", "in_training", "loss", "margin", "race")}
    for arm in arms:
        own = np.random.default_rng((8, sum(arm.encode())))
        for run, half in enumerate(halves):
            margin = 1 + (1.2 if arm == "full" else 0.6) * half + own.normal(size=rows)
            table["example_id"] += [f"e{i:03d}" for i in range(rows)]
            table["arm"] += [arm] * rows
            table["run"] += [f"s{run}"] * rows
            table["in_training"] += [bool(x) for x in half]
            table["loss"] += np.logaddexp(0, -margin).round(6).tolist()
            table["margin"] += margin.round(6).tolist()
            table["race"] += race
    return table


def write(path, columns):
    """A file of the kind that its name says."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table(columns), path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".db":
            with sqlite3.connect(path) as file:
                file.execute(f"create table rows ({', '.join(columns)})")
                file.executemany(
                    f"insert into rows values ({', '.join('?' * len(columns))})",
                    zip(*columns.values(), strict=True),
                )
        case _:
            delimiter = {".tsv": "\t", ".csv": ","}[path.suffix]
            with path.open("w", newline="") as handle:
                writer = csv.writer(handle, delimiter=delimiter)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))
    return str(path)
