"""The plug-ins that a study names, found by their names only: what they do is no matter of a spec."""

from __future__ import annotations

from types import ModuleType

from evenhand import registry
from evenhand.errors import SpecError, UnknownNameError
from evenhand.spec.base import Frozen

DATASETS = "evenhand.datasets"
METHODS = "evenhand.finetune.methods"
MODELS = "evenhand.finetune.models"
METRICS, DISPARITIES = "evenhand.judge.metrics", "evenhand.judge.disparities"
GENERATIVE = "evenhand.judge.generative"
#: Tasks of models that write, and what is judged of them.
WRITTEN = {"translation": "generations", "language": "likelihoods"}
ATTACKS = "evenhand.judge.attacks"


def installed(package: str) -> tuple[str, ...]:
    """Names of all plug-ins, those of other packages last."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (30 ms, and seldom needed)

    ours = registry.names(package)
    foreign = {entry.name for entry in entry_points(group=f"evenhand.{package.rpartition('.')[2]}")}
    return (*ours, *sorted(foreign.difference(ours)))


def plugin(package: str, name: str) -> ModuleType:
    """Import a plug-in.

    Raises:
        UnknownNameError: there is none of this name.
        SpecError: it belongs to another package and cannot be imported.
    """
    if name in registry.names(package):
        return registry.load(package, name)
    try:
        return registry.load(package, name)
    except UnknownNameError:
        raise
    except Exception as error:  # whatever another package does wrong
        told = f"{type(error).__name__}: {error}"
        raise SpecError(f"the plug-in {name!r} of another package cannot be imported: {told}") from error


def config_of(package: str, name: str) -> type[Frozen]:
    """The options of a plug-in.

    Raises:
        UnknownNameError: there is none of this name.
        SpecError: it belongs to another package and is broken.
    """
    module = plugin(package, name)
    config = getattr(module, "Config", None)
    if not (isinstance(config, type) and issubclass(config, Frozen) and hasattr(module, "INFO")):
        raise SpecError(
            f"the plug-in {name!r} has no INFO, or no Config that is an evenhand.spec.base.Frozen."
        )
    return config


def judged(task: str | None = None) -> tuple[str, ...]:
    """Names of what is judged of a task: metrics and disparities, or measures of texts; None: of any task."""
    told = (*registry.names(METRICS), *registry.names(DISPARITIES))
    if task is not None and task not in WRITTEN:
        return told
    infos = [registry.load(GENERATIVE, name).INFO for name in registry.names(GENERATIVE)]
    needed = WRITTEN.values() if task is None else (WRITTEN[task],)
    measures = [name for info in infos if info.needs in needed for name in info.measures]
    return (*(told if task is None else ()), *measures)
