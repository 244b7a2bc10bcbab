"""Answers that change between arms, compared with those that change between runs of one arm."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Document, number


def flips_line(document: Document, *, most: int) -> str:
    """State how many answers change over all rows, and how many between two runs of one arm.

    Args:
        document: of an audit, of generations or of likelihoods.
        most: candidates that are named.

    Returns:
        One sentence; empty where nothing is compared, or no metric counts answers.
    """
    metrics = ("accuracy", *(str(m) for m in document.get("settings", {}).get("primary") or ()))
    overall = [r for r in document["comparisons"] if r["attribute"] is None and r.get("class") is None]
    able = [r for r in overall if wording.flips(r)]
    metric = next((m for m in metrics if any(r["metric"] == m for r in able)), None)
    rows = [r for r in able if r["metric"] == metric]
    if not rows:
        return ""
    right, wrong = wording.answer_words(str(metric))
    parts: list[str] = []
    for row in rows[:most]:
        lost, won = (
            wording.count(number(row, "n_right_to_wrong")),
            wording.count(number(row, "n_wrong_to_right")),
        )
        between = number(row, "n_right_to_wrong_between_runs")
        text = f"{lost} {right}→{wrong} and {won} {wrong}→{right}" if not parts else f"{lost} and {won}"
        if between is not None:
            spread = wording.count(round(between, 1))
            text += f" ({spread})" if parts else f" ({spread} {right}→{wrong} between two runs of one arm)"
        parts.append(f"{row['candidate']} {text}")
    parts += [wording.format_quantity(len(rows) - most, "more candidate")] if len(rows) > most else []
    of = "" if metric == "accuracy" else f" by {wording.metric_name(str(metric))}"
    total = wording.format_quantity(number(rows[0], "n"), "row")
    return f"Answers that changed{of} relative to {rows[0]['reference']}, over {total}: {'; '.join(parts)}."
