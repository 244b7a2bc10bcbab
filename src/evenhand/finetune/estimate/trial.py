"""A trial pass of an adapted model before any training: a method may fit the shapes and fail when it runs.

The pass runs without weights. An operation that is not available without them says nothing about a run, so a
failure counts only where it is repeated by a model with random weights, whose base runs.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Job
from evenhand.finetune.estimate.flops import run_example
from evenhand.finetune.estimate.meta import MetaModel, build_meta_model
from evenhand.finetune.methods import _peft
from evenhand.finetune.modeling.adapt import METHODS, is_ready
from evenhand.finetune.modeling.checkpoint import is_adapted
from evenhand.finetune.modeling.families import AUTO_CLASSES, GENERATIVE_TASKS

#: Parameters of a model up to which a failure is repeated with random weights; it takes 4 bytes for each.
_MOST_PARAMETERS = 1_000_000_000
#: Tokens of a text.
_TOKENS = 16


def trial_complaints(meta: MetaModel, model: Any, job: Job) -> list[str]:
    """Run an adapted model over one row; return why that fails, empty if it runs or if that is not known.

    Args:
        meta: the base on the meta device.
        model: the adapted copy of it.
        job: the method.
    """
    if not is_adapted(model):
        return []
    fault = _fault(model, meta)
    if fault is None or isinstance(fault, NotImplementedError) or "meta" in str(fault):
        return []
    confirmed = _fault_with_weights(meta, job)
    if confirmed is None:
        return []
    method = registry.load(METHODS, job.method)
    config = method.Config(**job.options)
    kinds = ""
    if isinstance(config, _peft.Targets):
        names = sorted({_peft.kind_of(meta.model.get_submodule(n)) for n in meta.roles.of(config.targets)})
        kinds = f" on layers of the kind {' and '.join(names)}"
    return [
        f"{job.arm} on '{job.model.name}': the model cannot run with {method.INFO.title}{kinds}: a trial "
        f"pass of one row ends in {type(confirmed).__name__}: {confirmed}. Choose other targets, or a method "
        "without adapters (full, head_only)."
    ]


class Trials:
    """Trial passes of the jobs of a study: a model is built once, and a method with its options runs once."""

    def __init__(self) -> None:
        self._models: dict[str, MetaModel | None] = {}
        self._complaints: dict[str, list[str]] = {}

    def complaints(self, job: Job, task: str) -> list[str]:
        """Return why the adapted model of a job cannot run; empty if it runs, or if that is not known."""
        if is_ready(job):
            return []
        if job.model.key not in self._models:
            self._models[job.model.key] = None
            with contextlib.suppress(Exception):  # the models themselves are checked when they are loaded
                classes = 0 if task in GENERATIVE_TASKS else 2
                self._models[job.model.key] = build_meta_model(job.model, task, classes, _TOKENS)
        meta = self._models[job.model.key]
        key = repr((job.model.key, job.method, sorted(job.options.items())))
        if meta is not None and key not in self._complaints:
            self._complaints[key] = []
            with contextlib.suppress(Exception):  # a method that needs weights
                self._complaints[key] = trial_complaints(meta, meta.adapted(job), job)
        return self._complaints.get(key, [])


def _fault(model: Any, meta: MetaModel) -> Exception | None:
    """Run one row through an adapted model; return the exception that it raises."""
    model.eval()
    try:
        run_example(model, model.get_base_model(), meta.row)
    except Exception as error:  # models and adapters raise anything
        return error
    return None


def _fault_with_weights(meta: MetaModel, job: Job) -> Exception | None:
    """Repeat the pass with random weights on the CPU; None if it runs, or if the base alone fails too."""
    import transformers  # noqa: PLC0415

    if sum(p.numel() for p in meta.model.parameters()) > _MOST_PARAMETERS:
        return None
    method = registry.load(METHODS, job.method)
    with torch.random.fork_rng(devices=[]):
        try:
            auto = getattr(transformers, AUTO_CLASSES[meta.task])
            base = auto.from_config(meta.model.config).eval()
            run_example(base, base, meta.row, device="cpu")
        except Exception:  # then the row is at fault, or the model
            return None
        try:
            adapted = method.apply(base, meta.roles, method.Config(**job.options))
        except InputError:
            return None
        adapted.eval()
        try:
            run_example(adapted, adapted.get_base_model(), meta.row, device="cpu")
        except Exception as error:
            return error
    return None
