"""Sentences of a report on membership inference."""

from __future__ import annotations

from evenhand.errors import plural
from evenhand.report import wording
from evenhand.report.document import Document, Row, number

VERDICT_MEANINGS = {
    "harm": "The candidate leaks more than the reference, and a rise as large as the margin is not excluded.",
    "undecided": "The data can neither show more leakage nor exclude a rise as large as the margin.",
    "help": "The candidate leaks less than the reference, and a fall as large as the margin is not excluded.",
    "harmless": "A rise of the leakage as large as the margin is excluded.",
}

ROC_CAPTION = (
    "The horizontal axis is the false positive rate: the share of all non-members that are classified as "
    "members. The vertical axis is the true positive rate: the share of the group's members that are "
    "identified at the same threshold, which is common to all groups. The dotted line of an arm is the "
    "share of the group's own non-members above that threshold: where the curve coincides with it, "
    "nothing leaks in this group. Both axes are logarithmic, because what matters is how many members are"
    " identified at a low false positive rate. A curve is the mean over attacked runs and begins where "
    "the number of non-members can resolve it."
)
RATES_CAPTION = (
    "Intervals are pointwise: each holds on its own. The AUC compares a group's members with its own "
    "non-members, so .5 is chance in every group; the true positive rate uses the threshold of all rows."
)
VULNERABILITY_CAPTION = (
    "The difference between the groups of an attribute, and the difference expected by chance if nothing "
    "leaked (membership permuted between the rows of a group). A finding requires both: a difference "
    "above this control, and evidence against equal vulnerability of the groups."
)
STABILITY_CAPTION = (
    "For rows that were in the training set of several runs: the share identified as members in all, some"
    " and none of these runs. The correlation is 1 if identification depends on the row alone, and 0 if "
    "it depends on chance alone."
)


def sentence(row: Row) -> str:
    """Describe one comparison, with its attack."""
    return f"{row['attack']}: {wording.comparison_sentence(row)}"


def identified_counts(row: Row) -> str:
    """State the mean number of members identified under one arm only; empty if not counted."""
    before, now = number(row, "n_found_before"), number(row, "n_found_now")
    if before is None or now is None:
        return ""
    return f"{rough(before)} / {rough(now)}"


def rough(value: float) -> str:
    """Format a mean number of rows."""
    return f"{value:.1f}" if value < 10 and not float(value).is_integer() else f"{value:,.0f}"


def gap_finding(row: Row) -> str:
    """State whether a difference between groups exceeds chance."""
    p, level = number(row, "p_value"), number(row, "level")
    if p is None or level is None:
        return wording.status_reason(row)
    if p <= 1 - level + 1e-9:
        return "groups are unequally vulnerable"
    # Not significant: report the weaker of the two parts of the test, the permutation control first.
    control, alike = number(row, "p_control"), number(row, "p_alike")
    if control is not None and control > 1 - level:
        return "no more than without any leakage"
    return "groups may be equally vulnerable" if alike is not None else "no detectable difference"


def design_line(row: Row) -> str:
    """Describe how the models of an arm are attacked."""
    views = f", {row['views']} views of a row" if row["views"] > 1 else ""
    if row["shared"]:
        kind = (
            f"each a reference for the other {row['references']}"
            if row["references"]
            else "without references"
        )
    else:
        kind = f"with {row['references']} reference models that are not attacked"
    runs = f"{plural(row['targets'], 'attacked run')}"
    return (
        f"{row['input']}: {runs}, {kind}; {wording.format_quantity(row['rows'], 'row')}, "
        f"{wording.count(row['members'])} of them members on average{views}."
    )


def how_computed(document: Document) -> list[tuple[str, str]]:
    """Describe the methods behind the numbers, as pairs of a heading and a paragraph."""
    settings = document.get("settings", {})
    level = wording.percent(1 - float(settings.get("alpha", 0.05)))
    smallest = settings.get("min_group_size", 10)
    paragraphs = [
        ("Attacks", _attacks(document)),
        (
            "Thresholds",
            "A row is classified as a member if its score is above the threshold, not if it equals it. At a "
            "false positive rate f the threshold is the smallest one at which at most a share f of all "
            "non-members is classified as members, without interpolation, and is the same for all groups. "
            "With fewer than 1/f non-members the rate is not resolvable. For the balanced accuracy, the "
            "number of rows classified as members equals the number of members.",
        ),
        (
            "Intervals",
            f"The {level} intervals account for variation over rows, in the threshold (an order statistic "
            "of the non-members' scores) and, with five or more attacked runs, over runs. A row counts once "
            "over all runs, since it is a member in some and a non-member in others. With fewer runs an "
            "interval is about these very models.",
        ),
        (
            "Undefined values and small groups",
            f"A group with fewer than {smallest} members, or non-members where these count, is listed "
            "without a verdict. A value that the data do not define is empty, with its reason.",
        ),
        ("Random draws", f"Seed {settings.get('rng', 0)}: the same input gives the same numbers."),
    ]
    if document["comparisons"]:
        names = ", ".join(wording.metric_name(str(m)) for m in settings.get("primary", ()))
        margin = number(settings, "margin")
        paragraphs.insert(
            3,
            (
                "Comparisons",
                "Differences candidate − reference under the same attack, paired by run (with the same "
                f"training set) and by row. The primary family is {names}, times all attacks, groups and "
                f"candidates; with probability {level} all its intervals contain their true differences. "
                f"More leakage is harm; the margin is {wording.amount(margin, 'accuracy')} points.",
            ),
        )
    return paragraphs


def _attacks(document: Document) -> str:
    names = [str(name) for name in document.get("settings", {}).get("attacks", ())]
    summaries = {
        "loss": "loss classifies rows with a small loss as members",
        "lira": "lira compares a row's margin with those of models that were and were not trained on it",
        "lira_t": "lira_t does the same with variances shrunk towards those of other rows, and Student's t",
        "rmia": "rmia compares how much likelier a row is under the attacked model than under reference "
        "models, relative to all other rows",
    }
    kinds = dict.fromkeys(name.partition("[")[0] for name in names)
    text = "; ".join(summaries[k] for k in kinds if k in summaries)
    return f"{', '.join(names)}. {text}. Membership is taken from the recorded training ids only."
