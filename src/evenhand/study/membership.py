"""Runs for membership inference: which rows each learns from and is asked about, and if these are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand import datasets
from evenhand.datasets import Parts
from evenhand.finetune import Data, Job, Membership
from evenhand.spec.plugins import ATTACKS, plugin
from evenhand.spec.study import Privacy
from evenhand.tables.schema import IntArray

#: A half with fewer rows of a class says nothing of how rows are remembered.
_LEAST_OF_CLASS = 2
_NONE = np.array([], np.int64)


def target(privacy: Privacy | None) -> Membership | None:
    """What the study's own runs are asked: in the paper's protocol they are the ones that are attacked."""
    if privacy is None or privacy.protocol == "shared":
        return None
    return Membership("offline", privacy.seed)


def halves(privacy: Privacy | None) -> list[Membership]:
    """The further runs of every arm, one by one: those on random halves.

    Where only the study's own runs are attacked, and no attack learns from references, there are none.
    """
    if privacy is None or (privacy.protocol == "offline" and not learns(privacy)):
        return []
    return [Membership(privacy.protocol, privacy.seed, number) for number in range(privacy.halves)]


def learns(privacy: Privacy) -> bool:
    """Whether an attack learns from references."""
    return any(plugin(ATTACKS, a.name).needs(a.config).references != "none" for a in privacy.attacks)


def asked(data: Data, membership: Membership) -> Data:
    """The rows as a run has them that is attacked, or that an attack learns from.

    A run on a half gets no validation and no test rows: nothing is chosen or judged by it.
    """
    train, attacked = _rows(data.examples.ids, data.parts, membership)
    if membership.half is None:
        return Data(data.examples, data.parts, attacked)
    return Data(data.examples, Parts(train, _NONE, _NONE), attacked)


def train_ids(parts: Mapping[str, Sequence[str]], membership: Membership) -> list[str]:
    """Ids that a run learns from.

    Args:
        parts: ids of the rows by part.
        membership: of the run.
    """
    ids, rows = _numbered(parts)
    train, _ = _rows(ids, rows, membership)
    return [ids[row] for row in train.tolist()]


def attacked_ids(parts: Mapping[str, Sequence[str]], membership: Membership) -> set[str]:
    """Ids of the rows that a run is asked about."""
    ids, rows = _numbered(parts)
    _, attacked = _rows(ids, rows, membership)
    return {ids[row] for row in attacked.tolist()}


def train_rows(job: Job, sizes: Mapping[str, int]) -> int:
    """How many rows a run learns from, of parts of these sizes."""
    if job.membership is None or job.membership.half is None:
        return sizes["train"]
    attacked = 0 if job.membership.protocol == "shared" else attacked_rows(job, sizes) // 2
    return (sizes["train"] - attacked + 1) // 2


def attacked_rows(job: Job, sizes: Mapping[str, int]) -> int:
    """How many rows a run is asked about for its signals."""
    if job.membership is None:
        return 0
    if job.membership.protocol == "shared":
        return sizes["train"]
    return 2 * min(sizes["test"] // 2, sizes["train"])


def read_rows(job: Job, sizes: Mapping[str, int]) -> dict[str, int]:
    """How many rows a run reads, by part; those that it is asked about, before and after, as test rows."""
    asked_twice = 2 * attacked_rows(job, sizes)
    if job.for_signals:
        return {"train": train_rows(job, sizes), "validation": 0, "test": asked_twice}
    return {**sizes, "test": sizes["test"] + asked_twice}


def complaints(privacy: Privacy | None, data: Data) -> list[str]:
    """Say why there are too few rows to attack, or to train references on."""
    if privacy is None:
        return []
    test, train = len(data.parts.test), len(data.parts.train)
    if privacy.protocol == "offline" and test < 2 * datasets.MIN_PART_ROWS:
        return [
            f"privacy: in the protocol 'offline' half of the test rows are the non-members, and there are "
            f"{test:,} test rows; it takes {2 * datasets.MIN_PART_ROWS} or more. Give the test part a larger "
            "share, or take the protocol 'shared', which needs none."
        ]
    for membership in halves(privacy):
        learnt = asked(data, membership).parts.train
        counts = np.bincount(data.examples.labels[learnt], minlength=len(data.examples.classes))
        present = np.bincount(data.examples.labels, minlength=len(data.examples.classes)) > 0
        if (counts[present] < _LEAST_OF_CLASS).any():
            scarce = int(np.argmin(np.where(present, counts, counts.max() + 1)))
            pool = "the training rows" if privacy.protocol == "shared" else "those that are not attacked"
            return [
                f"privacy: a random half of {pool} (half {membership.half}: {len(learnt):,} of {train:,} "
                f"training rows) has {counts[scarce]} of class '{data.examples.classes[scarce]}'; it "
                f"takes {_LEAST_OF_CLASS} of every class. Give more rows, or a larger training part."
            ]
    return []


def _numbered(parts: Mapping[str, Sequence[str]]) -> tuple[list[str], Parts]:
    """All ids, and the parts as numbers of them."""
    ids = [id_ for part in parts.values() for id_ in part]
    ends = np.cumsum([len(own) for own in parts.values()])
    numbers = np.split(np.arange(len(ids)), ends[:-1])
    return ids, Parts(**dict(zip(parts, numbers, strict=True)))


def _rows(ids: Sequence[str], parts: Parts, membership: Membership) -> tuple[IntArray, IntArray]:
    """Rows to learn from, and rows to be asked about."""
    seed, number = membership.seed, membership.half
    if membership.protocol == "shared":
        assert number is not None
        return datasets.draw_half(ids, parts.train, seed=seed, number=number), parts.train
    attacked = np.concatenate(datasets.draw_attack_rows(ids, parts, seed=seed))
    if number is None:
        return parts.train, attacked
    return datasets.draw_half(
        ids, datasets.reference_pool(ids, parts, seed=seed), seed=seed, number=number
    ), attacked
