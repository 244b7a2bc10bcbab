"""The result of an audit, and its concluding sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from evenhand import registry
from evenhand.errors import plural
from evenhand.judge.core.learnt import (
    nothing_learnt,
    run_sentences,
    runs_not_learnt,
    sentences,
    warning,
)
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.documents import head, without_nan
from evenhand.judge.metrics import MetricInfo
from evenhand.judge.rows import ComparisonRow, DisparityRow, RateRow
from evenhand.judge.settings import DISPARITIES, GENERATIVE, METRICS, Settings
from evenhand.judge.stats.combine import MIN_RUNS, MIN_RUNS_MODERATED
from evenhand.tables.schema import Columns, Predictions

SCHEMA = "evenhand.audit/1"
WORDS = ("harm", "harmless", "help", "undecided")

#: Metrics that a sentence names one by one.
MAX_NAMED_METRICS = 3

#: The scope of verdicts. A few runs of an arm do not estimate the variation of further runs.
THESE_RUNS, THE_METHOD = "these runs", "the method"


@dataclass(frozen=True)
class AuditResult:
    """The result of an audit. `to_dict()` is exactly the JSON that the command writes."""

    document: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The document: plain lists, dicts, strings and numbers, None where a number is undefined."""
        plain: dict[str, Any] = json.loads(json.dumps(without_nan(self.document), allow_nan=False))
        return plain

    def to_json(self) -> str:
        """The document as JSON text."""
        return json.dumps(without_nan(self.document), allow_nan=False, ensure_ascii=False, indent=1)

    @property
    def verdict(self) -> dict[str, Any]:
        """Counts of the verdicts, the worst row and the sentence."""
        verdict: dict[str, Any] = without_nan(self.document["verdict"])
        return verdict

    @property
    def rates(self) -> list[dict[str, Any]]:
        """Rows of rates: one arm, group and metric each."""
        rows: list[dict[str, Any]] = without_nan(self.document["rates"])
        return rows

    @property
    def disparities(self) -> list[dict[str, Any]]:
        """Rows of disparities: one arm, attribute and disparity each."""
        rows: list[dict[str, Any]] = without_nan(self.document["disparities"])
        return rows

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        """Rows of comparisons: one candidate, group and metric each."""
        rows: list[dict[str, Any]] = without_nan(self.document["comparisons"])
        return rows

    @property
    def averages(self) -> list[dict[str, Any]]:
        """Rows of averages: one average of arms, group and metric each, like comparisons."""
        rows: list[dict[str, Any]] = without_nan(self.document.get("averages", []))
        return rows

    @property
    def collective(self) -> list[dict[str, Any]]:
        """Rows of claims: the least number of groups that a candidate harms or helps, in one metric each."""
        rows: list[dict[str, Any]] = without_nan(self.document.get("collective", []))
        return rows

    @property
    def shrunken(self) -> list[dict[str, Any]]:
        """Rows of groups whose differences are drawn towards those of the other groups of their attribute."""
        rows: list[dict[str, Any]] = without_nan(self.document.get("shrunken", []))
        return rows

    def __repr__(self) -> str:
        return f"AuditResult({self.document['verdict']['sentence']!r})"


@dataclass(frozen=True)
class Wording:
    """The words of a verdict's sentence that differ between kinds of results.

    Attributes:
        alone: the whole sentence of a result with one arm.
        about: the subject of the comparison, before the names of the arms.
        what: describes a row by its metric and its group.
        runs: the noun for repetitions of an arm (runs, seeds).
        number: the display name of a metric.
        least_runs: runs of each arm from which verdicts may be about the method.
    """

    alone: str
    about: str
    what: Callable[[ComparisonRow], str]
    runs: str
    number: Callable[[str], str]
    least_runs: int = MIN_RUNS


def verdict_of(
    comparisons: Sequence[ComparisonRow],
    candidates: Sequence[str],
    reference: str,
    wording: Wording | None = None,
) -> dict[str, Any]:
    """Summarise the primary comparisons: scope, counts of verdicts, the worst row and a sentence.

    Args:
        comparisons: rows of all families; only those of the primary family count.
        candidates: names of the candidate arms; none gives the sentence for one arm.
        reference: name of the reference arm.
        wording: words of the sentence; those of an audit by default.
    """
    wording = wording or WORDING
    primary = [c for c in comparisons if c.family == "primary"]
    counts = {w: sum(c.verdict == w for c in primary) for w in WORDS}
    worst = max((c for c in primary if c.verdict == "harm"), key=certain_harm, default=None)
    sentence = wording.alone
    if candidates:
        sentence = _sentence(primary, counts, worst, (candidates, reference), wording)
    row = {} if worst is None else worst.to_dict()
    keys = (
        *("candidate", "attack", "attribute", "group", "class"),
        *("metric", "difference", "low", "high", "verdict"),
    )
    return {
        "about": about(primary),
        "counts": counts,
        "worst": None if worst is None else {k: row[k] for k in keys if k in row},
        "sentence": sentence,
    }


def about(comparisons: Sequence[ComparisonRow]) -> str | None:
    """Return the scope of some verdicts: one comparison of few runs limits all of them to these runs.

    Returns:
        `these runs` or `the method`; None where no comparison has a verdict.
    """
    units = {c.unit for c in comparisons if c.verdict}
    if not units:
        return None
    return THESE_RUNS if "rows" in units else THE_METHOD


def group_label(row: ComparisonRow | RateRow) -> str:
    """Format the group of a row: `race=Black`, `race=Black x sex=F`, `race`, or `all rows`."""
    attribute, group = row.attribute, row.group
    if attribute is None:
        name = "all rows"
    elif group is None:
        name = attribute
    else:
        columns, values = attribute.split(" x "), group.split(" x ")
        crossed = len(columns) == len(values) > 1
        name = (
            " x ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True))
            if crossed
            else f"{attribute}={group}"
        )
    return name if row.class_name is None else f"{name} (class {row.class_name})"


def title(metric: str) -> str:
    """The name of a metric or disparity in a sentence."""
    return str(facts(metric).title)


def facts(metric: str) -> MetricInfo | DisparityInfo:
    """Return the facts about a metric, a disparity or a measure of generations and likelihoods.

    Raises:
        UnknownNameError: no metric, disparity or measure has this name.
    """
    for name in registry.names(GENERATIVE):
        measures: Mapping[str, MetricInfo] = registry.load(GENERATIVE, name).INFO.measures
        if metric in measures:
            return measures[metric]
    folder = METRICS if metric in registry.names(METRICS) else DISPARITIES
    info: MetricInfo | DisparityInfo = registry.load(folder, metric).INFO
    return info


def certain_harm(row: ComparisonRow) -> float:
    """Return the size of the limit nearest 0: the harm is at least this large."""
    return min(abs(row.low), abs(row.high))


def _sentence(
    primary: Sequence[ComparisonRow],
    counts: Mapping[str, int],
    worst: ComparisonRow | None,
    arms: tuple[Sequence[str], str],
    wording: Wording,
) -> str:
    """Build the sentence, about the models, the runs or the method, as far as the statistics allow."""
    candidates, reference = arms
    who = candidates[0] if len(candidates) == 1 else f"{len(candidates)} candidates"
    sentence = f"{wording.about}{who} against {reference}:"
    judged = [c for c in primary if c.verdict]
    if not judged:
        return f"{sentence} no comparison could be judged; the table lists the reasons."
    scope = "these runs" if max(c.runs for c in judged) > 1 else "these very models"
    few_runs = about(judged) == THESE_RUNS
    if few_runs:
        sentence = f"In {scope}, {sentence[:1].lower() if wording.about else sentence[:1]}{sentence[1:]}"
    tally = ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w])
    compared = f"{plural(len(judged), 'comparison')}"
    sentence += f" of {compared} of {_metrics(judged, wording)} by group: {tally}."
    if worst is not None:
        named = f"{worst.candidate} " if len(candidates) > 1 else ""
        sentence += (
            f" Worst: {named}{wording.what(worst)}, {worst.difference:+.3f}"
            f" ({worst.level:.0%} interval {worst.low:+.3f} to {worst.high:+.3f})."
        )
    if few_runs:
        # Some comparisons need more runs than others; those with enough of the fewer need the greater number.
        more = any(c.unit == "rows" and c.runs >= wording.least_runs for c in judged)
        sentence += (
            f" This holds for {scope}, not for the method: conclusions about the method need at least"
            f" {MIN_RUNS if more else wording.least_runs} {wording.runs} of each arm."
        )
    return sentence


def _metrics(judged: Sequence[ComparisonRow], wording: Wording) -> str:
    """List the metrics of some comparisons, or count them when they are many."""
    names = [wording.number(metric) for metric in dict.fromkeys(c.metric for c in judged)]
    if len(names) > MAX_NAMED_METRICS:
        return f"{len(names)} metrics"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


#: Of audits.
WORDING = Wording(
    alone="One arm: rates and disparities with intervals; a verdict needs a second arm to compare with.",
    about="",
    what=lambda row: f"{title(row.metric)} of {group_label(row)}",
    runs="runs",
    number=title,
    least_runs=MIN_RUNS_MODERATED,
)


def document(
    predictions: Predictions,
    columns: Columns,
    settings: Settings,
    rates: Sequence[RateRow],
    disparities: Sequence[DisparityRow],
    comparisons: Sequence[ComparisonRow],
    reference: int,
) -> dict[str, Any]:
    """Build the document of an audit, with its keys in reading order."""
    arms = [arm.name for arm in predictions.arms]
    candidates = [name for i, name in enumerate(arms) if i != reference]
    idle = nothing_learnt(predictions, reference)
    failed_runs = runs_not_learnt(predictions, idle)
    # Rows of their own leave variances over runs as they are: they take five runs.
    wording = replace(WORDING, least_runs=MIN_RUNS) if predictions.resplit else WORDING
    verdict = verdict_of(comparisons, candidates, arms[reference], wording)
    return {
        **head(SCHEMA),
        "settings": {
            **asdict(columns),
            "reference": arms[reference],
            "metrics": [*settings.chosen_metrics, *settings.chosen_disparities],
            "requested": list(settings.metrics),
            "primary": list(settings.declared),
            "average": list(settings.average),
            "margin": settings.margin,
            "margins": dict(settings.margins),
            "alpha": settings.alpha,
            "error_rate": settings.error_rate,
            "attribute_weights": dict(settings.attribute_weights),
            "min_group_size": settings.min_group_size,
            "rng": settings.rng,
            "classes": list(predictions.classes),
            "positive": None if predictions.positive is None else predictions.classes[predictions.positive],
        },
        "inputs": [asdict(i) for i in predictions.inputs],
        "problems": [
            *sentences(idle),
            *run_sentences(failed_runs),
            *predictions.problems,
            *_sparse_label_remarks(rates, settings),
        ],
        "nothing_learnt": idle,
        "runs_not_learnt": failed_runs,
        "rates": [row.to_dict() for row in rates],
        "disparities": [row.to_dict() for row in disparities],
        "comparisons": [row.to_dict() for row in comparisons],
        "verdict": {**verdict, "sentence": warning(idle) + verdict["sentence"]},
    }


def _sparse_label_remarks(rates: Sequence[RateRow], settings: Settings) -> list[str]:
    """Remark on groups that are large enough but have few rows of one label, on which their rates rest."""
    remarks = []
    for metric, word in (("true_positive_rate", "positive"), ("false_positive_rate", "negative")):
        labels = {}
        for r in rates:
            if r.metric == metric and r.group is not None and r.status == "ok":
                positives = r.n_positive or 0
                rows = positives if word == "positive" else r.n - positives
                if rows < settings.min_group_size:
                    labels[group_label(r)] = f"{group_label(r)} ({rows})"
        if labels:
            shown = ", ".join(list(labels.values())[:5]) + (" and others" if len(labels) > 5 else "")
            remarks.append(
                f"Few rows with a {word} label: {shown}. The {title(metric)} there, and disparities that"
                " use it, rest on these few rows, so their intervals are wide."
            )
    return remarks
