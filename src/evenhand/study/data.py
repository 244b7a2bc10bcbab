"""The rows of a study: load, split and check them, and record them so that every run can verify its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np

from evenhand import datasets, registry
from evenhand.datasets import Examples, Parts, Picture
from evenhand.errors import Complaint, InputError, NotHereError
from evenhand.finetune import Data, Job, Membership
from evenhand.spec.study import Dataset, Privacy
from evenhand.study.membership import complaints, rows_for_run, train_ids
from evenhand.tables.schema import Attribute

SCHEMA = "evenhand.data/1"
DATASETS = "evenhand.datasets"


@dataclass(frozen=True)
class Loaded:
    """Loaded rows, with their splits.

    Attributes:
        examples: the rows.
        splits: the rows with their parts, by seed; the key None holds the split shared by all seeds.
        facts: the record of the rows: digests, ids by part, classes, attributes, remarks.
    """

    examples: Examples
    splits: Mapping[int | None, Data]
    facts: dict[str, Any]

    def of(self, seed: int, membership: Membership | None = None) -> Data:
        """Return the rows for a run with this seed and, for membership inference, this membership."""
        data = self.splits[seed if seed in self.splits else None]
        return data if membership is None else rows_for_run(data, membership)


def load(dataset: Dataset, seeds: Sequence[int] = ()) -> Loaded:
    """Load the rows, split them and record them.

    Args:
        dataset: the dataset and its options.
        seeds: the seeds that draw their own split; empty if all seeds share one.

    Raises:
        InputError: the rows cannot be loaded or split.
    """
    module = registry.load(DATASETS, dataset.name)
    if dataset.smoke and not hasattr(module, "smoke"):
        raise InputError(f"dataset {dataset.name}: it has no made-up rows, which --smoke needs.")
    examples = _examples(module, dataset)
    shares = dataset.split.model_dump()
    splits: dict[int | None, Data] = {}
    if not seeds:
        parts = examples.parts or datasets.split(examples.ids, **shares, units=examples.units)
        splits[None] = Data(examples, parts)
    elif examples.parts is not None:
        brings = f"dataset {dataset.name}: it has fixed parts, so 'resplit' cannot draw others."
        raise InputError([Complaint(brings, "resplit")])
    for seed in seeds:
        seeded = {**shares, "seed": seed}
        splits[seed] = Data(examples, datasets.split(examples.ids, **seeded, units=examples.units))
    return Loaded(examples, splits, _facts(dataset.name, module.INFO.title, examples, splits))


def _examples(module: ModuleType, dataset: Dataset) -> Examples:
    """Load the rows of a dataset; complaints carry the option of the study that they concern."""
    read = module.smoke if dataset.smoke else module.load
    try:
        rows: Examples = read(dataset.config)
    except NotHereError:
        raise
    except InputError as error:
        options = type(dataset.config).model_fields
        complaints = [
            what if isinstance(what, Complaint) and what.option[1] in options else Complaint(what, "dataset")
            for what in error.complaints
        ]
        raise type(error)(complaints) from None
    return rows


def split_of_seed(facts: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Return the recorded split of a seed: `train_ids_sha256`, and `parts` with their ids."""
    split: Mapping[str, Any] = facts["splits"][str(seed)] if "splits" in facts else facts
    return split


def train_digest(facts: Mapping[str, Any], job: Job) -> str:
    """Compute the digest of the ids that a run is trained on, from the record of the rows."""
    split = split_of_seed(facts, job.seed)
    if job.membership is None:
        return str(split["train_ids_sha256"])
    return ids_digest(train_ids(split["parts"], job.membership))


def ids_digest(ids: Iterable[str]) -> str:
    """Compute the SHA-256 of ids, in their order."""
    return _digest(id_.encode() for id_ in ids)


def sizes(facts: Mapping[str, Any]) -> dict[str, int]:
    """Count the rows of each part; if every seed draws its own split, all splits have the same sizes."""
    split = next(iter(facts["splits"].values())) if "splits" in facts else facts
    return {part: len(ids) for part, ids in split["parts"].items()}


def load_checked(dataset: Dataset, seeds: Sequence[int] = (), *, privacy: Privacy | None = None) -> Loaded:
    """Load the rows, and refuse rows that cannot be used for training or judging.

    Args:
        dataset: the dataset and its options.
        seeds: the seeds that draw their own split.
        privacy: the attacks of the study, which need rows too.

    Raises:
        InputError: the rows cannot be loaded, or their parts cannot be used; all complaints together.
    """
    loaded = load(dataset, seeds)
    refused: list[str] = []
    remarks: list[str] = []
    for seed, data in loaded.splits.items():
        wrong, odd = _look(data, tell_leaks=dataset.leaks == "tell")
        wrong += complaints(privacy, data)
        refused += wrong if seed is None else [f"split of seed {seed}: {what}" for what in wrong]
        remarks += odd if seed is None else [f"Split of seed {seed}: {what}" for what in odd]
    if refused:
        raise InputError(Complaint(f"dataset {dataset.name}: {what}", "dataset") for what in refused)
    remarks = [*loaded.examples.problems, *remarks]
    return Loaded(loaded.examples, loaded.splits, {**loaded.facts, "problems": remarks})


def _look(data: Data, *, tell_leaks: bool) -> tuple[list[str], list[str]]:
    """Return the complaints and the remarks about a split."""
    checked = datasets.check_split(data.examples, data.parts)
    wrong, remarks = list(checked.complaints), list(checked.remarks)
    leaks = datasets.find_leaks(data.examples, data.parts)
    if leaks and tell_leaks:
        remarks.append(leaks.sentence())
    elif leaks:
        wrong.append(
            f"{leaks.sentence()} A model would be tested on its training rows: remove the duplicates, or set "
            "leaks: tell in the study's dataset to continue and report the leaks."
        )
    return wrong, remarks


def _facts(name: str, title: str, examples: Examples, splits: Mapping[int | None, Data]) -> dict[str, Any]:
    """Build the record of the rows, with their single split or the split of every seed."""
    if None in splits:
        parts = splits[None].parts
        split_facts = _split_facts(examples, parts)
    else:
        # The digest of a run's rows then follows from that of all rows and the seed in its identity.
        parts = Parts(np.arange(len(examples.ids)), np.array([], np.int64), np.array([], np.int64))
        split_facts = {
            "splits": {str(seed): _split_facts(examples, data.parts) for seed, data in splits.items()}
        }
    return {
        "schema": SCHEMA,
        "name": name,
        "title": title,
        "rows": len(examples.ids),
        "sha256": _digest(_rows(examples, parts)),
        "task": examples.task,
        "mean_characters": _mean_characters(examples),
        "classes": list(examples.classes),
        "attributes": [{"name": a.name, "kind": a.kind, "groups": list(a.groups)} for a in _judged(examples)],
        "problems": [],
        **split_facts,
    }


def _judged(examples: Examples) -> Sequence[Attribute]:
    """Return the attributes to judge: those of the prompts, if any, otherwise those of the rows."""
    prompts = examples.prompts
    return prompts.attributes if prompts is not None and prompts.questions else examples.attributes


def _mean_characters(examples: Examples) -> float | None:
    """Compute the mean number of characters per text; None without texts."""
    lengths = [len(value) for value in examples.inputs if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else None


def _split_facts(examples: Examples, parts: Parts) -> dict[str, Any]:
    """Record the ids of every part."""
    ids = {part: [examples.ids[row] for row in rows.tolist()] for part, rows in parts.named()}
    return {"train_ids_sha256": ids_digest(ids["train"]), "parts": ids}


def _rows(examples: Examples, parts: Parts) -> Iterable[bytes]:
    """Yield everything that training or judging reads of every row, part by part, for the digest."""
    yield json.dumps([examples.classes, [(a.name, a.kind, a.groups) for a in examples.attributes]]).encode()
    columns = [column for a in examples.attributes for column in a.columns()]
    codes = np.stack([examples.labels, *columns], axis=1)
    for part, rows in parts.named():
        for row in rows.tolist():
            yield json.dumps([part, examples.ids[row]]).encode()
            yield codes[row].tobytes()
            yield _content(examples.inputs[row])
            if examples.translations is not None:
                yield json.dumps(list(examples.translations.references[row])).encode()
    if (prompts := examples.prompts) is not None:
        records = [asdict(form) for form in prompts.forms] + [asdict(prompt) for prompt in prompts.questions]
        yield json.dumps([prompts.snippets, *records]).encode()
        groups = [[a.name, a.groups, [c.tolist() for c in a.columns()]] for a in prompts.attributes]
        yield json.dumps(groups).encode()


def _content(value: str | Picture) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else f"{value.shape}".encode() + value.tobytes()


def _digest(pieces: Iterable[bytes]) -> str:
    """Compute one SHA-256 of a series of pieces; lengths are hashed too, so boundaries matter."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()
