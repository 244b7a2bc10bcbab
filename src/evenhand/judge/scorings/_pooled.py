"""Means by token over the contexts of one template and variant."""

from __future__ import annotations

import numpy as np

from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import FloatArray


def pooled_mean(values: FloatArray, table: Likelihoods) -> FloatArray:
    """[runs, contexts, K] mean of `values` over contexts with the same template, variant and token."""
    at = table.there
    key = (table.template * len(table.variants) + table.variant)[:, None] * len(table.tokens) + table.token
    _, code = np.unique(key[at], return_inverse=True)
    size = np.bincount(code)
    out = np.zeros_like(values)
    for index in range(len(values)):
        out[index][at] = (np.bincount(code, weights=values[index][at]) / size)[code]
    return out
