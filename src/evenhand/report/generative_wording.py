"""Every sentence on generated texts and on likelihoods of answer options."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.report import wording
from evenhand.report.document import Document, Row, number, unique

SHARES = (
    "A translation has the gender that its whole-word pronouns name: one of he, him, his, himself or she, "
    "her, hers, herself; neutral when only they-words stand there; unknown when both genders do, or no "
    "pronoun at all. Stereotypical is the gender to which the occupation is predisposed."
)
QUALITY_CAPTION = "Scores of the generated texts against the gold and its renderings"
SURVIVAL = (
    "The conclusion is which arm chooses a meaning more often, over all templates and variants, by the "
    "declared scoring. It is asked again in every template, in every variant of the tokens and by every "
    "scoring. It survives where each look says the same, weakens where some cannot tell, and turns where "
    "one says the opposite."
)
SURVIVAL_CAPTION = "Conclusions, asked again; differences in points"
TOKENS = (
    "Where the meanings of the options change places between their tokens, an option's log share splits "
    "into what goes with the token and what goes with the meaning. The first is a prior of an answer "
    "token, the second what is left of a belief. An arm that shifts only the first has not changed a "
    "belief."
)
SHIFTS_CAPTION = "Paired shifts between arms, question by question; simultaneous intervals"
PRIORS_CAPTION = "Prior of every token, as a share of its options"
RSTD_CAPTION = "RStd: spread over tokens of the recall of the expected answer, in points; 0 is no token bias"
INVERSIONS = (
    "Each twin is compared with the plainest form of its question. An inverted twin gives the tokens "
    "other meanings: an answer that keeps its token then follows the token, one that keeps its meaning "
    "follows the meaning. A reordered twin has the same meanings at other places of the page: an answer "
    "keeps both or neither."
)
OPTIONS_CAPTION = "Shares of every option."
SCORINGS = "How an option's score comes out of its likelihood; the option with the highest score is chosen."


def twin(row: Row) -> str:
    """Name a twin of a template with its kind."""
    return f"{row['twin']} ({row['kind']})"


def kept(row: Row) -> str:
    """Say what answers to a twin do, by an outcome."""
    return "keeps the answer" if row["outcome"] == "both" else f"follows the {row['outcome']}"


def quality(document: Document) -> str:
    """Say how the scores were computed."""
    signatures = document["quality"]["signatures"]
    if not signatures:
        return "No scores: there are no references, or sacrebleu is not installed."
    told = "; ".join(f"{wording.metric_name(name)}: {text}" for name, text in signatures.items())
    return (
        "Scores against the gold, and against the gold with he, she or they throughout: where a rendering "
        "scores higher than the gold, the pronoun was wrong. Intervals by leaving out templates. "
        f"sacrebleu: {told}."
    )


def options(document: Document) -> str:
    """Say by which scoring the charts are."""
    return (
        f"Charts show the scoring '{document['scoring']}'. A tie (scores within a millionth) is no option's "
        "win. Shares by meaning that move from variant to variant, while those by token stay show token bias."
    )


def summary(document: Document) -> list[str]:
    """Say what a terminal shows before the comparisons: the main shares and scores of every arm."""
    if document["kind"] != "generations":
        return []
    rows = [r for r in document["rates"] if r["attribute"] is None]
    return [f"{arm}: {', '.join(told)}." for arm in unique(rows, "input") if (told := _arm(rows, arm))]


def _arm(rows: Sequence[Row], arm: object) -> list[str]:
    told = []
    for metric in (
        "share_pro",
        "share_anti",
        "share_neutral",
        "share_unknown",
        "gender_accuracy",
        "delta_g",
        "delta_s",
    ):
        for r in rows:
            value = number(r, "value")
            if (r["input"], r["metric"]) == (arm, metric) and value is not None:
                told.append(f"{_short(metric)} {wording.amount(value, metric)}")
    for r in rows:
        value = number(r, "value")
        if r["input"] == arm and r["class"] == "gold" and value is not None:
            told.append(f"{wording.metric_name(str(r['metric']))} {value:.1f}")
    return told


def _short(metric: str) -> str:
    named = {"gender_accuracy": "accuracy", "delta_g": "ΔG", "delta_s": "ΔS"}
    return named.get(metric, metric.removeprefix("share_"))


def how(document: Document) -> list[tuple[str, str]]:
    """Say how the numbers of this kind came about."""
    clustered = "template pair" if document["kind"] == "generations" else "example"
    told = [
        (
            "Rows that are not independent",
            f"Intervals are clustered by {clustered} (or by the column of --cluster): rows of one are "
            "not independent of each other. Arms are compared on the same rows.",
        )
    ]
    if document["kind"] == "generations":
        return [
            *told,
            ("ΔG and ΔS", "ΔG is F1 of male less F1 of female, ΔS the accuracy on stereotypical rows less "
             "that on anti-stereotypical ones. Their intervals are from influence values."),
        ]  # fmt: skip
    return [
        *told,
        ("Token priors", "Per question, log share = form + token + meaning by least squares, over the forms "
         "that the question has; with all cyclic permutations this is the prior of Zheng et al. (2024)."),
    ]  # fmt: skip
