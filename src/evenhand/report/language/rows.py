"""Rows of an `evenhand.generative/1` document that pages and figures show alike."""

from __future__ import annotations

from evenhand.report.document import Document, Row
from evenhand.tables.answers.pronouns import NAMED

#: Shares by the gender of an output, and by the stereotype of the occupation.
GENDERS = tuple(f"share_{gender}" for gender in NAMED)
STEREOTYPES = ("share_pro", "share_anti")

#: Outcomes by the kind of a twin: in reordered twins token and meaning cannot be separated.
OUTCOMES = {"inverted": ("meaning", "token"), "reordered": ("both",)}


def options(document: Document) -> list[Row]:
    """Select the shares of the options by the declared scoring."""
    return [r for r in document["options"] if r["scoring"] == document["scoring"]]


def twins(document: Document) -> list[Row]:
    """Select the rates at which answers to twins keep token or meaning, by the declared scoring."""
    rows = (r for r in document["inversions"] if r["scoring"] == document["scoring"])
    return [r for r in rows if r["outcome"] in OUTCOMES[str(r["kind"])]]


def scores(document: Document) -> list[Row]:
    """List the scores of translations against the gold and its renderings."""
    return list(document["quality"]["rates"])
