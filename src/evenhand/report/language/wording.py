"""Sentences on generated texts and on likelihoods of answer options."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.judge.language.variance import PROMPT, SEED, SNIPPET
from evenhand.report import wording
from evenhand.report.document import Document, Row, number, unique

SHARES = (
    "The gender of a translation is that of its whole-word pronouns: male for he, him, his or himself, "
    "female for she, her, hers or herself. It is neutral if only they-words occur, and unknown if both "
    "genders or no pronouns occur. Stereotypical is the gender to which the occupation is predisposed."
)
QUALITY_CAPTION = "Scores of the generated texts against the gold and its renderings"
SURVIVAL = (
    "A conclusion is which arm chooses a meaning more often, over all templates and variants, by the "
    "declared scoring. It is tested again in every template, in every variant of the tokens and by every "
    "scoring. It survives if every test agrees, weakens if some cannot tell, and turns if one shows "
    "the opposite."
)
SURVIVAL_CAPTION = "Robustness of conclusions; differences in points"
VARIANCE = (
    "The preference for a meaning is its share of the probability of its options, by the declared "
    "scoring. Its variance is decomposed into templates, option sets (the variants: words, letters, "
    "inverted ...), snippets (the examples), seeds (runs) and their interactions. Intervals are about "
    "other snippets, not about other prompts. Estimates below 0 count as 0."
)
VARIANCE_CAPTION = "Variance components of each preference."
#: Largest number of sentences on variance; the table contains the rest.
MOST_SENTENCES = 6
TOKENS = (
    "Where variants permute the meanings of the options over their tokens, an option's log share splits "
    "into an effect of the token and an effect of the meaning. The first is a prior of an answer token, the "
    "second the preference that remains. An arm that shifts only the first has not changed the preference."
)
SHIFTS_CAPTION = "Paired shifts between arms, by question; simultaneous intervals"
PRIORS_CAPTION = "Prior of every token, as a share of its options"
RSTD_CAPTION = (
    "RStd: standard deviation over tokens of the recall of the expected answer, in points (0: no bias)"
)
INVERSIONS = (
    "Each twin is compared with the plainest form of its question. An inverted twin gives the tokens other "
    "meanings: an answer that keeps its token follows the token, one that keeps its meaning follows the "
    "meaning. A reordered twin has the same meanings at other positions: an answer keeps both or neither."
)
OPTIONS_CAPTION = "Shares of every option."
SCORINGS = (
    "Computation of an option's score from its likelihood; the option with the highest score is chosen."
)


def twin_label(row: Row) -> str:
    """Name a twin of a template with its kind."""
    return f"{row['twin']} ({row['kind']})"


def outcome_label(row: Row) -> str:
    """Describe an outcome of answers to a twin."""
    return "keeps the answer" if row["outcome"] == "both" else f"follows the {row['outcome']}"


def quality(document: Document) -> str:
    """Describe the computation of the scores, with their signatures."""
    signatures = document["quality"]["signatures"]
    if not signatures:
        return "No scores: the table has no references, or sacrebleu is not installed."
    computed = "; ".join(f"{wording.metric_name(name)}: {text}" for name, text in signatures.items())
    several = any("nrefs:1|" not in text for text in signatures.values())
    more = " These are of the gold; a rendering is a single reference." if several else ""
    return (
        "Scores against the gold, and against the gold with he, she or they throughout: where a rendering "
        "scores higher than the gold, the pronoun was wrong. Intervals are from leaving out templates. "
        f"sacrebleu: {computed}.{more}"
    )


def options(document: Document) -> str:
    """State the scoring of the charts."""
    return (
        f"Charts show the scoring '{document['scoring']}'. A tie (scores within a millionth) counts for "
        "no option. Shares by meaning that change between variants, while those by token do not, show "
        "token bias."
    )


def variance(rows: Sequence[Row]) -> str:
    """Describe the variance components of the most variable preference of every arm and difference."""
    known = [r for r in rows if number(r, "share") is not None]
    sentences = []
    for subject in dict.fromkeys(variance_subject(r) for r in known):
        of_subject = [r for r in known if variance_subject(r) == subject]
        most = max(unique(of_subject, "class"), key=lambda name: _total(of_subject, name))
        sentences.append(_variance_sentence(subject, [r for r in of_subject if r["class"] == most]))
    left = wording.left_out(min(len(sentences), MOST_SENTENCES), len(sentences), "sentences")
    return " ".join([VARIANCE, *sentences[:MOST_SENTENCES], left]).strip()


def _total(rows: Sequence[Row], meaning: object) -> float:
    return sum(float(r["variance"]) for r in rows if r["class"] == meaning and r["kind"] == "component")


def _variance_sentence(subject: str, rows: Sequence[Row]) -> str:
    """State the variance shares of one preference: the prompt with its parts, then the others."""
    what = (
        f"{subject}'s preference"
        if rows[0]["input"] is not None
        else f"the difference {subject} in preference"
    )
    parts: dict[bool, list[str]] = {True: [], False: []}
    for r in rows:
        named = variance_part(r)
        words = set(str(r["factors"]).split(" x "))
        if named and r["kind"] == "component" and not words & {SNIPPET, SEED}:
            parts[True].append(f"{named} {variance_share(r, short=True)}")
        elif named:
            parts[False].append(f"{named} {variance_share(r, short=True)}")
    prompt = next((r for r in rows if r["component"] == PROMPT), None)
    lead = [] if prompt is None else [f"prompt {variance_share(prompt, short=True)}"]
    listed = f" ({', '.join(parts[True])})" if len(parts[True]) > 1 else ""
    shares = ", ".join([*(w + listed for w in lead), *parts[False]])
    return f"Variance of {what} for '{rows[0]['class']}': {shares}."


def variance_subject(row: Row) -> str:
    """Name the arm or the difference that a row of the variance is about."""
    return str(row["input"]) if row["input"] is not None else f"{row['candidate']} − {row['reference']}"


def variance_part(row: Row) -> str:
    """Name the part of the total variance that a row is; empty for a row within another part.

    The parts are disjoint: effects of prompts, snippets, prompts x snippets, and all effects with seeds.
    """
    factors = str(row["factors"] or "").split(" x ")
    if row["kind"] == "sum":
        return "" if row["component"] == PROMPT else str(row["component"])
    if SEED in factors or (SNIPPET in factors and len(factors) > 1):
        return ""
    return str(row["component"])


def variance_share(row: Row, *, short: bool = False) -> str:
    """Format the share of a row, with its interval unless `short`."""
    share, low, high = (number(row, k) for k in ("share", "low", "high"))
    if share is None:
        return "–"
    if short or low is None or high is None:
        return f"{100 * share:.0f} %" if short else f"{100 * share:.1f} %"
    return f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def summary(document: Document) -> list[str]:
    """List the main shares and scores of every arm, for the terminal."""
    rows = [r for r in document["rates"] if r["attribute"] is None]
    if document["kind"] != "generations":
        return [
            f"{arm}: {', '.join(parts)}." for arm in unique(rows, "input") if (parts := _chosen(rows, arm))
        ]
    return [f"{arm}: {', '.join(parts)}." for arm in unique(rows, "input") if (parts := _arm(rows, arm))]


def _arm(rows: Sequence[Row], arm: object) -> list[str]:
    parts = []
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
                parts.append(f"{_short(metric)} {wording.amount(value, metric)}")
    for r in rows:
        value = number(r, "value")
        if r["input"] == arm and r["class"] == "gold" and value is not None:
            parts.append(f"{wording.metric_name(str(r['metric']))} {value:.1f}")
    return parts


def _chosen(rows: Sequence[Row], arm: object) -> list[str]:
    """List the shares of the options that an arm chooses, and how often answers follow token and meaning."""
    of_arm = [r for r in rows if r["input"] == arm and number(r, "value") is not None]
    choices = [f"'{r['class']}' {_rate(r)}" for r in of_arm if r["metric"] == "option_share"]
    follows = [f"the {what} {_rate(r)}" for what in ("token", "meaning")
               for r in of_arm if r["metric"] == f"{what}_followed"]  # fmt: skip
    right = [f"expected {_rate(r)}" for r in of_arm if r["metric"] == "option_accuracy"]
    return [*choices, *right, *([f"answers follow {' and '.join(follows)}"] if follows else [])]


def _rate(row: Row) -> str:
    return wording.amount(number(row, "value"), str(row["metric"]))


def _short(metric: str) -> str:
    named = {"gender_accuracy": "accuracy", **wording.SIGNS}
    return named.get(metric, metric.removeprefix("share_"))


def how(document: Document) -> list[tuple[str, str]]:
    """Describe the methods behind the numbers of this kind."""
    clustered = "template pair" if document["kind"] == "generations" else "example"
    paragraphs = [
        (
            "Dependent rows",
            f"Intervals are clustered by {clustered} (or by the column of --cluster): rows of one cluster "
            "are not independent. Arms are compared on the same rows.",
        )
    ]
    if document["kind"] == "generations":
        return [
            *paragraphs,
            ("ΔG and ΔS", "ΔG is F1 of male minus F1 of female, ΔS the accuracy on stereotypical rows "
             "minus that on anti-stereotypical ones. Their intervals are from influence functions."),
        ]  # fmt: skip
    return [
        *paragraphs,
        ("Token priors", "Per question, log share = form + token + meaning by least squares, over the forms "
         "that the question has; with all cyclic permutations this is the prior of Zheng et al. (2024)."),
        ("Variance", "Components by Henderson's method 1 (in a balanced crossing, the analysis of variance); "
         "intervals from leaving out snippets, given enough of them and four degrees of freedom."),
    ]  # fmt: skip
