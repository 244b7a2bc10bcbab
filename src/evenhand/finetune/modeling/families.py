"""Model families: which tasks transformers offers for a configuration, and what a family's file adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from evenhand import registry
from evenhand.errors import InputError

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
#: What the classes of transformers do.
_USES = {
    "AutoModelForSequenceClassification": "text classification",
    "AutoModelForImageClassification": "image classification",
    "AutoModelForCausalLM": "text generation",
}


@dataclass(frozen=True)
class Family:
    """The family of a model.

    Attributes:
        name: of its file in `finetune.models`, or of the entry point; else the `model_type` of transformers.
        title: its name in messages.
        patterns: regular expression for the end of the layers' names, by role; empty for a family whose
            layers are found from their names within the blocks.
    """

    name: str
    title: str
    patterns: Mapping[str, str] = field(default_factory=dict)


def family_of(config: Any, name: str, task: str) -> Family:
    """Return the family of a configuration.

    Args:
        config: of transformers.
        name: of the model, for complaints.
        task: task of the dataset.

    Raises:
        InputError: transformers has no class of this family for the task.
    """
    check_task(config, f"model '{name}'", task)
    return _family(config.model_type)


def check_task(config: Any, subject: str, task: str) -> None:
    """Check that transformers has a class of a configuration's family for a task.

    Args:
        config: of transformers.
        subject: the model, as the subject of a complaint.
        task: task of the dataset.

    Raises:
        InputError: it has none; the message names the tasks for which it has one.
    """
    uses = [use for kind, use in _USES.items() if _has_class(config, kind)]
    needed = _USES[AUTO_CLASSES[task]]
    if needed in uses:
        return
    title = _family(config.model_type).title
    offer = f"offers for {' and '.join(uses)}" if uses else "offers for none of evenhand's tasks"
    raise InputError(
        f"{subject}: belongs to the family {title}, which transformers {offer}; the dataset needs {needed}."
    )


def family_file(name: str) -> ModuleType | None:
    """Return the module of the file, or entry point, with a family's name; None for other names."""
    return registry.load(FAMILIES, name) if name in registry.all_names(FAMILIES) else None


def _family(model_type: str) -> Family:
    """Return the family of a `model_type`, from its file if it has one."""
    for name in registry.all_names(FAMILIES):
        module = registry.load(FAMILIES, name)
        if model_type in module.INFO.model_types:
            return Family(name, module.INFO.title, getattr(module, "ROLES", {}))
    return Family(model_type, model_type)


def _has_class(config: Any, kind: str) -> bool:
    """Return True if a class of transformers, or one that was registered with it, fits a configuration.

    A masked language model has a class for generation as well, which needs an attention that looks only back:
    it counts only if its configuration says so.
    """
    import transformers  # noqa: PLC0415  (seconds)
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING  # noqa: PLC0415

    if type(config) not in getattr(transformers, kind)._model_mapping:
        return False
    if kind != "AutoModelForCausalLM":
        return True
    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    return not masked and not config.is_encoder_decoder
