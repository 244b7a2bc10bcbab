"""Prompt forms of one question: the same options, with their meanings permuted among their tokens.

Contexts of one example and template with the same option tokens and the same meanings form a block. Its
prompt forms differ in the assignment of meanings to tokens (inverted) or only in the order of the options
(reordered).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.tables.answers.likelihoods import NONE, Likelihoods
from evenhand.tables.schema import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Blocks:
    """The grouping of contexts into questions and option sets.

    Attributes:
        block: [contexts] code of each context's block.
        first: [blocks] the context with the plainest form of each block.
        option_set: [contexts] code of the context's template and option tokens.
        sets: [sets, K] codes of the tokens of each set, padded with `NONE`.
        set_template: [sets] code of its template.
        closed: [sets] mask: several examples share the set, so that its tokens can have a prior.
        inverted: [contexts] mask: a token has another meaning than in the plainest form.
        permuted: [contexts] mask: the form is not the plainest one.
    """

    block: IntArray
    first: IntArray
    option_set: IntArray
    sets: IntArray
    set_template: IntArray
    closed: BoolArray
    inverted: BoolArray
    permuted: BoolArray


def find_blocks(table: Likelihoods) -> Blocks:
    """Find the blocks of a table.

    A block's plainest form is the one whose variant has the shortest name (`letters` before
    `letters_inverted`), of equally short ones the first in the alphabet.
    """
    sets, option_set = np.unique(np.c_[table.template, table.token], axis=0, return_inverse=True)
    _, meant = np.unique(np.sort(table.meaning, axis=1), axis=0, return_inverse=True)
    key = np.c_[table.example, option_set, meant]
    _, block = np.unique(key, axis=0, return_inverse=True)
    names = np.array(
        sorted(range(len(table.variants)), key=lambda v: (len(table.variants[v]), table.variants[v]))
    )
    rank = np.empty_like(names)
    rank[names] = np.arange(len(names))
    order = np.lexsort((rank[table.variant], block))
    starts = np.flatnonzero(np.r_[True, np.diff(block[order]) > 0])
    first = order[starts]
    base = first[block]
    pairs = np.unique(np.c_[option_set, table.example], axis=0)
    return Blocks(
        block=block,
        first=first,
        option_set=option_set,
        sets=sets[:, 1:],
        set_template=sets[:, 0],
        closed=np.bincount(pairs[:, 0], minlength=len(sets)) > 1,
        inverted=(table.meaning != table.meaning[base]).any(axis=1),
        permuted=base != np.arange(len(base)),
    )


def log_shares(values: FloatArray, there: BoolArray) -> FloatArray:
    """[..., contexts, K] log of each option's share among the options of its context."""
    masked = np.where(there, values, -np.inf)
    top = masked.max(axis=-1, keepdims=True)
    total = np.log(np.exp(masked - top).sum(axis=-1, keepdims=True)) + top
    return np.asarray(masked - total)


@dataclass(frozen=True)
class Effects:
    """Effects of an option's token and of its meaning on its log share, by block.

    In a block, log share = constant of the form + token effect + meaning effect, by least squares, where each
    kind of effect sums to 0. If every token has every meaning equally often (all cyclic permutations), the
    token effect is the mean of its log shares minus the mean over tokens, the prior of Zheng et al. 2024
    (arXiv 2309.03882).

    Attributes:
        token: [runs, blocks, K] in the order of the block's tokens; NaN where the forms do not identify it.
        meaning: [runs, blocks, K] in the order of the block's meanings.
        meanings: [blocks, K] codes of these meanings.
    """

    token: FloatArray
    meaning: FloatArray
    meanings: IntArray


def fit_effects(table: Likelihoods, blocks: Blocks) -> Effects:
    """Fit every block whose forms distinguish tokens from meanings."""
    n_runs, most = len(table.arm_runs), table.token.shape[1]
    logs = log_shares(table.log_prob, table.there)
    count = len(blocks.first)
    token, meaning = np.full((n_runs, count, most), np.nan), np.full((n_runs, count, most), np.nan)
    meanings = np.full((count, most), NONE)
    order = np.argsort(blocks.block, kind="stable")
    forms = np.bincount(blocks.block, minlength=count)
    options = table.there[blocks.first].sum(axis=1)
    starts = np.r_[0, np.cumsum(forms)[:-1]]
    for f, k in np.unique(np.c_[forms, options], axis=0):
        which = np.flatnonzero((forms == f) & (options == k))
        members = order[starts[which][:, None] + np.arange(f)]
        there = np.sort(table.meaning[blocks.first[which]][:, :k], axis=1)
        meanings[which, :k] = there
        rank = (table.meaning[members][:, :, :k, None] == there[:, None, None, :]).argmax(axis=-1)
        # Blocks with equal assignments of meanings to tokens share one least-squares solution.
        designs, design = np.unique(rank.reshape(len(which), -1), axis=0, return_inverse=True)
        for d, places_of_meanings in enumerate(designs):
            solve = _solver(places_of_meanings.reshape(f, k))
            if solve is None:
                continue
            same_design = design == d
            values = logs[:, members[same_design]][..., :k].reshape(n_runs, int(same_design.sum()), f * k)
            fitted = values @ solve.T
            token[:, which[same_design], :k], meaning[:, which[same_design], :k] = (
                fitted[..., :k],
                fitted[..., k:],
            )
    return Effects(token, meaning, meanings)


def _solver(rank: IntArray) -> FloatArray | None:
    """[2 k, forms * k] linear map from log shares to both effects; None if the forms do not identify them.

    Args:
        rank: [forms, k] index of the meaning of each token in each form.
    """
    forms, k = rank.shape
    if len(np.unique(rank, axis=0)) < 2 or any(len(set(r)) < k for r in rank.tolist()):
        return None
    centred = np.eye(k) - 1 / k
    token = np.tile(centred, (forms, 1))
    meaning = centred[rank.ravel()]
    form = np.repeat(np.eye(forms), k, axis=0)
    design = np.concatenate([token, meaning, form], axis=1)
    if np.linalg.matrix_rank(design) < forms + 2 * (k - 1):
        return None
    return np.asarray(np.linalg.pinv(design)[: 2 * k])
