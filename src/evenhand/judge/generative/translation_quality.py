"""Quality of translations: BLEU and chrF of the generated text, as sacrebleu computes them.

Scores are against the gold, and against the gold with *he*, *she* or *they* throughout, which shows
translations that are correct except for the pronoun. Corpus scores are functions of sums over rows, so
leave-one-cluster-out scores (the jackknife) are exact and cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evenhand.errors import MissingExtraError
from evenhand.judge.core import estimates as counts
from evenhand.judge.core.estimates import Group, Observed
from evenhand.judge.generative import GenerativeInfo, MetricByGroup, arms_of, by_arm, rows_of
from evenhand.judge.metrics import Estimate, Measure, MetricInfo, Sample
from evenhand.tables.answers.generations import Generations
from evenhand.tables.answers.pronouns import RENDERINGS, render
from evenhand.tables.schema import ABSENT, BoolArray, FloatArray, IntArray

GOLD = "gold"


def _score_info(title: str) -> MetricInfo:
    return MetricInfo(
        title=title, direction=1, range=(0, 100), needs="prediction", classes="one_vs_rest",
        inference="wald", reference="sacrebleu 2.6", margin=False,
    )  # fmt: skip


INFO = GenerativeInfo(
    title="quality of translation",
    needs="generations",
    measures={"bleu": _score_info("BLEU"), "chrf": _score_info("chrF")},
    primary=(),
    reference="Post 2018 (sacrebleu); Papineni et al. 2002 (BLEU); Popovic 2015 (chrF2)",
)

_ORDERS, _CHARACTERS, _BETA = 4, 6, 2


def compute(table: Generations) -> list[MetricByGroup]:
    """Compute BLEU and chrF2 against the gold (all references where a row has several) and its renderings.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    if not all(table.references):
        return []
    scorers = _scorers()
    targets = {GOLD: table.references}
    targets |= {r: tuple((render(texts[0], r),) for texts in table.references) for r in RENDERINGS}
    there = np.ones((len(table.arm_runs), len(table.cluster)), dtype=np.bool_)
    if table.there is not None:
        there = table.there
    answers = np.where(there, 0, ABSENT)
    rows = rows_of(
        (), np.zeros_like(table.cluster), arms_of(table.arm_runs, answers), table.attributes, table.cluster,
        resplit=table.there is not None,
    )  # fmt: skip
    present = by_arm(table.arm_runs, there)
    groups = [g for a in (None, *table.attributes) for g in counts.groups_of(a, rows)]
    metrics = []
    for rendering, references in targets.items():
        streams = _streams(references)
        for name, score in (("bleu", bleu), ("chrf", chrf)):
            stats = [scorers[name]._extract_corpus_statistics(list(t), streams) for t in table.completions]
            statistics = by_arm(table.arm_runs, np.array(stats, dtype=np.float64))
            observed = [
                [_observe_score(arm_statistics, arm_present, score, g, table.cluster) for g in groups]
                for arm_statistics, arm_present in zip(statistics, present, strict=True)
            ]
            metrics.append(
                MetricByGroup(
                    Measure(name, INFO.measures[name], _refuse_counting), rows, groups, observed, rendering
                )
            )
    return metrics


def signatures(references: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return sacrebleu's signature of each score against the gold, including the number of references.

    Args:
        references: [n] references of each row; only their numbers enter the signature.
    """
    scorers = _scorers()
    counts_of = sorted({len(r) for r in references})
    streams = _streams([["a"] * count for count in counts_of])
    for scorer in scorers.values():
        scorer.corpus_score(["a"] * len(counts_of), streams)
    return {name: str(scorer.get_signature()) for name, scorer in scorers.items()}


def _scorers() -> dict[str, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415  (0.2 s)
        from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("BLEU and chrF need sacrebleu: pip install 'evenhand[text]'.") from None
    return {"bleu": BLEU(), "chrf": CHRF()}


def _refuse_counting(sample: Sample) -> Estimate:
    raise AssertionError("scores of a corpus are not means over rows")


def _observe_score(
    statistics: FloatArray,
    there: BoolArray,
    score: Callable[[FloatArray], FloatArray],
    group: Group,
    cluster: IntArray,
) -> Observed:
    """Compute a score of one arm in one group, with influence values of clusters by the jackknife.

    Each run's score and clusters are those of the rows that it has.

    Args:
        statistics: [runs, n, k] statistics of every row; the score is a function of their sums.
        there: [runs, n] mask: the run has the row.
        score: function from [..., k] sums to [...] scores.
        group: the group.
        cluster: [n] code of each row's cluster.
    """
    values, influences = [], []
    for run_statistics, run_present in zip(statistics[:, group.rows], there[:, group.rows], strict=True):
        present = np.flatnonzero(run_present)
        stats = run_statistics[present]
        _, first, code = np.unique(cluster[group.rows[present]], return_index=True, return_inverse=True)
        total = stats.sum(axis=0)
        sums = np.zeros((len(first), stats.shape[1]))
        np.add.at(sums, code, stats)
        influence = np.zeros(len(run_present))
        if len(first) > 1:
            without = score(total - sums)
            # Jackknife influence of a cluster, assigned to its first row; the variance sums squares by
            # cluster.
            influence[present[first]] = (without.mean() - without) * (len(first) - 1) / len(first)
        influences.append(influence)
        values.append(float(score(total)) if len(present) else np.nan)
    lacking = "" if there[:, group.rows].any(axis=1).all() else "no rows in a run"
    return Observed(
        values=np.array(values),
        value=float(np.mean(values)),
        influence=np.mean(influences, axis=0),
        numerator=None,
        denominator=None,
        right=np.full(len(group.rows), np.nan),
        reason=lacking if len(group.rows) else "no rows",
    )


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Transpose references to the form of sacrebleu: the first of every row, the second of every row, ..."""
    most = max(len(r) for r in references)
    return [[r[i] if i < len(r) else None for r in references] for i in range(most)]


def bleu(stats: FloatArray) -> FloatArray:
    """Corpus BLEU (0-100) of [..., 10] sums: output length, reference length, matches, n-grams.

    Four orders, exponential smoothing of orders without a match, 0 without any match: as in sacrebleu.
    """
    length, reference_length = stats[..., 0], stats[..., 1]
    matches, ngrams = stats[..., 2 : 2 + _ORDERS], stats[..., 2 + _ORDERS :]
    halvings = np.cumsum((matches == 0) & (ngrams > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(matches > 0, matches / ngrams, 0.5**halvings / ngrams)
        logs = np.where(ngrams > 0, np.log(100 * share), -np.inf)
        penalty = np.where(length < reference_length, np.exp(1 - reference_length / length), 1.0)
    score = np.where(length > 0, penalty, 0.0) * np.exp(logs.mean(axis=-1))
    return np.asarray(np.where(matches.any(axis=-1), score, 0.0))


def chrf(stats: FloatArray) -> FloatArray:
    """Corpus chrF2 (0-100) of [..., 18] sums: output, reference and common n-grams of 1 to 6 characters."""
    parts = stats.reshape(*stats.shape[:-1], _CHARACTERS, 3)
    output, reference, common = parts[..., 0], parts[..., 1], parts[..., 2]
    there = (output > 0) & (reference > 0)
    orders = np.maximum(there.sum(axis=-1), 1)
    precision = np.where(there, common / np.where(there, output, 1), 0.0).sum(axis=-1) / orders
    recall = np.where(there, common / np.where(there, reference, 1), 0.0).sum(axis=-1) / orders
    below = _BETA**2 * precision + recall
    return np.asarray(100 * (1 + _BETA**2) * precision * recall / np.where(below > 0, below, 1.0))
