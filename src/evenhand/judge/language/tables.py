"""Tables of a judgement of likelihoods: options, inversions, token bias, conclusions, variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.judge.core import families
from evenhand.judge.core import pairs as compare
from evenhand.judge.core.rates import rate_row
from evenhand.judge.generative import MetricByGroup, RateByGroup, inversions, option_shares, token_bias
from evenhand.judge.language.robustness import conclusions, robustness
from evenhand.judge.language.variance import variance_rows
from evenhand.judge.prompts.choices import SCORINGS, Chosen
from evenhand.judge.rows import ComparisonRow, RateRow
from evenhand.judge.scorings.pride import token_priors
from evenhand.judge.settings import Settings
from evenhand.tables.answers.likelihoods import NONE, Likelihoods
from evenhand.tables.groups import crossed_names
from evenhand.tables.schema import Attribute

Rows = list[dict[str, Any]]

#: Name of the arm that is the base model before any adaptation.
BASE = "none"

#: Largest number of distinct tokens that are treated as fixed options and reported one by one.
MAX_LISTED_TOKENS = 200


def build_tables(
    choices: Mapping[str, Chosen], scoring: str, reference: int, settings: Settings
) -> dict[str, Any]:
    """Build all tables besides rates and comparisons, with remarks under `problems`."""
    declared = choices[scoring]
    rows = conclusions(choices, scoring, reference, settings)
    bias, problems = _token_bias(choices, declared, reference, settings)
    split, remarks = variance_rows(declared, reference, settings)
    return {
        "options": _option_rows(choices, settings),
        "inversions": _inversion_rows(choices, settings),
        "token_bias": bias,
        "conclusions": rows,
        "survival": robustness(rows),
        "variance": split,
        "problems": [*problems, *remarks],
    }


def scoring_rows(choices: Mapping[str, Chosen], lacking: Mapping[str, str]) -> Rows:
    """Describe each scoring: its source, the number of contexts that it scored, and the share of ties."""
    rows = []
    for name in (*choices, *lacking):
        info = registry.load(SCORINGS, name).INFO
        row: dict[str, Any] = {
            "scoring": name,
            "title": info.title,
            "reference": info.reference,
            "note": info.note,
        }
        if name in choices:
            c = choices[name]
            tied = c.meaning[:, c.scored] == len(c.table.meanings)
            row |= {"contexts": int(c.scored.sum()), "tied": float(tied.mean()), "reason": ""}
        else:
            row |= {"contexts": 0, "tied": None, "reason": lacking[name]}
        rows.append(row)
    return rows


def _crossing(table: Likelihoods) -> Attribute:
    """Cross templates with variants, for the combinations that occur."""
    key = table.template * len(table.variants) + table.variant
    there, codes = np.unique(key, return_inverse=True)
    every = crossed_names([table.templates, table.variants])
    names = tuple(every[k] for k in there)
    return Attribute("template x variant", "intersection", names, codes.astype(np.int64))


def _crossing_names(table: Likelihoods) -> list[tuple[str, str]]:
    """Return the template and variant of each group of the crossing."""
    key = np.unique(table.template * len(table.variants) + table.variant)
    return [(table.templates[k // len(table.variants)], table.variants[k % len(table.variants)]) for k in key]


def _rate_rows(measured: RateByGroup, attribute: Attribute, settings: Settings) -> list[tuple[int, RateRow]]:
    """Build rate rows for every group with eligible rows, with the group's index."""
    present = {number: group for number, group in enumerate(measured.groups(attribute)) if group.n}
    shown = measured.evaluate_groups(list(present.values()))
    rows = []
    for arm, observed in zip(shown.predictions.arms, shown.observed, strict=True):
        for (number, group), estimate in zip(present.items(), observed, strict=True):
            row = rate_row(measured.measure, arm, None, group, estimate, shown.predictions, settings)
            rows.append((number, row))
    return rows


_RATE_FIELDS = ("input", "value", "low", "high", "level", "n", "runs", "unit", "status", "reason", "interval")


def _numbers(row: RateRow) -> dict[str, Any]:
    """Select the fields of a rate that do not depend on its group."""
    return {name: getattr(row, name) for name in _RATE_FIELDS}


def _option_rows(choices: Mapping[str, Chosen], settings: Settings) -> Rows:
    """Shares of every option by template, variant, scoring and arm, by meaning and by token."""
    rows: Rows = []
    for name, chosen in choices.items():
        crossing, places = _crossing(chosen.table), _crossing_names(chosen.table)
        for by in ("meaning", "token"):
            if by == "token" and len(chosen.table.tokens) > MAX_LISTED_TOKENS:
                continue
            for measured in option_shares.shares(chosen, by):
                for number, row in _rate_rows(measured, crossing, settings):
                    template, variant = places[number]
                    head = {"scoring": name, "template": template, "variant": variant, "by": by}
                    rows.append({**head, "option": measured.class_name, **_numbers(row)})
    return rows


def _inversion_rows(choices: Mapping[str, Chosen], settings: Settings) -> Rows:
    """Report what answers to permuted prompts keep: token or meaning, by template, form, scoring and arm."""
    rows: Rows = []
    for name, chosen in choices.items():
        table = chosen.table
        permuted, base = inversions.permuted_prompts(chosen)
        pair = np.c_[table.template, table.variant[base], table.variant, chosen.blocks.inverted]
        kinds, code = np.unique(pair, axis=0, return_inverse=True)
        names = tuple(str(i) for i in range(len(kinds)))
        attribute = Attribute("twin", "partition", names, code.astype(np.int64))
        for measured in inversions.outcome_rates(chosen):
            limited = RateByGroup(measured.measure, measured.predictions, permuted)
            outcome = measured.measure.name.removesuffix("_followed")
            for number, row in _rate_rows(limited, attribute, settings):
                template, first, second, inverted = kinds[number]
                rows.append(
                    {
                        "scoring": name,
                        "template": table.templates[template],
                        "variant": table.variants[first],
                        "twin": table.variants[second],
                        "kind": "inverted" if inverted else "reordered",
                        "outcome": outcome,
                        **_numbers(row),
                    }
                )
    return rows


def _token_bias(
    choices: Mapping[str, Chosen], declared: Chosen, reference: int, settings: Settings
) -> tuple[dict[str, Any], list[str]]:
    """Build the tables of token bias: token priors, preferences for meanings, their shifts, and RStd."""
    shown = token_bias.compute(declared)
    effects: list[RateRow] = []
    for s in shown:
        for arm, observed in zip(s.predictions.arms, s.observed, strict=True):
            for group, estimate in zip(s.groups, observed, strict=True):
                row = rate_row(s.measure, arm, None, group, estimate, s.predictions, settings)
                effects.append(replace(row, class_name=s.class_name))
    arms = list(dict.fromkeys(a for a, _ in declared.table.arm_runs))
    against = dict.fromkeys([reference, *([arms.index(BASE)] if BASE in arms else [])])
    moved = [row for index in against for row in shift_rows(shown, index, settings)]
    problems = []
    if not shown:
        problems.append(
            "Token priors and beliefs cannot be distinguished: no question has prompt forms that permute its "
            "meanings among its tokens (or they leave a token tied to one meaning)."
        )
    return {
        "effects": effects,
        "priors": _prior_rows(declared),
        "shifts": moved,
        "rstd": [row for chosen in choices.values() for row in token_bias.rstd_rows(chosen)],
        "base": BASE if BASE in arms else None,
    }, problems


def shift_rows(shown: Sequence[MetricByGroup], reference: int, settings: Settings) -> list[ComparisonRow]:
    """Compare every effect with one arm; all these shifts form one family."""
    pairs = [
        p
        for s in shown
        for p in compare.compare_with_reference(
            s.measure, s.class_name, s.predictions, (s.groups, s.observed), reference, settings
        )
    ]
    if not pairs:
        return []
    rows = shown[0].predictions
    return families.adjust_family(pairs, rows, settings, "shifts", rows.arms[reference].name)


def _prior_rows(chosen: Chosen) -> Rows:
    """Report the prior of every token as a share, by template and option set, as PriDe uses it."""
    table, blocks = chosen.table, chosen.blocks
    priors = token_priors(table, blocks)
    rows = []
    for s in np.flatnonzero(np.isfinite(priors[0, :, 0])):
        for arm in dict.fromkeys(a for a, _ in table.arm_runs):
            mine = [k for k, (a, _) in enumerate(table.arm_runs) if a == arm]
            for k, token in enumerate(blocks.sets[s]):
                if token != NONE:
                    rows.append(
                        {
                            "input": arm,
                            "template": table.templates[blocks.set_template[s]],
                            "token": table.tokens[token],
                            "prior": float(priors[mine, s, k].mean()),
                            "even": 1 / int((blocks.sets[s] != NONE).sum()),
                            "runs": len(mine),
                        }
                    )
    return rows
