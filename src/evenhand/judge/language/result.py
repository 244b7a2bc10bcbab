"""The result of a judgement of generations or likelihoods as a document, and its verdict sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from evenhand import registry
from evenhand.judge.documents import head
from evenhand.judge.language.robustness import AXES, direction
from evenhand.judge.language.rows import RobustnessRow
from evenhand.judge.result import WORDING, AuditResult, verdict_of
from evenhand.judge.rows import ComparisonRow, RateRow, Row
from evenhand.judge.settings import GENERATIVE, Settings
from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.tables.answers.generations import Generations
from evenhand.tables.answers.likelihoods import Likelihoods
from evenhand.tables.schema import Columns

SCHEMA = "evenhand.generative/1"

#: Options of a call that apply to these tables.
_COLUMNS = (
    "by",
    "memberships",
    "intersect",
    "id",
    "cluster",
    "arm",
    "run",
    "where",
    "split",
    "names",
    "inner",
    "resplit",
)


def build_result(
    table: Generations | Likelihoods,
    columns: Columns,
    settings: Settings,
    reference: int,
    rows: tuple[Sequence[RateRow], Sequence[ComparisonRow]],
    problems: Sequence[str],
    parts: Mapping[str, Any],
) -> AuditResult:
    """Build the document, in the order in which it is read.

    Args:
        table: the table that was judged.
        columns: the columns that were read.
        settings: the settings of the judgement.
        reference: index of the reference arm.
        rows: rows of `rates` and of `comparisons`.
        problems: remarks.
        parts: further tables, by name; their rows may be typed.
    """
    rates, comparisons = rows
    arms = list(dict.fromkeys(arm for arm, _ in table.arm_runs))
    candidates = [name for i, name in enumerate(arms) if i != reference]
    wording = replace(WORDING, least_runs=MIN_RUNS)
    verdict = verdict_of(comparisons, candidates, arms[reference], wording)
    if candidates:
        sentences = [
            *([verdict["sentence"]] if any(verdict["counts"].values()) else []),
            *token_sentences(parts.get("token_bias", {}).get("shifts", ())),
            *robustness_sentences(parts.get("survival", ())),
        ]
        verdict["sentence"] = " ".join(sentences) or verdict["sentence"]
    read = asdict(columns)
    return AuditResult(
        {
            **head(SCHEMA),
            "kind": "generations" if isinstance(table, Generations) else "likelihoods",
            "settings": {
                **{name: read[name] for name in _COLUMNS},
                "reference": arms[reference],
                "metrics": list(settings.metrics),
                "requested": requested(settings),
                "primary": list(settings.primary),
                "margin": settings.margin,
                "margins": dict(settings.margins),
                "alpha": settings.alpha,
                "error_rate": settings.error_rate,
                "attribute_weights": dict(settings.attribute_weights),
                "min_group_size": settings.min_group_size,
                "rng": settings.rng,
            },
            "inputs": [asdict(i) for i in table.inputs],
            "problems": list(problems),
            "rates": [row.to_dict() for row in rates],
            "disparities": [],
            "comparisons": [row.to_dict() for row in comparisons],
            **_plain(parts),
            "verdict": verdict,
        }
    )


def _plain(part: Any) -> Any:  # noqa: ANN401  (rows, and all that JSON can hold)
    """Turn the rows in a part of a document into objects."""
    if isinstance(part, Row):
        return part.to_dict()
    if isinstance(part, Mapping):
        return {key: _plain(value) for key, value in part.items()}
    return [_plain(value) for value in part] if isinstance(part, list) else part


def requested(settings: Settings) -> list[str]:
    """Return the measures that the call requested by name; empty where all of a kind were computed."""
    for name in registry.names(GENERATIVE):
        measures = registry.load(GENERATIVE, name).INFO.measures
        if settings.metrics and settings.metrics[0] in measures:
            kind = registry.load(GENERATIVE, name).INFO.needs
            infos = (registry.load(GENERATIVE, n).INFO for n in registry.names(GENERATIVE))
            every = {m for info in infos if info.needs == kind for m in info.measures}
            return [] if every <= set(settings.metrics) else list(settings.metrics)
    return []


def token_sentences(shifts: Sequence[ComparisonRow]) -> list[str]:
    """Report for each pair of arms whether token priors shifted, preferences for meanings, both or neither.

    Args:
        shifts: the shifts of effects, with simultaneous intervals.
    """
    findings = {
        (True, True): "both token priors and preferences for meanings shifted",
        (True, False): "token priors shifted, with no detected shift of preferences: token bias, not belief",
        (False, True): "preferences shifted, with no detected shift of token priors: belief, not token bias",
        (False, False): "no shift of token priors or of preferences for meanings is detected",
    }
    overall = [r for r in shifts if r.attribute is None and r.status != "undefined"]
    sentences = []
    for candidate, reference in dict.fromkeys((r.candidate, r.reference) for r in overall):
        pair_rows = [r for r in overall if (r.candidate, r.reference) == (candidate, reference)]
        tokens, meanings = (
            [r for r in pair_rows if r.metric == metric] for metric in ("token_prior", "meaning_preference")
        )
        moved = [[r for r in rows if direction(r) != "cannot tell"] for rows in (tokens, meanings)]
        finding = findings[bool(moved[0]), bool(moved[1])]
        sentences.append(
            f"{candidate} against {reference}: {finding} ({_shift_summary('tokens', moved[0], tokens)}; "
            f"{_shift_summary('meanings', moved[1], meanings)})."
        )
    return sentences


def _shift_summary(what: str, moved: Sequence[ComparisonRow], rows: Sequence[ComparisonRow]) -> str:
    """Report the number of effects that shifted, and the largest shift."""
    if not rows:
        return f"no {what} to compare"
    if moved:
        most = max(moved, key=lambda r: abs(r.difference))
        size = nats(most.difference, "+")
        return f"{len(moved)} of {len(rows)} {what}, most '{most.class_name}' by {size} nats"
    ends = [max(abs(r.low), abs(r.high)) for r in rows if r.status == "ok"]
    if not ends:
        return f"none of {len(rows)} {what} can be judged: {rows[0].reason}"
    return f"0 of {len(rows)} {what}, none by more than {nats(max(ends))} nats"


def nats(value: float, sign: str = "-") -> str:
    """Format nats with two decimals, small values with two digits, so that a shift is not shown as 0.00."""
    return f"{value:{sign}.2f}" if abs(value) >= 0.095 or value == 0 else f"{value:{sign}.2g}"


def robustness_sentences(rows: Sequence[RobustnessRow]) -> list[str]:
    """Report whether the conclusions about each candidate survive template, token and scoring."""
    sentences = []
    for candidate, reference in dict.fromkeys((r.candidate, r.reference) for r in rows):
        pair_rows = [r for r in rows if (r.candidate, r.reference) == (candidate, reference)]
        subject = f"how often {candidate} chooses each meaning, compared with {reference}"
        detected = {r.meaning: r for r in pair_rows if r.says != "cannot tell"}
        if not detected:
            appears = sum(r.finding == "appears" for r in pair_rows)
            checks = f"{appears} of {len(pair_rows)} checks by template, token or scoring show one"
            sentences.append(f"No difference is detected in {subject}{f'; {checks}' if appears else ''}.")
            continue
        parts = []
        for axis in AXES.values():
            findings = [r.finding for r in pair_rows if r.axis == axis and r.meaning in detected]
            counts = {f: findings.count(f) for f in ("survives", "weakens", "turns")}
            tally = ", ".join(f"{n} {finding}" for finding, n in counts.items() if n)
            parts.append(f"{axis}: {tally if findings else 'only one'}")
        firm = all(r.finding == "survives" for r in pair_rows if r.meaning in detected)
        shares = ", ".join(f"{meaning} {r.difference:+.3f}" for meaning, r in detected.items())
        sentences.append(
            f"Conclusions on {subject} ({shares}) {'survive' if firm else 'do not all survive'} template, "
            f"token and scoring ({'; '.join(parts)})."
        )
    return sentences
