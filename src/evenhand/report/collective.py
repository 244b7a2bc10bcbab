"""Sentences on several groups at once: at least how many of them a candidate harms, or helps."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Document, Row, number, primary, verdict_of

HEADING = "Groups taken together"

_WORDS = {"harm": "harmed", "help": "helped"}


def claims(document: Document) -> list[tuple[str, str, str]]:
    """List the claims that say more than the verdicts on single groups, as (verdict, label, sentence).

    Args:
        document: of an audit; other documents have no claims.
    """
    rows = [(row, _one_by_one(document, row)) for row in document.get("collective", ())]
    telling = [(row, single) for row, single in rows if row["at_least"] > single]
    telling.sort(key=lambda claim: (claim[0]["claim"] != "harm", -claim[0]["at_least"]))
    return [(r["claim"], f"{wording.SYMBOLS[r['claim']]} {r['claim']}", sentence(r, n)) for r, n in telling]


def sentence(row: Row, single: int) -> str:
    """State a claim.

    Args:
        row: of the table `collective`.
        single: groups with this verdict on their own.
    """
    lead = "In these runs, at least" if row.get("unit") == "rows" else "At least"
    least, verb = row["at_least"], "is" if row["at_least"] == 1 else "are"
    groups = f"{least} of {len(row['groups_used'])} groups of {row['attribute']}"
    level = wording.percent(number(row, "level"))
    alone = "none is" if not single else f"{single} {'is' if single == 1 else 'are'}"
    return (
        f"{lead} {groups} {verb} {_WORDS[row['claim']]} by {row['candidate']} in {wording.measure(row)} "
        f"({level}); one by one, {alone}."
    )


def method(level: str) -> str:
    """Describe how groups are counted.

    Args:
        level: of the claims, as text.
    """
    return (
        "For every candidate, attribute and primary metric, closed testing over all sets of groups gives the "
        "least number of groups that are harmed, and that are helped. Groups whose own interval shows that "
        "the difference is below the margin do not count. With probability "
        f"{level} all of these claims are true. They are a second family, beside that of the verdicts on "
        "single groups; they are listed where they count more groups than those verdicts do."
    )


def _one_by_one(document: Document, claim: Row) -> int:
    """Count the groups that have the claim's verdict on their own."""
    keys = ("candidate", "attribute", "class", "metric")
    rows = [r for r in primary(document) if verdict_of(r) == claim["claim"] and r["group"] is not None]
    return sum(all(r[k] == claim[k] for k in keys) for r in rows)
