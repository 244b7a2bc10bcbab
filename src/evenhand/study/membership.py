"""Runs for membership inference: the rows that each is trained on and attacked with, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand import datasets
from evenhand.datasets import Parts
from evenhand.finetune import Data, Job, Membership
from evenhand.spec.plugins import ATTACKS, plugin
from evenhand.spec.study import Privacy
from evenhand.tables.schema import IntArray

#: Minimum number of rows of each class in a random half.
_MIN_ROWS_PER_CLASS = 2
_NO_ROWS = np.array([], np.int64)


def target(privacy: Privacy | None) -> Membership | None:
    """Return the membership of the study's own runs, which the protocol `offline` attacks; otherwise None."""
    if privacy is None or privacy.protocol == "shared":
        return None
    return Membership("offline", privacy.seed)


def halves(privacy: Privacy | None) -> list[Membership]:
    """List the memberships of the additional runs of every arm, which are trained on random halves.

    The list is empty if only the study's own runs are attacked, and no attack needs reference models.
    """
    if privacy is None or (privacy.protocol == "offline" and not needs_references(privacy)):
        return []
    return [Membership(privacy.protocol, privacy.seed, number) for number in range(privacy.halves)]


def needs_references(privacy: Privacy) -> bool:
    """Check whether any attack needs reference models."""
    return any(plugin(ATTACKS, a.name).needs(a.config).references != "none" for a in privacy.attacks)


def rows_for_run(data: Data, membership: Membership) -> Data:
    """Select the rows for a run that is attacked, or that serves as a reference model.

    A run on a half gets neither validation nor test rows, because it is not tuned or judged.
    """
    train, attacked = _rows(data.examples.ids, data.parts, membership)
    if membership.half is None:
        return Data(data.examples, data.parts, attacked)
    return Data(data.examples, Parts(train, _NO_ROWS, _NO_ROWS), attacked)


def train_ids(parts: Mapping[str, Sequence[str]], membership: Membership) -> list[str]:
    """List the ids that a run is trained on.

    Args:
        parts: ids of the rows, by part.
        membership: the membership of the run.
    """
    ids, rows = _numbered(parts)
    train, _ = _rows(ids, rows, membership)
    return [ids[row] for row in train.tolist()]


def attacked_ids(parts: Mapping[str, Sequence[str]], membership: Membership) -> set[str]:
    """Return the ids of the rows whose signals a run computes."""
    ids, rows = _numbered(parts)
    _, attacked = _rows(ids, rows, membership)
    return {ids[row] for row in attacked.tolist()}


def train_rows(job: Job, sizes: Mapping[str, int]) -> int:
    """Count the rows that a run is trained on, given the sizes of the parts."""
    if job.membership is None or job.membership.half is None:
        return sizes["train"]
    attacked = 0 if job.membership.protocol == "shared" else attacked_rows(job, sizes) // 2
    return (sizes["train"] - attacked + 1) // 2


def attacked_rows(job: Job, sizes: Mapping[str, int]) -> int:
    """Count the rows whose signals a run computes."""
    if job.membership is None:
        return 0
    if job.membership.protocol == "shared":
        return sizes["train"]
    return 2 * min(sizes["test"] // 2, sizes["train"])


def read_rows(job: Job, sizes: Mapping[str, int]) -> dict[str, int]:
    """Count the rows that a run reads, by part; rows with signals count twice, as test rows."""
    signal_rows = 2 * attacked_rows(job, sizes)
    if job.for_signals:
        return {"train": train_rows(job, sizes), "validation": 0, "test": signal_rows}
    return {**sizes, "test": sizes["test"] + signal_rows}


def complaints(privacy: Privacy | None, data: Data) -> list[str]:
    """Return a complaint if there are too few rows to attack, or to train reference models."""
    if privacy is None:
        return []
    test, train = len(data.parts.test), len(data.parts.train)
    if privacy.protocol == "offline" and test < 2 * datasets.MIN_PART_ROWS:
        return [
            f"privacy: in the protocol 'offline' half of the test rows are the non-members, and there are "
            f"{test:,} test rows; at least {2 * datasets.MIN_PART_ROWS} are needed. Give the test part a "
            "larger share, or use the protocol 'shared', which needs none."
        ]
    for membership in halves(privacy):
        learnt = rows_for_run(data, membership).parts.train
        counts = np.bincount(data.examples.labels[learnt], minlength=len(data.examples.classes))
        present = np.bincount(data.examples.labels, minlength=len(data.examples.classes)) > 0
        if (counts[present] < _MIN_ROWS_PER_CLASS).any():
            scarce = int(np.argmin(np.where(present, counts, counts.max() + 1)))
            pool = "the training rows" if privacy.protocol == "shared" else "those that are not attacked"
            return [
                f"privacy: a random half of {pool} (half {membership.half}: {len(learnt):,} of {train:,} "
                f"training rows) has {counts[scarce]} of class '{data.examples.classes[scarce]}', but "
                f"needs {_MIN_ROWS_PER_CLASS} of every class. Give more rows, or a larger training part."
            ]
    return []


def _numbered(parts: Mapping[str, Sequence[str]]) -> tuple[list[str], Parts]:
    """Return all ids, and the parts as indices into them."""
    ids = [id_ for part in parts.values() for id_ in part]
    ends = np.cumsum([len(part_ids) for part_ids in parts.values()])
    numbers = np.split(np.arange(len(ids)), ends[:-1])
    return ids, Parts(**dict(zip(parts, numbers, strict=True)))


def _rows(ids: Sequence[str], parts: Parts, membership: Membership) -> tuple[IntArray, IntArray]:
    """Return the indices of the rows to train on, and of the rows whose signals are computed."""
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
