from __future__ import annotations

import re

import pytest
import sample

from evenhand.report import document, wording
from evenhand.report.audit import wording as method_wording

ROW = {
    "reference": "full", "candidate": "lora", "attribute": "race", "group": "Black", "class": None,
    "metric": "accuracy", "family": "primary", "difference": -0.041, "low": -0.0623, "high": -0.019,
    "level": 0.95,
    "margin": 0.02, "verdict": "harm", "equivalent": False, "beyond_margin": False,
    "minimum_detectable": None, "rows_to_settle": None, "runs_to_settle": None,
    "n": 812, "n_right_to_wrong": 31, "n_wrong_to_right": 12,
    "runs": 3, "unit": "rows", "status": "ok", "reason": None,
}  # fmt: skip


def sentence_of(**changes):
    return wording.comparison_sentence({**ROW, **changes})


def test_harm_says_group_size_interval_margin_and_flips():
    assert sentence_of() == (
        "In these runs, compared with full, lora does harm to race=Black: accuracy is lower by 4.1 points "
        "(95 % simultaneous interval 1.9 to 6.2; margin 2.0). 31 rows right→wrong, 12 wrong→right."
    )
    assert sentence_of(unit="rows and runs").startswith("Compared with full, lora does harm to race=Black")


def test_harm_where_higher_is_worse():
    sentence = sentence_of(
        metric="false_positive_rate", difference=0.05, low=0.03, high=0.08, beyond_margin=True
    )
    assert "false positive rate is higher by 5.0 points" in sentence
    assert "interval 3.0 to 8.0" in sentence
    assert "the entire interval is beyond the margin" in sentence


def test_help():
    sentence = sentence_of(verdict="help", difference=0.04, low=0.01, high=0.07)
    assert "lora helps race=Black: accuracy is higher by 4.0 points" in sentence


@pytest.mark.parametrize(
    ("low", "high", "equivalent", "note"),
    [
        (-0.01, 0.012, True, "equivalent"),
        (-0.012, -0.002, True, "within the margin; a nonzero but negligible difference"),
        (-0.01, 0.05, False, "a loss as large as the margin is excluded, a gain is not"),
    ],
)
def test_harmless_says_which_kind(low, high, equivalent, note):
    difference = (low + high) / 2
    sentence = sentence_of(
        verdict="harmless", difference=difference, low=low, high=high, equivalent=equivalent
    )
    assert "is harmless to race=Black" in sentence
    assert note in sentence


def test_undecided_states_the_detectable_difference_and_the_data_needed():
    sentence = sentence_of(
        verdict="undecided", difference=-0.01, low=-0.06, high=0.04,
        minimum_detectable=0.071, rows_to_settle=5123, runs_to_settle=9,
    )  # fmt: skip
    assert "differs by −1.0 points (95 % simultaneous interval −6.0 to +4.0; margin 2.0)" in sentence
    assert "harm is neither shown nor excluded" in sentence
    assert "smallest detectable difference with these data is 7.1 points" in sentence
    assert "About 5,200 rows (now 812) or 9 runs per arm would settle it." in sentence


@pytest.mark.parametrize(
    ("status", "reason", "label"),
    [("too_small", "6 rows, fewer than 10", "too small"), ("undefined", "no positives", "undefined")],
)
def test_no_number_says_why(status, reason, label):
    sentence = sentence_of(status=status, reason=reason, verdict=None, difference=None, low=None, high=None)
    assert "gets no verdict" in sentence
    assert f"{label} ({reason})" in sentence


def test_no_interval_but_a_p_value():
    interval = "none: p-value by permutation"
    sentence = sentence_of(verdict=None, low=None, high=None, interval=interval, reason="")
    assert "no interval (p-value by permutation)" in sentence


def test_an_interval_without_an_estimate_still_has_a_sentence():
    assert "does harm" in sentence_of(difference=None)


def test_selection_rate_has_no_verdict_for_lack_of_direction():
    sentence = sentence_of(metric="selection_rate", verdict=None, family="exploratory")
    assert "depends on the context" in sentence


def test_exploratory_is_stated():
    assert "exploratory" in sentence_of(verdict=None, family="exploratory")


@pytest.mark.parametrize(
    ("attribute", "group", "name"),
    [
        (None, None, "all rows"),
        ("race", "Black", "race=Black"),
        ("race", None, "between groups of race"),
        ("target_religion_", "muslim", "target_religion_muslim"),
        ("race x sex", "Black x F", "race=Black x sex=F"),
        ("race x sex", "race=Black x sex=F", "race=Black x sex=F"),
        ("race x sex", "A x B x F", "A x B x F"),
    ],
)
def test_group_names(attribute, group, name):
    assert wording.group_name(attribute, group) == name


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.041, "accuracy", "4.1"),
        (-0.00001, "accuracy", "0.0"),
        (-0.041, "accuracy", "−4.1"),
        (0.0412, "log_loss", "0.041"),
        (0.8123, "demographic_parity_ratio", "0.812"),
        (None, "accuracy", "–"),
        (0.5, "a_metric_of_somebody_else", "0.500"),
    ],
)
def test_amounts(value, metric, text):
    assert wording.amount(value, metric) == text


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (99, "99"), (101, "110"), (12099, "13,000")])
def test_planning_figures_keep_two_digits(value, text):
    assert wording.round_up_figure(value) == text


def test_unit_note():
    note = sample.document()
    assert "these runs, not the method" in wording.unit_note(note)
    for row in note["comparisons"]:
        row.update(unit="rows and runs", runs=5)
    assert "about the method on this training set" in wording.unit_note(note)
    assert wording.unit_note(sample.one_arm()) == ""


def test_no_sentence_uses_a_word_that_numbers_cannot_carry():
    sentences = sample.document()
    text = " ".join(
        [
            *map(wording.comparison_sentence, sentences["comparisons"]),
            *(p for _, p in method_wording.how_computed(sentences)),
            *(p for _, p in method_wording.how_computed(sample.one_arm())),
            *wording.VERDICT_MEANINGS.values(),
            method_wording.forest_caption(),
            wording.unit_note(sentences),
        ]
    )
    assert not re.findall(r"\b(un|de)?bias(ed)?\b|\bfair(ness)?\b|\bsolved\b", text, re.IGNORECASE)


def test_how_computed_covers_what_a_reader_must_know():
    text = " ".join(p for _, p in method_wording.how_computed(sample.document()))
    for word in (
        "simultaneous",
        "95 %",
        "declared before",
        "adjusted p-value",
        "never set to 0",
        "fewer than 10",
    ):
        assert word in text


def test_worst_first():
    rows = document.worst_first(sample.document()["comparisons"])
    verdicts = [document.verdict_of(r) for r in rows]
    order = [*document.VERDICTS, None]
    assert verdicts == sorted(verdicts, key=order.index)
    undecided = [document.harm_bounds(r) for r in rows if document.verdict_of(r) == "undecided"]
    assert undecided == sorted(undecided, key=lambda b: -b[0])


def test_control_characters_do_not_reach_a_terminal():
    assert wording.replace_control_characters("a\x1b[31mb\nc\x9b") == "a�[31mb c�"
