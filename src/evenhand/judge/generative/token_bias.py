"""Token bias: the parts of an option's log share that are due to its token and to its meaning.

The token effect is the prior of the answer token; the meaning effect is a preference for the content of the
option. Both are in nats relative to the mean of the options, fitted per question (`prompts/forms.py`), so
that arms are compared on the same questions. A method that shifts only token effects has not changed a
belief.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.judge.core.estimates import Group, Observed
from evenhand.judge.generative import GenerativeInfo, MetricByGroup, arms_of, by_arm, rows_of
from evenhand.judge.metrics import Estimate, Measure, MetricInfo, Sample
from evenhand.judge.prompts.choices import Chosen
from evenhand.judge.prompts.forms import fit_effects
from evenhand.tables.answers.likelihoods import NONE
from evenhand.tables.schema import ArmRun, FloatArray, Predictions

_SOURCE = "Zheng et al. 2024 (arXiv 2309.03882)"


#: Decimals of an effect: smaller differences between arms are rounding error of the fit.
DIGITS = 9


def _effect_info(title: str) -> MetricInfo:
    return MetricInfo(
        title=title, direction=0, range=(-np.inf, np.inf), needs="score", classes="one_vs_rest",
        inference="wald", reference=_SOURCE, margin=False,
    )  # fmt: skip


INFO = GenerativeInfo(
    title="token bias",
    needs="likelihoods",
    measures={
        "token_prior": _effect_info("prior of the token"),
        "meaning_preference": _effect_info("preference for the meaning"),
    },
    primary=(),
    reference=_SOURCE,
)


def compute(chosen: Chosen) -> list[MetricByGroup]:
    """Compute token priors by template and option set, meaning preferences by template, and both overall.

    Rows are questions (blocks of prompt forms), clustered as the contexts are. Empty where no question has
    forms that distinguish tokens from meanings.
    """
    table, blocks = chosen.table, chosen.blocks
    effects = fit_effects(table, blocks)
    known = np.isfinite(effects.token[:, :, 0]).all(axis=0)
    if not known.any():
        return []
    none = np.zeros((len(table.arm_runs), len(blocks.first)), dtype=np.int64)
    rows = rows_of((), none[0], arms_of(table.arm_runs, none), (), table.cluster[blocks.first])
    of = blocks.option_set[blocks.first]
    sets = {
        s: f"{table.templates[blocks.set_template[s]]} x "
        + " / ".join(table.tokens[t] for t in blocks.sets[s] if t != NONE)
        for s in np.unique(of[known])
        if blocks.closed[s]
    }
    shared = known & np.isin(of, list(sets))
    tokens = table.token[blocks.first]
    metrics = []
    for code in np.unique(tokens[shared]):
        if code != NONE:
            values = _of_option(effects.token, tokens, int(code))
            inside = shared & ~np.isnan(values[0])
            groups = _groups("template x options", {n: of == s for s, n in sets.items()}, inside)
            metrics.append(_metric_by_group("token_prior", table.tokens[code], values, groups, rows))
    template = table.template[blocks.first]
    by_template = {name: template == i for i, name in enumerate(table.templates)}
    for code in np.unique(effects.meanings[known]):
        if code != NONE:
            values = _of_option(effects.meaning, effects.meanings, int(code))
            inside = known & ~np.isnan(values[0])
            groups = _groups("template", by_template, inside)
            metrics.append(_metric_by_group("meaning_preference", table.meanings[code], values, groups, rows))
    return metrics


def _of_option(effect: FloatArray, codes: np.ndarray, code: int) -> FloatArray:
    """[runs, blocks] effect of one option; NaN in blocks without it."""
    at = codes == code
    has = at.any(axis=1)
    values = np.take_along_axis(effect, at.argmax(axis=1)[None, :, None], axis=2)[..., 0]
    return np.where(has, np.round(values, DIGITS), np.nan)


def _groups(attribute: str, parts: dict[str, np.ndarray], inside: np.ndarray) -> list[Group]:
    """Return the group of all questions, and that of each part with questions."""
    overall = [Group(None, None, np.flatnonzero(inside), int(inside.sum()))]
    nonempty = {name: rows for name, part in parts.items() if len(rows := np.flatnonzero(inside & part))}
    return [*overall, *(Group(attribute, name, rows, len(rows)) for name, rows in nonempty.items())]


def _metric_by_group(
    name: str, option: str, values: FloatArray, groups: list[Group], rows: Predictions
) -> MetricByGroup:
    measure = Measure(name, INFO.measures[name], _refuse_counting)
    arm_runs = [ArmRun(arm.name, run) for arm in rows.arms for run in arm.runs]
    observed = [
        [_observe_mean(arm_values[:, g.rows]) for g in groups] for arm_values in by_arm(arm_runs, values)
    ]
    return MetricByGroup(measure, rows, groups, observed, option)


def _refuse_counting(sample: Sample) -> Estimate:
    raise AssertionError("effects are fitted, not computed from counts")


def _observe_mean(values: FloatArray) -> Observed:
    """Average [runs, n] values over rows, then over runs; a row's influence is its centred value / n."""
    means = values.mean(axis=1)
    influence = (values - means[:, None]).mean(axis=0) / values.shape[1]
    nothing = np.full(values.shape[1], np.nan)
    each = values.mean(axis=0)
    return Observed(means, float(means.mean()), influence, None, None, nothing, "", each=each)


def rstd_rows(chosen: Chosen) -> list[dict[str, Any]]:
    """Compute RStd: the standard deviation over tokens of the recall of each token.

    The recall of a token is the share of contexts that choose it, among those whose expected meaning has this
    token. Equal recalls give 0. The value is the mean over an arm's runs. Source: Zheng et al. 2024, section
    2.
    """
    table, blocks = chosen.table, chosen.blocks
    at = (table.meaning == table.label[:, None]) & (table.label != NONE)[:, None]
    expected = np.where(at.any(axis=1), table.token[np.arange(len(at)), at.argmax(axis=1)], NONE)
    result = []
    for s in np.flatnonzero(blocks.closed):
        inside = (blocks.option_set == s) & chosen.scored & (expected != NONE)
        tokens = [t for t in blocks.sets[s] if t != NONE]
        for arm in dict.fromkeys(a for a, _ in table.arm_runs):
            runs = [k for k, (a, _) in enumerate(table.arm_runs) if a == arm]
            by_token = [_recall(chosen, runs, inside & (expected == t), t) for t in tokens]
            spread = np.std(by_token, axis=0) if inside.any() else np.array([np.nan])
            value = float(spread.mean())
            result.append(
                {
                    "input": arm,
                    "scoring": chosen.scoring,
                    "template": table.templates[blocks.set_template[s]],
                    "options": [table.tokens[t] for t in tokens],
                    "value": value,
                    "recalls": [float(np.mean(r)) for r in by_token],
                    "n": int(inside.sum()),
                    "runs": len(runs),
                    "status": "undefined" if np.isnan(value) else "ok",
                    "reason": _undefined_reason(inside, by_token),
                }
            )
    return result


def _recall(chosen: Chosen, runs: Sequence[int], inside: np.ndarray, token: int) -> FloatArray:
    """[runs] share of the contexts that choose the token; NaN without contexts."""
    if not inside.any():
        return np.full(len(runs), np.nan)
    return np.asarray((chosen.token[list(runs)][:, inside] == token).mean(axis=1))


def _undefined_reason(inside: np.ndarray, by_token: Sequence[FloatArray]) -> str:
    if not inside.any():
        return "no expected answers (column label_meaning)"
    return "no expected answer has one of the tokens" if np.isnan(by_token).any() else ""
