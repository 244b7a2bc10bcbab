"""Robustness of conclusions about two arms: do they survive another template, token or scoring?

The conclusion is which of two arms chooses a meaning more often, over all templates and variants, by the
declared scoring. The comparison is repeated in each template, in each variant (words, letters, emojis,
inverted ...) and by each scoring. All these differences form one family, so that an opposite conclusion is
not a product of multiple comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evenhand.judge.core import families
from evenhand.judge.core import pairs as compare
from evenhand.judge.core.evidence import PairedEstimate
from evenhand.judge.generative import RateByGroup
from evenhand.judge.generative.option_shares import shares
from evenhand.judge.language.rows import ConclusionRow, Direction, Finding, RobustnessRow
from evenhand.judge.prompts.choices import TIED, Chosen
from evenhand.judge.rows import ComparisonRow
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Attribute

#: Attributes that are varied, and their names in a result.
AXES: dict[str, str] = {"template": "template", "variant": "token", "scoring": "scoring"}


def conclusions(
    choices: Mapping[str, Chosen], scoring: str, reference: int, settings: Settings
) -> list[ConclusionRow]:
    """Compare the share of every meaning between arms: overall, by template, by variant, by scoring.

    Args:
        choices: the options that every scoring chooses.
        scoring: the declared scoring.
        reference: index of the reference arm.
        settings: level, smallest group and seed.

    Returns:
        Rows of all meanings, which form one family.
    """
    pairs: list[PairedEstimate] = []
    labels: list[tuple[str, str | None]] = []
    for name, chosen in choices.items():
        attributes = _axes(chosen) if name == scoring else ()
        for measured in shares(chosen, "meaning"):
            if measured.class_name == TIED:
                continue
            new = _paired_estimates(measured, attributes, reference, settings)
            # Equal keys mark copies of one comparison; the same group by another scoring is another
            # comparison.
            for p in new:
                key = f"{p.identity.complement_key} {name}"
                pairs.append(replace(p, identity=replace(p.identity, complement_key=key)))
                axis = p.identity.attribute or (None if name == scoring else "scoring")
                labels.append((name, axis))
    if not pairs:
        return []
    rows = measured.predictions
    arms = [arm.name for arm in rows.arms]
    settled = families.adjust_family(pairs, rows, settings, "robustness", arms[reference])
    return [
        ConclusionRow(**vars(row), scoring=name, axis=axis, says=direction(row))
        for row, (name, axis) in zip(settled, labels, strict=True)
    ]


def _axes(chosen: Chosen) -> Sequence[Attribute]:
    return list({a.name: a for a in chosen.table.attributes if a.name in AXES}.values())


def _paired_estimates(
    measured: RateByGroup, attributes: Sequence[Attribute], reference: int, settings: Settings
) -> list[PairedEstimate]:
    shown = measured.evaluate((None, *attributes))
    estimates = (shown.groups, shown.observed)
    return [
        p
        for p in compare.compare_with_reference(
            measured.measure, measured.class_name, measured.predictions, estimates, reference, settings
        )
        if p.n
    ]


def direction(row: ComparisonRow) -> Direction:
    """Return the direction of a difference whose interval excludes 0, else `cannot tell`."""
    if row.low > 0:
        return "more"
    return "less" if row.high < 0 else "cannot tell"


def robustness(rows: Sequence[ConclusionRow]) -> list[RobustnessRow]:
    """Count along each axis how often each conclusion is confirmed, undetermined or reversed.

    Args:
        rows: the rows of `conclusions`.

    Returns:
        One row per candidate, meaning and axis with `same`, `cannot_tell` and `opposite`, and `finding`:
        `survives` (the same everywhere), `turns` (the opposite somewhere), `weakens`, or, where the
        conclusion itself is undetermined, `appears` (a difference is detected somewhere) or `open`.
    """
    result = []
    for conclusion in (r for r in rows if r.axis is None):
        about = (conclusion.candidate, conclusion.class_name)
        for axis, axis_name in AXES.items():
            looks = [r for r in rows if r.axis == axis and (r.candidate, r.class_name) == about]
            if not looks:
                continue
            same = sum(r.says == conclusion.says for r in looks)
            unsure = sum(r.says == "cannot tell" for r in looks)
            opposite = len(looks) - unsure - (same if conclusion.says != "cannot tell" else 0)
            result.append(
                RobustnessRow(
                    candidate=conclusion.candidate,
                    reference=conclusion.reference,
                    meaning=conclusion.class_name,
                    says=conclusion.says,
                    difference=conclusion.difference,
                    axis=axis_name,
                    looks=len(looks),
                    same=same,
                    cannot_tell=unsure,
                    opposite=opposite,
                    finding=_finding(conclusion.says, same, opposite, len(looks)),
                )
            )
    return result


def _finding(conclusion: Direction, same: int, opposite: int, looks: int) -> Finding:
    if conclusion == "cannot tell":
        return "appears" if opposite else "open"
    if opposite:
        return "turns"
    return "survives" if same == looks else "weakens"
