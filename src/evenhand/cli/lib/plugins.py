"""The kinds of plug-ins, for the commands that list and show them."""

from __future__ import annotations

from types import ModuleType

KINDS = {
    "datasets": "evenhand.datasets",
    "methods": "evenhand.finetune.methods",
    "models": "evenhand.finetune.models",
    "metrics": "evenhand.judge.metrics",
    "disparities": "evenhand.judge.disparities",
    "attacks": "evenhand.judge.attacks",
    "generative": "evenhand.judge.generative",
    "scorings": "evenhand.judge.scorings",
}


def find(name: str) -> list[tuple[str, ModuleType]]:
    """Return (kind, module) of every plug-in with this name."""
    from evenhand.spec.plugins import installed, plugin  # noqa: PLC0415

    return [(kind, plugin(package, name)) for kind, package in KINDS.items() if name in installed(package)]


def every_name() -> list[str]:
    """List the names of all plug-ins, for the hint about an unknown name."""
    from evenhand.spec.plugins import installed  # noqa: PLC0415

    return sorted({name for package in KINDS.values() for name in installed(package)})
