"""What pages and figures show of an `evenhand.generative/1` document: the same rows for both."""

from __future__ import annotations

from evenhand.report.document import Document, Row
from evenhand.tables.answers.pronouns import NAMED

#: Shares by the gender of an output, and by the stereotype of the occupation.
GENDERS = tuple(f"share_{gender}" for gender in NAMED)
STEREOTYPES = ("share_pro", "share_anti")

#: By the kind of a twin, what its answers can keep: where it only reorders, token and meaning go together.
OUTCOMES = {"inverted": ("meaning", "token"), "reordered": ("both",)}


def options(document: Document) -> list[Row]:
    """Shares of the options, by the declared scoring."""
    return [r for r in document["options"] if r["scoring"] == document["scoring"]]


def twins(document: Document) -> list[Row]:
    """How often answers to twins of templates keep what they can keep, by the declared scoring."""
    rows = (r for r in document["inversions"] if r["scoring"] == document["scoring"])
    return [r for r in rows if r["outcome"] in OUTCOMES[str(r["kind"])]]


def scores(document: Document) -> list[Row]:
    """Scores of translations, against the gold and its renderings."""
    return list(document["quality"]["rates"])
