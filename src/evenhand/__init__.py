"""evenhand: does a fine-tuning method harm a subgroup?

    import evenhand
    result = evenhand.audit(["full.parquet", "lora.parquet"], by=["race"])
    print(result.verdict["sentence"])

Importing the package imports nothing heavy: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evenhand._version import __version__ as __version__

if TYPE_CHECKING:
    from evenhand import metrics
    from evenhand.errors import CallError, EvenhandError, InputError, TableError
    from evenhand.judge.api import attack, audit, compare, plan
    from evenhand.judge.result import AuditResult
    from evenhand.study.api import run
    from evenhand.study.run import StudyResult


_HOMES = {
    "AuditResult": "evenhand.judge.result",
    "CallError": "evenhand.errors",
    "EvenhandError": "evenhand.errors",
    "InputError": "evenhand.errors",
    "StudyResult": "evenhand.study.run",
    "TableError": "evenhand.errors",
    "attack": "evenhand.judge.api",
    "audit": "evenhand.judge.api",
    "compare": "evenhand.judge.api",
    "plan": "evenhand.judge.api",
    "run": "evenhand.study.api",
}

__all__ = [
    "AuditResult",
    "CallError",
    "EvenhandError",
    "InputError",
    "StudyResult",
    "TableError",
    "attack",
    "audit",
    "compare",
    "metrics",
    "plan",
    "run",
]


if not TYPE_CHECKING:  # otherwise type checkers would accept every name as an attribute of the package

    def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module or one of its names)
        if name == "metrics":
            return importlib.import_module("evenhand.metrics")
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'evenhand' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
