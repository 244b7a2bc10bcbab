"""The rows of a study: loaded, split, checked, and written down so that every run can be held to them."""

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
from evenhand.study.membership import asked, complaints, train_ids
from evenhand.tables.schema import Attribute

SCHEMA = "evenhand.data/1"
DATASETS = "evenhand.datasets"


@dataclass(frozen=True)
class Loaded:
    """Rows that can be trained on.

    Attributes:
        examples: the rows.
        splits: the rows with their parts, by seed; under None those of every seed that has none of its own.
        facts: what is written down of them: digests, ids by part, classes, attributes, remarks.
    """

    examples: Examples
    splits: Mapping[int | None, Data]
    facts: dict[str, Any]

    def of(self, seed: int, membership: Membership | None = None) -> Data:
        """The rows as a run of this seed has them, or one that is attacked or that an attack learns from."""
        data = self.splits[seed if seed in self.splits else None]
        return data if membership is None else asked(data, membership)


def load(dataset: Dataset, seeds: Sequence[int] = ()) -> Loaded:
    """Load the rows, split them and write down which they are.

    Args:
        dataset: which rows.
        seeds: those that draw a split of their own; none where all have the same.

    Raises:
        InputError: they cannot be loaded or split.
    """
    module = registry.load(DATASETS, dataset.name)
    if dataset.smoke and not hasattr(module, "smoke"):
        raise InputError(f"dataset {dataset.name}: it has no made-up rows of its form, which --smoke needs.")
    examples = _examples(module, dataset)
    shares = dataset.split.model_dump()
    splits: dict[int | None, Data] = {}
    if not seeds:
        parts = examples.parts or datasets.split(examples.ids, **shares, units=examples.units)
        splits[None] = Data(examples, parts)
    elif examples.parts is not None:
        brings = f"dataset {dataset.name}: it brings its own parts, so 'resplit' can draw no others."
        raise InputError([Complaint(brings, "resplit")])
    for seed in seeds:
        own = {**shares, "seed": seed}
        splits[seed] = Data(examples, datasets.split(examples.ids, **own, units=examples.units))
    return Loaded(examples, splits, _facts(dataset.name, module.INFO.title, examples, splits))


def _examples(module: ModuleType, dataset: Dataset) -> Examples:
    """The rows of a dataset; every complaint about them knows its place in the study."""
    read = module.smoke if dataset.smoke else module.load
    try:
        rows: Examples = read(dataset.config)
    except NotHereError:
        raise
    except InputError as error:
        options = type(dataset.config).model_fields
        told = [
            what if isinstance(what, Complaint) and what.option[1] in options else Complaint(what, "dataset")
            for what in error.complaints
        ]
        raise type(error)(told) from None
    return rows


def drawn(facts: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """What is written down of a seed's split: `train_ids_sha256`, and `parts` with their ids."""
    found: Mapping[str, Any] = facts["splits"][str(seed)] if "splits" in facts else facts
    return found


def train_digest(facts: Mapping[str, Any], job: Job) -> str:
    """Digest of the ids that a run learns from, out of what is written down of the rows."""
    found = drawn(facts, job.seed)
    if job.membership is None:
        return str(found["train_ids_sha256"])
    return ids_digest(train_ids(found["parts"], job.membership))


def ids_digest(ids: Iterable[str]) -> str:
    """Digest of ids, in their order."""
    return _digest(id_.encode() for id_ in ids)


def sizes(facts: Mapping[str, Any]) -> dict[str, int]:
    """Rows by part; where every seed draws its own split, the parts of all are of the same size."""
    one = next(iter(facts["splits"].values())) if "splits" in facts else facts
    return {part: len(ids) for part, ids in one["parts"].items()}


def restore(plain: Mapping[str, Any]) -> Dataset:
    """The spec of a dataset out of `model_dump(mode="json")`."""
    config = registry.load(DATASETS, plain["name"]).Config.model_validate(plain["config"])
    return Dataset.model_validate({**plain, "config": config})


def load_checked(dataset: Dataset, seeds: Sequence[int] = (), *, privacy: Privacy | None = None) -> Loaded:
    """Load the rows and refuse what nothing can be learned or said from.

    Args:
        dataset: which rows.
        seeds: those that draw a split of their own.
        privacy: how models are attacked, which takes rows too.

    Raises:
        InputError: they cannot be loaded, or their parts cannot be used; every complaint at once.
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
    """What stands against a split, and what is worth knowing of it."""
    checked = datasets.check_split(data.examples, data.parts)
    wrong, remarks = list(checked.complaints), list(checked.remarks)
    found = datasets.find_leaks(data.examples, data.parts)
    if found and tell_leaks:
        remarks.append(found.sentence())
    elif found:
        wrong.append(
            f"{found.sentence()} A model would be tested on what it has seen: remove the doubles, or say "
            "leaks: tell in the study's dataset to go on and have it told in the report."
        )
    return wrong, remarks


def _facts(name: str, title: str, examples: Examples, splits: Mapping[int | None, Data]) -> dict[str, Any]:
    """What is written down of the rows, and of their one split or of those of every seed."""
    if None in splits:
        parts = splits[None].parts
        own = _split_facts(examples, parts)
    else:
        # The digest of a run's rows then follows from that of all rows and the seed in its identity.
        parts = Parts(np.arange(len(examples.ids)), np.array([], np.int64), np.array([], np.int64))
        own = {"splits": {str(seed): _split_facts(examples, data.parts) for seed, data in splits.items()}}
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
        **own,
    }


def _judged(examples: Examples) -> Sequence[Attribute]:
    """Attributes that can be judged: of the rows, or of the questions that are asked in their place."""
    wanted = examples.prompts
    return wanted.attributes if wanted is not None and wanted.questions else examples.attributes


def _mean_characters(examples: Examples) -> float | None:
    """How long texts are."""
    lengths = [len(value) for value in examples.inputs if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else None


def _split_facts(examples: Examples, parts: Parts) -> dict[str, Any]:
    """The ids of every part."""
    ids = {part: [examples.ids[row] for row in rows.tolist()] for part, rows in parts.named()}
    return {"train_ids_sha256": ids_digest(ids["train"]), "parts": ids}


def _rows(examples: Examples, parts: Parts) -> Iterable[bytes]:
    """All that training or judging sees of every row, part by part."""
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
    if (wanted := examples.prompts) is not None:
        told = [asdict(form) for form in wanted.forms] + [asdict(one) for one in wanted.questions]
        yield json.dumps([wanted.snippets, *told]).encode()
        groups = [[a.name, a.groups, [c.tolist() for c in a.columns()]] for a in wanted.attributes]
        yield json.dumps(groups).encode()


def _content(value: str | Picture) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else f"{value.shape}".encode() + value.tobytes()


def _digest(pieces: Iterable[bytes]) -> str:
    """One digest of a series; where one piece ends and the next begins counts."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()
