"""Which runs can be compared when some are missing."""

from __future__ import annotations

import pytest

from evenhand.store.runs import State
from evenhand.study.results.collect import Collected, comparable

SEEDS = (1, 2, 3)


def found(**finished):
    arms = {
        arm: {seed: (None, State("finished" if seed in done else "failed")) for seed in SEEDS}
        for arm, done in finished.items()
    }
    return Collected("words", arms)


@pytest.mark.parametrize(
    ("finished", "judged", "said"),
    [
        ({"full": SEEDS, "a": SEEDS}, {"full": [1, 2, 3], "a": [1, 2, 3]}, []),
        ({"full": (1, 2), "a": SEEDS}, {"full": [1, 2], "a": [1, 2]}, ["full has 2 of 3"]),
        ({"full": (2, 3), "a": (1, 2)}, {"full": [2], "a": [2]}, ["full has 2 of 3, a has 2 of 3"]),
        ({"full": SEEDS, "a": ()}, {"full": [1, 2, 3]}, ["no run of a is finished"]),
        # The reference stays; of the others the one with the fewest runs goes first.
        (
            {"full": (1, 2), "a": (3,), "b": (2, 3)},
            {"full": [2], "b": [2]},
            ["no seed of a is finished in all other arms", "full has 2 of 3, b has 2 of 3"],
        ),
        ({"full": (), "a": ()}, {}, ["no run of full is finished", "no run of a is finished"]),
    ],
)
def test_the_seeds_that_all_arms_have(finished, judged, said):
    seeds, problems = comparable(found(**finished), "full")
    assert seeds == judged
    assert len(problems) == len(said)
    for problem, words in zip(problems, said, strict=True):
        assert words in problem
