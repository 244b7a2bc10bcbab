"""Model families: the family of a configuration, and the tasks that it supports; without torch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from evenhand import registry
from evenhand.errors import InputError, nearest

FAMILIES = "evenhand.finetune.models"
#: Classes of transformers by task.
AUTO_CLASSES = {
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
    "translation": "AutoModelForCausalLM",
    "language": "AutoModelForCausalLM",
}
#: Tasks whose models generate text.
GENERATIVE_TASKS = tuple(task for task, kind in AUTO_CLASSES.items() if kind == "AutoModelForCausalLM")


def family_of(config: Any, name: str, task: str) -> ModuleType:
    """Return the module of the family that a configuration belongs to.

    Raises:
        InputError: the family is unknown, or does not support the task.
    """
    known: dict[str, ModuleType] = {}
    for each in registry.names(FAMILIES):
        module = registry.load(FAMILIES, each)
        known |= dict.fromkeys(module.INFO.model_types, module)
    if config.model_type not in known:
        near = nearest(config.model_type, sorted(known))
        raise InputError(
            f"model '{name}': unknown family '{config.model_type}' (model_type in config.json); {near}"
        )
    family = known[config.model_type]
    check_task(family, f"model '{name}'", task)
    return family


def check_task(family: ModuleType, name: str, task: str) -> None:
    """Check that the models of a family support a task.

    Raises:
        InputError: they do not; the message lists the families that do.
    """
    reads, writes = ("image" if task == "image" else "text"), task in GENERATIVE_TASKS
    known = [registry.load(FAMILIES, each) for each in registry.names(FAMILIES)]
    fit = sorted({m.INFO.title for m in known if m.INFO.model_types and _supports(m, reads, writes=writes)})
    title = family.INFO.title
    if family.INFO.task != reads:
        raise InputError(
            f"{name}: belongs to the family {title}, which reads {family.INFO.task}s, but the "
            f"dataset has {reads}s; families that read {reads}s: {', '.join(fit)}."
        )
    if not _supports(family, reads, writes=writes):
        raise InputError(
            f"{name}: belongs to the family {title}, which cannot generate text, as the task requires "
            f"({task}); families that generate: {', '.join(fit)}."
        )


def _supports(family: ModuleType, reads: str, *, writes: bool) -> bool:
    """Return True if a family's models read the inputs, and generate text if required."""
    return family.INFO.task == reads and (family.INFO.writes or not writes)
