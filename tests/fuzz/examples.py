"""How many examples: a short, reproducible run by default, a long one of new examples by `make fuzz`.

`EVENHAND_FUZZ_EXAMPLES=2000` is the number of all tests together. What fails in a long run is shrunk, kept by
hypothesis and tried first the next time; the files and the command of the last failure lie under
`.hypothesis/evenhand`. The short run shows a failing example as it was drawn.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

SHORT = 240
TOTAL = int(os.environ.get("EVENHAND_FUZZ_EXAMPLES", "0"))
EVERY = 25

Test = Callable[..., None]


def fuzzed(share: float, **strategies: SearchStrategy[Any]) -> Callable[[Test], Test]:
    """Run a property on its share of all examples, and print how far it is in a long run.

    Args:
        share: of the total number of examples.
        strategies: of the test's arguments.
    """
    number = max(2, round((TOTAL or SHORT) * share))
    chosen = settings(
        max_examples=number,
        deadline=None,
        derandomize=not TOTAL,
        phases=tuple(Phase) if TOTAL else (Phase.generate,),
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Test) -> Test:
        done, begun = 0, time.monotonic()

        @functools.wraps(test)
        def counted(**drawn: Any) -> None:
            nonlocal done, begun
            if done == 0:
                begun = time.monotonic()
            done += 1
            if TOTAL and done % EVERY == 0:
                name = test.__name__.removeprefix("test_").replace("_", " ")
                seconds = time.monotonic() - begun
                print(f"  {name}: {done} of {number}, {seconds:.0f} s", file=sys.__stderr__, flush=True)
            test(**drawn)

        made: Test = chosen(given(**strategies)(counted))
        return made

    return decorate
