"""Work on a base model that is kept for the next run, without keeping the base."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from evenhand.finetune.modeling.pretrained import PretrainedModel

P = ParamSpec("P")
R = TypeVar("R")
#: Results of each kind of work.
_MAX_RESULTS = 2


def cache_results(
    work: Callable[Concatenate[PretrainedModel, P], R],
) -> Callable[Concatenate[PretrainedModel, P], R]:
    """Keep the last results of what is done with a base: for the same files they are the same.

    A cache with the base among its keys would hold a model that its own cache has let go.

    Args:
        work: takes a base, and arguments that can be keys.
    """
    results: OrderedDict[Any, R] = OrderedDict()

    @wraps(work)
    def cached(base: PretrainedModel, /, *args: P.args, **options: P.kwargs) -> R:
        key = (base.key, args, tuple(sorted(options.items())))
        if key not in results:
            results[key] = work(base, *args, **options)
            if len(results) > _MAX_RESULTS:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    return cached
