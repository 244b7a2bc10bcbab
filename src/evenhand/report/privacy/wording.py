"""Every sentence of a report about membership inference."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Document, Row, number, unique, verdict_of

VERDICT_MEANINGS = {
    "harm": "The candidate leaks more than the reference, and a rise as large as the margin is not excluded.",
    "undecided": "The data can neither show more leakage nor exclude a rise as large as the margin.",
    "help": "The candidate leaks less than the reference, and a fall as large as the margin is not excluded.",
    "harmless": "A rise of the leakage as large as the margin is excluded.",
}

ROC_CAPTION = (
    "Across, the share of all non-members that are taken for members; upwards, the share of the group's "
    "members that are found at the same threshold, which serves all groups. The dotted line of an arm is the "
    "share of the group's own non-members there: where the curve lies on it, nothing leaks in this group. "
    "Both axes are logarithmic: what counts is how many members are found while hardly anyone is accused "
    "falsely. A curve is the mean over attacked runs and begins where the non-members resolve it."
)
RATES_CAPTION = (
    "Pointwise intervals: each holds by itself. The AUC sets a group's members against its own "
    "non-members, so .5 "
    "is chance in every group; the true positive rate is taken at the threshold of all rows."
)
VULNERABILITY_CAPTION = (
    "How far the groups lie apart, and how far they would by chance if nothing leaked (membership "
    "exchanged between "
    "rows of a group). A finding needs both: more than this control, and groups that cannot all be alike."
)
STABILITY_CAPTION = (
    "Of rows that were in the training set of several runs: the share that all, some and none of these "
    "runs give "
    "away. The correlation is 1 where it depends on the row only, and 0 where on chance only."
)


def sentence(row: Row) -> str:
    """Say one comparison, with the attack that it rests on."""
    return f"{row['attack']}: {wording.comparison_sentence(row)}"


def identified_counts(row: Row) -> str:
    """Say how many members are found under one arm only, on average; empty where this is not counted."""
    before, now = number(row, "n_found_before"), number(row, "n_found_now")
    if before is None or now is None:
        return ""
    return f"{rough(before)} / {rough(now)}"


def rough(value: float) -> str:
    """Write a mean number of rows."""
    return f"{value:.1f}" if value < 10 and not float(value).is_integer() else f"{value:,.0f}"


def gap_finding(row: Row) -> str:
    """Say whether a difference between groups is more than chance."""
    p, level = number(row, "p_value"), number(row, "level")
    if p is None or level is None:
        return wording.status_reason(row)
    if p <= 1 - level + 1e-9:
        return "groups are told apart unequally"
    control, alike = number(row, "p_control"), number(row, "p_alike")
    if control is not None and control > 1 - level:
        return "no more than without any leakage"
    return "groups may be alike" if alike is not None else "no difference can be told"


def design_line(row: Row) -> str:
    """Say how the models of an arm are attacked."""
    views = f", {row['views']} views of a row" if row["views"] > 1 else ""
    if row["shared"]:
        kind = (
            f"each a reference for the other {row['references']}"
            if row["references"]
            else "without references"
        )
    else:
        kind = f"with {row['references']} models as references that are not attacked"
    runs = f"{row['targets']} attacked run{'' if row['targets'] == 1 else 's'}"
    return (
        f"{row['input']}: {runs}, {kind}; {wording.format_quantity(row['rows'], 'row')}, "
        f"{wording.count(row['members'])} of them members on average{views}."
    )


def counts_without(document: Document) -> str:
    """Say the numbers of verdicts in one line."""
    return wording.counts_line(document)


def how_computed(document: Document) -> list[tuple[str, str]]:
    """Say how the numbers came about: pairs of a heading and a paragraph."""
    settings = document.get("settings", {})
    level = wording.percent(1 - float(settings.get("alpha", 0.05)))
    smallest = settings.get("min_group_size", 10)
    paragraphs = [
        ("Attacks", _attacks(document)),
        (
            "Thresholds",
            "A row is called a member when its score is above the threshold, never when it equals it. At "
            "a false "
            "positive rate f the threshold is the smallest one at which at most a share f of all "
            "non-members is "
            "called, without interpolation, the same for all groups. Where there are fewer than 1/f "
            "non-members "
            "the rate is not resolvable. For the balanced accuracy as many rows are called as there are "
            "members.",
        ),
        (
            "Intervals",
            f"{level}. Rows, the place of the threshold among the non-members' scores and, from five "
            f"attacked runs "
            "on, the runs all vary; the same row counts once over all runs, since it is a member for some "
            "and a "
            "non-member for others. With fewer runs an interval is about these very models.",
        ),
        (
            "Undefined and too small",
            f"A group with fewer than {smallest} members, or non-members where these count, keeps its row "
            f"and gets "
            "no verdict. What the data do not define is empty with its reason.",
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
                "Candidate − reference under the same attack, run by run with the same training set, row "
                "by row. "
                f"The primary family is {names}, times all attacks, groups and candidates; its intervals "
                f"hold "
                f"together with probability {level}. More leakage is harm; the margin is "
                f"{wording.amount(margin, 'accuracy')} points.",
            ),
        )
    return paragraphs


def _attacks(document: Document) -> str:
    names = [str(name) for name in document.get("settings", {}).get("attacks", ())]
    summaries = {
        "loss": "loss takes rows with a small loss for members",
        "lira": "lira compares a row's margin with those of models that were and were not trained on it",
        "lira_t": "lira_t does so with variances that are drawn towards those of other rows, and Student's t",
        "rmia": "rmia compares how much likelier a row is under the attacked model than under others, "
        "with the same "
        "of all rows",
    }
    kinds = dict.fromkeys(name.partition("[")[0] for name in names)
    text = "; ".join(summaries[k] for k in kinds if k in summaries)
    return f"{', '.join(names)}. {text}. Who was a member is taken from recorded training ids only."


def verdict_css(row: Row) -> str:
    """Name the class of a verdict's cell."""
    return f"verdict {verdict_of(row) or 'none'}"


def title_of(document: Document) -> str:
    """Name the page."""
    arms = [str(a) for a in unique(document["rates"], "input")]
    if not document["comparisons"]:
        return ", ".join(arms)
    reference = str(document["settings"]["reference"])
    others = [a for a in arms if a != reference]
    return f"{', '.join(others)} compared with {reference}"
