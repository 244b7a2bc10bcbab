"""A cache for results computed with a base model that does not keep the base model alive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from evenhand.finetune.modeling.pretrained import PretrainedModel

P = ParamSpec("P")
R = TypeVar("R")
#: Cached results of each function.
_MAX_RESULTS = 2


def cache_results(
    work: Callable[Concatenate[PretrainedModel, P], R],
) -> Callable[Concatenate[PretrainedModel, P], R]:
    """Cache the last results of a function of a base model, keyed by the files of the base.

    With the base itself as key, this cache would hold a model that `load_base` has already released.

    Args:
        work: takes a base model, and hashable arguments.
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
