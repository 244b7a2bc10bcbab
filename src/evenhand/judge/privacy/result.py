"""What an attack returns, and the sentence it ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings
from evenhand.judge.result import WORDS, AuditResult, certain_harm, place
from evenhand.tables.schema import Columns
from evenhand.tables.signals import Signals

SCHEMA = "evenhand.attack/1"

#: Which fields of `Columns` an attack reads.
READ = ("by", "memberships", "intersect", "id", "arm", "run", "where", "split", "names")


@dataclass(frozen=True)
class AttackResult(AuditResult):
    """The result of an attack. `to_dict()` is exactly the JSON that the command writes."""


def title(metric: str) -> str:
    """The name of a number of an attack in a sentence."""
    known = {AUC: "AUC", BALANCED: "balanced accuracy"}
    if metric in known:
        return known[metric]
    return f"true positive rate at {100 * float(metric.rpartition('_')[2]):g} % false positives"


def document(
    signals: Signals,
    columns: Columns,
    settings: PrivacySettings,
    attacks: Sequence[str],
    reference: int,
    rows: Mapping[str, list[dict[str, Any]]],
    problems: Sequence[str],
) -> dict[str, Any]:
    """The whole result, in the order in which it is read."""
    arms = [arm.name for arm in signals.arms]
    candidates = [name for i, name in enumerate(arms) if i != reference]
    return {
        "schema": SCHEMA,
        "evenhand": version("evenhand"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {
            **{k: v for k, v in asdict(columns).items() if k in READ},
            "reference": arms[reference],
            "attacks": list(attacks),
            "metrics": list(settings.metrics),
            "primary": list(settings.primary),
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
        "rates": rows["rates"],
        "comparisons": rows["comparisons"],
        "vulnerability": rows["vulnerability"],
        "roc": rows["roc"],
        "stability": rows["stability"],
        "verdict": verdict_of(rows["comparisons"], rows["rates"], candidates, arms[reference]),
    }


def verdict_of(
    comparisons: Sequence[dict[str, Any]],
    rates: Sequence[dict[str, Any]],
    candidates: Sequence[str],
    reference: str,
) -> dict[str, Any]:
    """Counts, worst row and sentence of the primary comparisons."""
    primary = [c for c in comparisons if c["family"] == "primary"]
    counts = {w: sum(c["verdict"] == w for c in primary) for w in WORDS}
    worst = max((c for c in primary if c["verdict"] == "harm"), key=certain_harm, default=None)
    keys = ("candidate", "attack", "attribute", "group", "metric", "difference", "low", "high", "verdict")
    return {
        "counts": counts,
        "worst": None if worst is None else {k: worst[k] for k in keys},
        "sentence": _sentence(primary, counts, worst, rates, (reference, candidates)),
    }


def _sentence(
    primary: Sequence[dict[str, Any]],
    counts: Mapping[str, int],
    worst: Mapping[str, Any] | None,
    rates: Sequence[dict[str, Any]],
    arms: tuple[str, Sequence[str]],
) -> str:
    """One sentence, for these runs or for the method, whichever the statistics allow."""
    reference, candidates = arms
    if not candidates:
        return f"One arm: {_leakage(rates)} A verdict needs a second arm to compare with."
    who = candidates[0] if len(candidates) == 1 else f"{len(candidates)} candidates"
    judged = sum(counts.values())
    if judged == 0:
        return f"Leakage of {who} against {reference}: no comparison could be judged; see the reasons in the table."
    tally = ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w])
    said = f"Leakage of {who} against {reference}: of {judged} comparisons by group: {tally}."
    if worst is not None:
        named = f"{worst['candidate']} " if len(candidates) > 1 else ""
        said += (
            f" Worst: {named}{title(worst['metric'])} of {worst['attack']} for {place(worst)}, "
            f"{worst['difference']:+.3f} ({worst['level']:.0%} interval {worst['low']:+.3f} to {worst['high']:+.3f})."
        )
    if {c["unit"] for c in primary if c["verdict"]} == {"rows"}:
        runs = max(c["runs"] for c in primary)
        thing = "these runs" if runs > 1 else "these very models"
        said += (
            f" This holds for {thing}, not for the method: that takes at least 5 attacked runs of each arm."
        )
    return said


def _leakage(rates: Sequence[dict[str, Any]]) -> str:
    """Say how well the strongest attack tells members over all rows."""
    overall = [r for r in rates if r["metric"] == AUC and r["attribute"] is None and r["status"] == "ok"]
    if not overall:
        return "no attack could be measured."
    best = max(overall, key=lambda r: float(r["value"]))
    level = f"{best['level']:.0%} interval {best['low']:.3f} to {best['high']:.3f}"
    return (
        f"the strongest attack, {best['attack']}, has an AUC of {best['value']:.3f} over all rows ({level})."
    )
