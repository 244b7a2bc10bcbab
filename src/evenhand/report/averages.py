"""Words on methods whose arms are compared with the reference on average."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.report import wording
from evenhand.report.document import Document, Row, unique, verdict_of, worst_first

HEADING = "Methods on average"


def ranked(document: Document) -> list[Row]:
    """Return the comparisons of averages, worst first; none in documents without averages."""
    return worst_first(document.get("averages", ()))


def lines(document: Document) -> list[str]:
    """State the counts of the verdicts on each average."""
    rows = document.get("averages", ())
    return [_line([r for r in rows if r["candidate"] == name]) for name in unique(rows, "candidate")]


def _line(rows: Sequence[Row]) -> str:
    about = ", in these runs" if wording.of_few_runs(rows) else ""
    verdicts = [verdict_of(r) for r in rows]
    counts = "   ".join(f"{symbol} {verdicts.count(word)} {word}" for word, symbol in wording.SYMBOLS.items())
    without = verdicts.count(None)
    return (
        f"{rows[0]['candidate']} against {rows[0]['reference']}{about}: {counts}"
        f"{f'   ({without} without a verdict)' if without else ''}"
    )


def method(document: Document, level: str) -> str:
    """Describe averages.

    Args:
        document: of an audit with averages.
        level: of the family, as text.
    """
    rows = document["averages"]
    named = {str(r["candidate"]): r["arms"] for r in rows}
    members = "; ".join(f"{name}: {', '.join(arms)}" for name, arms in named.items())
    return (
        f"{members}. The answers of equal runs are averaged over the arms, and the average is compared with "
        f"{rows[0]['reference']} like one arm. These comparisons were declared before the data were read and "
        f"are a family of their own: with probability {level} all of their intervals contain their true "
        "differences. They are not in the counts of the verdict."
    )
