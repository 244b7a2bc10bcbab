"""How many examples: a short, reproducible run by default, a long one of new examples by `make fuzz`.

`EVENHAND_FUZZ_EXAMPLES=2000` is the number of all tests together. What fails is kept by hypothesis and tried
first the next time; its files and its command lie under `.hypothesis/evenhand`.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

SHORT = 300
TOTAL = int(os.environ.get("EVENHAND_FUZZ_EXAMPLES", "0"))
EVERY = 50


def fuzzed(share: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a property on its share of all examples, and print how far it is in a long run.

    Args:
        share: of the total number of examples.
    """
    number = max(2, round((TOTAL or SHORT) * share))
    chosen = settings(
        max_examples=number,
        deadline=None,
        derandomize=not TOTAL,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        done, begun = 0, time.monotonic()

        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            nonlocal done, begun
            if done == 0:
                begun = time.monotonic()
            done += 1
            if TOTAL and done % EVERY == 0:
                seconds = time.monotonic() - begun
                name = test.__name__.removeprefix("test_").replace("_", " ")
                print(f"  {name}: {done} of {number}, {seconds:.0f} s", file=sys.__stderr__, flush=True)
            test(*args, **kwargs)

        made: Callable[..., Any] = chosen(counted)
        return made

    return decorate
