"""The last section of an audit page: the methods behind its numbers, in words."""

from __future__ import annotations

from evenhand.report import averages, collective, wording
from evenhand.report.audit import shrunken
from evenhand.report.document import Document, Row, arms, number, unique
from evenhand.report.wording import amount, metric_name


def how_computed(document: Document) -> list[tuple[str, str]]:
    """Describe the methods behind the numbers, as pairs of a heading and a paragraph."""
    settings = document.get("settings", {})
    alpha = float(settings.get("alpha", 0.05))
    level = wording.percent(1 - alpha)
    smallest = settings.get("min_group_size", 10)
    paragraphs = [("Quantities estimated", _estimated(document))]
    if document["comparisons"]:
        paragraphs += [
            ("Families and level", _families(settings, level)),
            ("Verdicts", _verdict_rule(settings)),
            *([(collective.HEADING, collective.method(level))] if document.get("collective") else []),
            *([(averages.HEADING, averages.method(document, level))] if document.get("averages") else []),
            *([(shrunken.HEADING, shrunken.method(document))] if shrunken.view(document) else []),
            ("Scope of the verdicts", wording.unit_note(document)),
            (
                "Flips",
                "Rows whose answer changes from right to wrong, or from wrong to right, are counted in each "
                "run and averaged over runs: equal rates can hide changes in individual rows. The number of "
                "rows that change between two runs of one arm, averaged over pairs of its runs and over both "
                "arms, is given for comparison: so many change without any change of the method.",
            ),
        ]
    paragraphs += [
        ("Rates and disparities", _pointwise(level)),
        (
            "Undefined values and small groups",
            "A value that the data do not define, such as a true positive rate without positives, is left "
            f"empty with its reason, never set to 0. A group of fewer than {smallest} rows is listed "
            "without a verdict and is left out of disparities, which name it.",
        ),
    ]
    kinds = [
        str(k)
        for k in unique([*document["comparisons"], *document["rates"], *document["disparities"]], "interval")
    ]
    kinds = [k for k in dict.fromkeys(kinds) if k != "None"]
    if kinds:
        paragraphs.append(("Intervals used", "; ".join(kinds) + "."))
    paragraphs.append(
        ("Random draws", f"Seed {settings.get('rng', 0)}: the same input gives the same numbers.")
    )
    return paragraphs


def _estimated(document: Document) -> str:
    names = arms(document)
    if len(names) < 2:
        return (
            "Rates of one arm by group, and disparities between its groups; a single arm has no comparisons."
        )
    candidates = ", ".join(names[1:])
    return (
        "Differences candidate − reference, row by row on the same examples: "
        f"{candidates} against {names[0]}. Pairing removes the variation that the arms share."
    )


def _families(settings: Row, level: str) -> str:
    names = ", ".join(metric_name(str(m)) for m in settings.get("primary", ())) or "the primary metrics"
    alpha = float(settings.get("alpha", 0.05))
    if settings.get("error_rate") == "false_discovery":
        meaning = (
            "The false discovery rate was declared as its error rate: of the differences whose interval "
            f"excludes 0, at most {alpha:.0%} are expected to have the wrong sign or to be 0, and of the "
            f"verdicts harmless at most {alpha:.0%} to be wrong. Single verdicts are less certain than with "
            "the familywise error rate."
        )
    else:
        meaning = (
            f"Its intervals are simultaneous: with probability {level} all of them contain their true "
            "differences, which accounts for the number of groups. The verdict harmless rests on one-sided "
            f"limits, which also hold with probability {level} all at once."
        )
    return (
        f"The primary family is {names}, times all groups, attributes and candidates; it was declared before "
        f"the data were read. {meaning} An adjusted p-value is below {alpha:g} exactly when its interval "
        "excludes 0. All other comparisons are exploratory: their intervals hold within the family of one "
        "metric, without a verdict."
    )


def _verdict_rule(settings: Row) -> str:
    default = number(settings, "margin")
    margins = settings.get("margins") or {}
    exceptions = "".join(
        f", {amount(float(v), str(k))} for {metric_name(str(k))}" for k, v in margins.items()
    )
    default_text = (
        ""
        if default is None
        else f" The margin is {amount(default, 'accuracy')} points for rates{exceptions}."
    )
    meanings = " ".join(f"{v.capitalize()}: {wording.VERDICT_MEANINGS[v]}" for v in wording.SYMBOLS)
    return (
        f"{meanings}{default_text} A metric without a direction, such as the selection rate, gets no verdict."
    )


def _pointwise(level: str) -> str:
    return (
        f"Rates of single arms carry pointwise {level} intervals: each holds on its own, not jointly. "
        "Intervals of disparities come from simultaneous bounds on the contrasts between groups, because the "
        "largest gap among many groups is above zero even if no groups differ."
    )


def forest_caption() -> str:
    """Explain how to read a forest plot."""
    return (
        "Each line is the simultaneous interval of the difference candidate − reference; "
        "each symbol is the estimate. "
        "Signs are the same for every metric: the arrows under each panel show which direction is worse. "
        "The shaded band is the margin on either side of zero. A line at the edge continues beyond it."
    )
