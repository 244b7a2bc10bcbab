"""Complete crossings of prompts by snippets, and the factors of prompts.

A prompt is one template with one option set (a variant: words, letters, inverted letters ...); a snippet is
an example, the text that the prompt asks about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import BoolArray, IntArray

TEMPLATE, OPTIONS = "template", "option set"
NESTED, TOGETHER = "option set within template", "template x option set"


@dataclass(frozen=True)
class Groupings:
    """The effects of prompts that the data identify.

    Attributes:
        codes: by name, [prompts] codes; the last one has a level for every prompt. Empty with one prompt.
        degrees: by name, degrees of freedom.
        lacking: by name, why an effect is not identified.
    """

    codes: dict[str, IntArray]
    degrees: dict[str, int]
    lacking: dict[str, str]


@dataclass(frozen=True)
class Crossing:
    """Contexts of a complete crossing.

    Attributes:
        context: [prompts, snippets] index of the context of each pair.
        groupings: the groupings of the prompts.
        cluster: [snippets] code of the cluster; None where the prompts of a snippet are in several.
        left_out: number of contexts outside the crossing.
    """

    context: IntArray
    groupings: Groupings
    cluster: IntArray | None
    left_out: int


def crossing_of(table: Likelihoods, offered: BoolArray) -> Crossing:
    """Cross the prompts and snippets of these contexts.

    Where some snippets lack some prompts, the prompts with the fewest snippets are dropped as long as this
    keeps more contexts, and then the snippets that lack one of the remaining prompts.

    Args:
        table: the likelihoods.
        offered: [contexts] mask of the contexts to cross.
    """
    rows = np.flatnonzero(offered)
    prompts, prompt = np.unique(np.c_[table.template, table.variant][rows], axis=0, return_inverse=True)
    snippets, snippet = np.unique(table.example[rows], return_inverse=True)
    context = np.full((len(prompts), len(snippets)), -1)
    context[prompt, snippet] = rows
    present = context >= 0
    # Row p of `complete` marks the snippets that occur in each of the p + 1 most complete prompts, so
    # `contexts_left` is the size of the crossing with these prompts. Of equal sizes the one with more prompts
    # is taken.
    order = np.argsort(-present.sum(axis=1), kind="stable")
    complete = np.logical_and.accumulate(present[order], axis=0)
    contexts_left = complete.sum(axis=1) * np.arange(1, len(prompts) + 1)
    most = len(contexts_left) - int(np.argmax(contexts_left[::-1]))
    chosen = np.sort(order[:most])
    context = context[chosen][:, complete[most - 1]]
    cluster = table.cluster[context]
    return Crossing(
        context=context,
        groupings=groupings_of(prompts[chosen, 0], prompts[chosen, 1]),
        cluster=cluster[0] if (cluster == cluster[0]).all() else None,
        left_out=len(rows) - context.size,
    )


def groupings_of(template: IntArray, options: IntArray) -> Groupings:
    """Determine the identifiable effects of templates and option sets.

    Option sets are crossed with templates if enough of them occur in several templates to separate the
    effects of both; else they are nested in templates.

    Args:
        template: [prompts] code of each prompt's template.
        options: [prompts] code of its option set.
    """
    prompts = np.arange(len(template))
    template, options = (np.unique(v, return_inverse=True)[1] for v in (template, options))
    t, o, n = int(template.max()) + 1, int(options.max()) + 1, len(prompts)
    lacking = {}
    if t == 1:
        lacking[TEMPLATE] = "one template only, so variation over templates cannot be estimated"
    if o == 1:
        lacking[OPTIONS] = "one option set only, so variation over option sets cannot be estimated"
    if lacking:
        codes = {name: prompts for name, k in ((TEMPLATE, t), (OPTIONS, o)) if k > 1}
        return Groupings(codes, dict.fromkeys(codes, n - 1), lacking)
    both = np.concatenate([template == np.arange(t)[:, None], options == np.arange(o)[:, None]])
    left = n - int(np.linalg.matrix_rank(both.astype(float)))
    degrees = {TEMPLATE: t - 1, OPTIONS: o - 1}
    if n == t and o < n:
        return Groupings({OPTIONS: options, TEMPLATE: prompts}, degrees | {TEMPLATE: t - o}, {})
    if n == t:
        lacking[OPTIONS] = "each template has its own option set, so their effects cannot be separated"
        return Groupings({TEMPLATE: prompts}, {TEMPLATE: t - 1}, lacking)
    if left and o < n:
        codes = {TEMPLATE: template, OPTIONS: options, TOGETHER: prompts}
        return Groupings(codes, degrees | {TOGETHER: left}, {})
    lacking[OPTIONS] = f"too few templates share option sets: see '{NESTED}'"
    return Groupings({TEMPLATE: template, NESTED: prompts}, {TEMPLATE: t - 1, NESTED: n - t}, lacking)
