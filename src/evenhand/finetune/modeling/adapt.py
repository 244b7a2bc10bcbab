"""The model of a run: a copy of the base with a new head, adapted by the method."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Job
from evenhand.finetune.hardware import quantised
from evenhand.finetune.methods import _peft
from evenhand.finetune.modeling import heads
from evenhand.finetune.modeling.checkpoint import is_copied_module
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.models._roles import Roles

if TYPE_CHECKING:
    import torch

    from evenhand.finetune.methods import MethodInfo

METHODS = "evenhand.finetune.methods"


def build_adapted_model(base: PretrainedModel, job: Job) -> Any:
    """Copy the base and apply a job's method.

    Raises:
        InputError: the method's options do not fit this model.
    """
    method = registry.load(METHODS, job.method)
    model = method.apply(base.copy(job.seed), base.roles, method.Config(**job.options))
    if job.training.gradient_checkpointing:
        with warnings.catch_warnings():
            # Newer versions of transformers deprecate this name.
            warnings.simplefilter("ignore", FutureWarning)
            model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def is_ready(job: Job) -> bool:
    """Return True if a job's model exists already, and nothing is trained."""
    return bool(registry.load(METHODS, job.method).INFO.ready)


def complaints(base: PretrainedModel, job: Job) -> list[str]:
    """Return the reasons why a job's method cannot be applied to its model; empty if none."""
    method = registry.load(METHODS, job.method)
    if method.INFO.ready:
        return []
    if job.training.gradient_checkpointing and not base.model.supports_gradient_checkpointing:
        return [f"training.gradient_checkpointing: not supported by transformers for '{job.model.name}'."]
    if method.INFO.head_only and not base.roles.head:
        return [
            f"{job.arm}: trains only a classification head, but the task is not a classification; use "
            "another method, or none for the unchanged model."
        ]
    if job.membership is not None and not base.roles.head:
        return [f"{job.arm}: attacks need class probabilities, but the task is not a classification."]
    # Weights that the checkpoint lacks are random until they are trained; every method trains the head.
    untrained = _untrained(base)
    if untrained and not method.INFO.trains_all:
        return [
            f"{job.arm}: the checkpoint of '{job.model.name}' has no weights for {', '.join(untrained)}, "
            "which this method would leave at random values; use a checkpoint that has them, or a method "
            "that trains all weights."
        ]
    twins = heads.namesakes(base.model, base.roles.head)
    if twins and job.method != "none" and not method.INFO.trains_all:
        part, other = next(iter(twins.items()))
        return [
            f"{job.arm}: the head of '{job.model.name}' has the module {part}, and other layers have names "
            f"that end in the same way ({other}): PEFT would train them with it. Train all weights instead."
        ]
    return misfits(base.model, base.roles, job)


def misfits(
    model: Any, roles: Roles, job: Job, weight: Callable[[str], torch.Tensor | None] | None = None
) -> list[str]:
    """Return the reasons why a job's method does not fit the layers of a model; empty if none.

    Args:
        model: with its weights, or on the meta device, where only shapes and ties can be checked.
        roles: the layers of the model.
        job: the method and its options.
        weight: returns the weights of a layer by its name, or None; by default those of the model.
    """
    method = registry.load(METHODS, job.method)
    config = method.Config(**job.options)
    check, check_weights = getattr(method, "complaints", None), getattr(method, "weight_complaints", None)
    wrong = _unsupported(model, method.INFO, job)
    if not wrong and isinstance(config, _peft.Targets):
        try:
            wrong += _peft.complaints(model, roles, config, method.INFO.layers)
        except InputError as error:
            return [f"{job.arm}: {complaint}" for complaint in error.complaints]
    wrong += check(model, roles, config) if check and not wrong else []
    wrong += (
        check_weights(model, roles, config, weight or partial(_weight_of, model)) if check_weights else []
    )
    return [f"{job.arm} on '{job.model.name}': {complaint}." for complaint in wrong]


def _unsupported(model: Any, info: MethodInfo, job: Job) -> list[str]:
    """Return the reasons why a method cannot adapt any layers of a model; empty if none."""
    reads = "image" if model.main_input_name == "pixel_values" else "text"
    wrong = []
    if reads not in info.inputs:
        kinds = " and ".join(f"{kind}s" for kind in info.inputs)
        wrong.append(f"{info.title} adapts only models that read {kinds}, but this one reads {reads}s")
    if job.training.parallel == "fsdp" and not info.sharded:
        wrong.append(
            f"training.parallel: {info.title} is not available with fsdp, which gives each process a part of "
            "every layer; use data"
        )
    if info.quantised and not quantised.is_available():
        wrong.append(f"{info.title} {quantised.missing()}")
    # Only prefixes have tokens of their own.
    texts, tokens = job.training.max_length, int(job.options.get("tokens", 0))
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", 0)
    if texts <= positions < texts + tokens:
        wrong.append(
            f"tokens: {tokens} virtual tokens and texts of up to {texts} (training.max_length) need more "
            f"than the {positions} positions of the model; lower one of them"
        )
    if job.training.gradient_checkpointing and not info.checkpoints:
        wrong.append(f"training.gradient_checkpointing: {info.title} is not available with it; leave it off")
    return wrong


def merges(job: Job) -> bool:
    """Return True if PEFT can merge the adapters of a job's method into the base."""
    return bool(registry.load(METHODS, job.method).INFO.merges)


def method_hooks(job: Job, model: Any) -> dict[str, Any]:
    """Return the hooks of a job's method for the training loop, as fields of its `Hooks`.

    Args:
        job: the run.
        model: the adapted model, without a data-parallel wrapper.
    """
    method = registry.load(METHODS, job.method)
    hooks: dict[str, Any] = {}
    if before := getattr(method, "before_training", None):
        hooks["before"] = partial(before, model, method.Config(**job.options))
    hooks |= {
        name: partial(getattr(method, name), model)
        for name in ("after_step", "extra_loss")
        if hasattr(method, name)
    }
    if not method.INFO.weight_decay:
        hooks["decays"] = is_copied_module
    if method.INFO.head_rate != 1:
        hooks["rate_factor"] = lambda name: method.INFO.head_rate if is_copied_module(name) else 1.0
    return hooks


def _weight_of(model: Any, name: str) -> torch.Tensor | None:
    """Return the weights of a model's layer; None on the meta device."""
    weight = model.get_submodule(name).weight.detach()
    return None if weight.is_meta else weight


def remarks(base: PretrainedModel, job: Job) -> list[str]:
    """Return notes about a job's method on its model."""
    method = registry.load(METHODS, job.method)
    method_remarks = getattr(method, "remarks", None)
    config = method.Config(**job.options)
    sentences = list(method_remarks(base.model, base.roles, config)) if method_remarks else []
    targets = tuple(getattr(config, "targets", ()))
    if (resolved := base.roles.resolve(targets)) != targets:
        n = len(base.roles.of(resolved))
        sentences.append(
            f"{job.arm}: '{job.model.name}' has no layers for one of the default targets "
            f"({', '.join(targets)}), so that all its {n} linear layers are adapted ({', '.join(resolved)})"
        )
    if method.INFO.trains_all and _has_batch_norm(base.model):
        sentences.append(
            f"{job.arm}: '{job.model.name}' has batch normalisation, so that training depends on the number "
            "of rows per forward pass (training.micro_batch)"
        )
    if untrained := _untrained(base):
        shown = ", ".join(untrained[:3]) + (f" and {len(untrained) - 3} more" if len(untrained) > 3 else "")
        sentences.append(
            f"the checkpoint of '{job.model.name}' has no weights for {shown}: they start at random values"
        )
    if base.remark:
        sentences.append(f"the checkpoint of '{job.model.name}' {base.remark}")
    return sentences


def _has_batch_norm(model: Any) -> bool:
    """Return True if a model has layers whose output for a row depends on the other rows of a batch."""
    import torch  # noqa: PLC0415

    return any(isinstance(module, torch.nn.modules.batchnorm._NormBase) for module in model.modules())


def _untrained(base: PretrainedModel) -> list[str]:
    """Return the modules outside of the head for which the checkpoint has no weights."""
    return [name for name in base.new_modules if not name.startswith(base.roles.head)]
