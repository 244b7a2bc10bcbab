"""Arms along an option: from what a study varies, not from names; folders from before are resumed."""

from __future__ import annotations

import json

import pytest

from evenhand.cli import main
from evenhand.spec.stored import load
from evenhand.study.results.series import series_of
from evenhand.study.run import rebuild, run_study
from tests.spec import sample
from tests.study.studies import TRAINER, arm, contents, log, study, timeless


def swept(**methods):
    arms = sample.study(methods=methods).arms
    return {(s.method, s.parameter): (s.values, s.arms) for s in series_of(arms)}


def test_a_text_with_commas_and_equals_signs_is_one_value():
    series = swept(lora={"targets": [["a,rank=64"], ["b"]], "rank": [8, 1]})
    assert series == {
        ("lora[targets=a,rank=64]", "rank"): (
            (1.0, 8.0),
            ("lora[targets=a,rank=64,rank=1]", "lora[targets=a,rank=64,rank=8]"),
        ),
        ("lora[targets=b]", "rank"): ((1.0, 8.0), ("lora[targets=b,rank=1]", "lora[targets=b,rank=8]")),
    }


def test_two_lists_make_a_series_for_each_value_of_the_other():
    series = swept(full={}, lora={"rank": [1, 8], "alpha": [16, 32]}, dora={"alpha": [2.0], "rank": [1, 2]})
    assert list(series) == [
        ("lora[alpha=16]", "rank"),
        ("lora[rank=1]", "alpha"),
        ("lora[alpha=32]", "rank"),
        ("lora[rank=8]", "alpha"),
        ("dora[alpha=2]", "rank"),
    ]
    assert series["lora[alpha=32]", "rank"] == (
        (1.0, 8.0),
        ("lora[rank=1,alpha=32]", "lora[rank=8,alpha=32]"),
    )


@pytest.mark.parametrize(
    "methods",
    [
        {"full": {}, "lora": {"rank": [8]}},
        {"lora": {"rank_stabilised": [True, False]}},
        {"lora": {"alpha_per_rank": [None, 2]}},
        {"lora": {"targets": [["1"], ["2"]]}},
        {"a": {"method": "lora", "rank": [1]}, "b": {"method": "lora", "rank": [2]}},
    ],
)
def test_without_two_numbers_there_is_no_series(methods):
    assert swept(**methods) == {}


ODD = tuple(
    arm(
        f"lora[targets=q,alpha=9,rank={r}]",
        targets=("q,alpha=9",),
        rank=r,
        varied={"targets": ["q,alpha=9"], "rank": r},
    )
    for r in (1, 8, 64)
)


def test_a_folder_from_before_is_resumed_and_reported_alike(stand_in, tmp_path):
    """What a study varies was once not stored: no run is repeated, and nothing in the result changes."""
    spec = study(arms=(arm("full"), *ODD))
    first = run_study(spec, tmp_path, trainer=TRAINER, workers=1)
    [model] = first.result["models"]
    assert model["series"] == [
        {
            "method": "lora[targets=q,alpha=9]",
            "parameter": "rank",
            "values": [1.0, 8.0, 64.0],
            "arms": [one.name for one in ODD],
        }
    ]
    assert {(t["method"], t["parameter"]) for t in model["trends"]} == {("lora[targets=q,alpha=9]", "rank")}

    stored = json.loads(first.folder.study.read_text())
    for entry in stored["arms"]:
        del entry["varied"]
    first.folder.study.write_text(json.dumps(stored))
    assert load(first.folder.study) == spec
    assert timeless(rebuild(load(first.folder.study), first.folder).result) == timeless(first.result)
    assert main(["report", str(first.folder.path)]) == 0
    assert "lora[targets=q,alpha=9], by rank" in first.folder.report.read_text()

    begun, before = len(log(stand_in)), contents(first.folder.path)
    again = run_study(spec, tmp_path, trainer=TRAINER, workers=1)
    assert len(log(stand_in)) == begun
    assert contents(again.folder.path) == before
    assert timeless(again.result) == timeless(first.result)
