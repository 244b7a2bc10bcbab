"""Families of models: which one a configuration belongs to, and what its models can learn. No torch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from evenhand import registry
from evenhand.errors import InputError, nearest

FAMILIES = "evenhand.finetune.models"
#: What transformers calls the models that learn a task.
AUTO_CLASSES = {
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
    "translation": "AutoModelForCausalLM",
    "language": "AutoModelForCausalLM",
}
#: Tasks whose models write text.
GENERATIVE_TASKS = tuple(task for task, kind in AUTO_CLASSES.items() if kind == "AutoModelForCausalLM")


def family_of(config: Any, name: str, task: str) -> ModuleType:  # noqa: ANN401
    """The file that knows the layers of a configuration's models."""
    known: dict[str, ModuleType] = {}
    for each in registry.names(FAMILIES):
        module = registry.load(FAMILIES, each)
        known |= dict.fromkeys(module.INFO.model_types, module)
    if config.model_type not in known:
        near = nearest(config.model_type, sorted(known))
        raise InputError(
            f"model '{name}': its model_type is '{config.model_type}', which is no known family; {near}"
        )
    family = known[config.model_type]
    check_task(family, f"model '{name}'", task)
    return family


def check_task(family: ModuleType, name: str, task: str) -> None:
    """Complain of a family whose models cannot learn a task.

    Raises:
        InputError: says which families can.
    """
    reads, writes = ("image" if task == "image" else "text"), task in GENERATIVE_TASKS
    known = [registry.load(FAMILIES, each) for each in registry.names(FAMILIES)]
    fit = sorted({m.INFO.title for m in known if m.INFO.model_types and _supports(m, reads, writes=writes)})
    title = family.INFO.title
    if family.INFO.task != reads:
        raise InputError(
            f"{name}: is of the family {title}, which reads {family.INFO.task}s, but the "
            f"dataset has {reads}s; families that read {reads}s: {', '.join(fit)}."
        )
    if not _supports(family, reads, writes=writes):
        raise InputError(
            f"{name}: is of the family {title}, which cannot write text, as the dataset asks for ({task}); "
            f"families that write: {', '.join(fit)}."
        )


def _supports(family: ModuleType, reads: str, *, writes: bool) -> bool:
    """Whether a family's models read something, and write if they must."""
    return family.INFO.task == reads and (family.INFO.writes or not writes)
