"""Plug-ins that a study names: a spec uses only their names, cards (`INFO`) and options (`Config`)."""

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
#: Generative tasks, and the kind of table that is evaluated for each.
GENERATIVE_TASKS = {"translation": "generations", "language": "likelihoods"}
ATTACKS = "evenhand.judge.attacks"


def installed(package: str) -> tuple[str, ...]:
    """List the names of all plug-ins, those of other packages last."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (30 ms, and seldom needed)

    ours = registry.names(package)
    foreign = {entry.name for entry in entry_points(group=f"evenhand.{package.rpartition('.')[2]}")}
    return (*ours, *sorted(foreign.difference(ours)))


def plugin(package: str, name: str) -> ModuleType:
    """Import a plug-in.

    Raises:
        UnknownNameError: no plug-in has this name.
        SpecError: it belongs to another package and cannot be imported.
    """
    if name in registry.names(package):
        return registry.load(package, name)
    try:
        return registry.load(package, name)
    except UnknownNameError:
        raise
    except Exception as error:  # the code of another package may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SpecError(f"the plug-in {name!r} of another package cannot be imported: {reason}") from error


def config_of(package: str, name: str) -> type[Frozen]:
    """Return the class of a plug-in's options.

    Raises:
        UnknownNameError: no plug-in has this name.
        SpecError: it belongs to another package and is broken.
    """
    module = plugin(package, name)
    config = getattr(module, "Config", None)
    if not (isinstance(config, type) and issubclass(config, Frozen) and hasattr(module, "INFO")):
        raise SpecError(
            f"the plug-in {name!r} lacks INFO, or a Config that is a subclass of evenhand.spec.base.Frozen."
        )
    return config


def metric_names(task: str | None = None) -> tuple[str, ...]:
    """List what can be evaluated for a task: metrics and disparities, or generative measures.

    Args:
        task: task of a dataset; None lists the names for all tasks.
    """
    classification = (*registry.names(METRICS), *registry.names(DISPARITIES))
    if task is not None and task not in GENERATIVE_TASKS:
        return classification
    infos = [registry.load(GENERATIVE, name).INFO for name in registry.names(GENERATIVE)]
    needed = GENERATIVE_TASKS.values() if task is None else (GENERATIVE_TASKS[task],)
    measures = [name for info in infos if info.needs in needed for name in info.measures]
    return (*(classification if task is None else ()), *measures)
