"""The result of an attack as a document, and its verdict sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evenhand.judge.documents import head
from evenhand.judge.privacy.rows import AttackComparisonRow, AttackTables, LeakageRow, Status
from evenhand.judge.privacy.settings import AUC, PrivacySettings, measure
from evenhand.judge.result import AuditResult, Wording, group_label, verdict_of
from evenhand.judge.rows import ComparisonRow
from evenhand.tables.schema import Columns
from evenhand.tables.signals.schema import Signals

SCHEMA = "evenhand.attack/1"

#: Fields of `Columns` that an attack uses.
READ = ("by", "memberships", "intersect", "id", "arm", "run", "where", "split", "names")


@dataclass(frozen=True)
class AttackResult(AuditResult):
    """The result of an attack. `to_dict()` is exactly the JSON that the command writes."""


def title(metric: str) -> str:
    """Return the name of a number of an attack, as used in a sentence."""
    known = measure(metric)
    return known.title.removesuffix(" of the attack") if known else metric


def document(
    signals: Signals,
    columns: Columns,
    settings: PrivacySettings,
    attacks: Sequence[str],
    reference: int,
    tables: AttackTables,
    problems: Sequence[str],
) -> dict[str, Any]:
    """Build the document, in the order in which it is read."""
    arms = [arm.name for arm in signals.arms]
    candidates = [name for i, name in enumerate(arms) if i != reference]
    return {
        **head(SCHEMA),
        "settings": {
            **{k: v for k, v in asdict(columns).items() if k in READ},
            "reference": arms[reference],
            "attacks": list(attacks),
            "metrics": list(settings.metrics),
            "primary": list(settings.declared),
            "margin": settings.margin,
            "alpha": settings.alpha,
            "fprs": list(settings.fprs),
            "min_group_size": settings.min_group_size,
            "rng": settings.rng,
        },
        "inputs": [asdict(i) for i in signals.inputs],
        "design": [
            {
                "input": arm.name,
                "targets": len(arm.targets),
                "references": len(arm.runs) - 1 if arm.shared else int((~arm.target).sum()),
                "shared": arm.shared,
                "rows": len(signals.ids),
                "members": round(float(arm.member[arm.targets].sum(axis=1).mean()), 2),
                "views": arm.loss.shape[2],
            }
            for arm in signals.arms
        ],
        "problems": list(dict.fromkeys(problems)),
        **tables.to_dict(),
        "verdict": verdict_of(tables.comparisons, candidates, arms[reference], _wording(tables.rates)),
    }


def _what(row: ComparisonRow) -> str:
    """Describe a row by its metric, its attack and its group."""
    assert isinstance(row, AttackComparisonRow)
    return f"{title(row.metric)} of {row.attack} for {group_label(row)}"


def _wording(rates: Sequence[LeakageRow]) -> Wording:
    """Return the wording of the verdict for attacks."""
    return Wording(
        alone=f"One arm: {_leakage(rates)} A verdict needs a second arm to compare with.",
        about="Leakage of ",
        what=_what,
        runs="attacked runs",
        number=title,
    )


def _leakage(rates: Sequence[LeakageRow]) -> str:
    """Report how well the strongest attack identifies members over all rows."""
    overall = [r for r in rates if r.metric == AUC and r.attribute is None and r.status is Status.OK]
    if not overall:
        return "no attack could be measured."
    best = max(overall, key=lambda r: r.value)
    level = f"{best.level:.0%} interval {best.low:.3f} to {best.high:.3f}"
    return f"the strongest attack, {best.attack}, has an AUC of {best.value:.3f} over all rows ({level})."
