"""The libraries that are references here; importing them warns, which is none of our business."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import fairlearn.metrics as fairlearn
    import sklearn.metrics as sklearn
    import torch
    import torchmetrics.classification as torchmetrics

    try:
        from netcal.metrics import ECE as NetcalECE
    except ImportError as error:  # netcal is installed without what it depends on
        NetcalECE, NO_NETCAL = None, f"netcal cannot be imported: {error}"
    else:
        NO_NETCAL = ""

#: Data that lie beside a developer's checkout; tests that read them carry the marker `shared`.
SHARED = Path(__file__).resolve().parents[2].parent / "shared"

__all__ = ["NO_NETCAL", "SHARED", "fairlearn", "netcal_ece", "sklearn", "tables", "torchmetrics_ece"]


def torchmetrics_ece(labels, scores, bins=15):
    """BinaryCalibrationError for [n] scores, top-label MulticlassCalibrationError for [n, classes]."""
    scores = torch.tensor(np.asarray(scores, dtype=np.float64))
    if scores.ndim == 1:
        metric = torchmetrics.BinaryCalibrationError(n_bins=bins, norm="l1")
    else:
        metric = torchmetrics.MulticlassCalibrationError(scores.shape[1], n_bins=bins, norm="l1")
    return float(metric(scores, torch.tensor(np.asarray(labels))))


def netcal_ece(labels, scores, bins=15):
    """netcal's ECE: of P(1) for [n] scores, of the top label for [n, classes]."""
    return float(NetcalECE(bins).measure(np.asarray(scores, dtype=np.float64), np.asarray(labels)))


def tables(count, *, rows=(20, 120), groups=(1, 3), seed=0):
    """Random tables in which every crossing of the sensitive columns holds both labels.

    Yields:
        (true labels, predictions, weights, sensitive columns).
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        n, width = int(rng.integers(*rows)), number % groups[1] + groups[0]
        columns = rng.integers(0, 2 + (width == 1) * 2, size=(n, width))
        kinds = np.unique(columns, axis=0)
        columns = np.concatenate([columns, kinds, kinds])
        if len(kinds) < 2:
            columns = np.concatenate([columns, 1 - kinds, 1 - kinds])
        y = rng.integers(0, 2, size=len(columns))
        for kind in np.unique(columns, axis=0):
            same = np.flatnonzero((columns == kind).all(axis=1))
            y[same[:2]] = [0, 1]
        predictions = np.where(rng.random(len(y)) < rng.uniform(0.3, 1), y, rng.integers(0, 2, size=len(y)))
        order = rng.permutation(len(y))
        yield y[order], predictions[order], rng.uniform(0.01, 5, size=len(y)), columns[order]
