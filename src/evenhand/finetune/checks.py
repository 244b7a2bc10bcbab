"""What must be true of a trained model before its run counts; each check raises or says what it measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import precision_of
from evenhand.finetune.modeling import checkpoint
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.tasks import Task
from evenhand.tables.schema import FloatArray

#: Largest difference of a probability: float32 sums in another order; bfloat16 has 8 bits.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


class CheckError(Exception):
    """A trained model is not what it must be."""


def copy_frozen_weights(base: PretrainedModel, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight that the method does not train, by name, before training.

    A method may begin by moving a part of the base into its adapter; what it leaves is copied here. That the
    adapter fits the original base all the same is for `reloads` to show.

    Raises:
        CheckError: a weight of the base cannot be found.
    """
    current = {_plain_name(name): p for name, p in model.named_parameters() if not _added_by_peft(name)}
    weights = {}
    for name, pretrained in base.model.named_parameters():
        if _in_head(name, base):
            continue
        if name not in current:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not current[name].requires_grad:
            same = torch.equal(current[name].detach().cpu(), pretrained.detach())
            weights[name] = pretrained.detach() if same else current[name].detach().cpu().clone()
    return weights


def check_frozen_weights(start: Mapping[str, torch.Tensor], model: torch.nn.Module) -> int:
    """Compare every weight that the method does not train with what it was at the start, bit for bit.

    Args:
        start: what `copy_frozen_weights` gave.
        model: trained.

    Returns:
        How many weights (numbers) were compared.

    Raises:
        CheckError: one differs, or cannot be found.
    """
    current = {_plain_name(name): p for name, p in model.named_parameters() if not _added_by_peft(name)}
    for name, before in start.items():
        if name not in current:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not torch.equal(current[name].detach().cpu(), before):
            raise CheckError(f"the frozen weight '{name}' changed in training")
    return sum(before.numel() for before in start.values())


def check_saved(
    base: PretrainedModel, path: Path, task: Task, scores: FloatArray, accelerator: Accelerator
) -> dict[str, object]:
    """Load what was saved, and compare it with the trained model, which is needed no more.

    Args:
        base: the pretrained model.
        path: what was saved.
        task: what the run is for.
        scores: the trained model's probabilities of the goal's sample.
        accelerator: device and precision.

    Returns:
        Largest differences of a probability: `reload`, and `merged` of an adapter.

    Raises:
        CheckError: one is above the tolerance, or what was saved cannot be loaded.
    """
    try:
        reloaded = checkpoint.reload(base, path).to(accelerator.device)
    except Exception as error:
        raise CheckError(
            f"the reloaded model: what was saved cannot be loaded ({type(error).__name__}: {error})"
        ) from error
    values = task.sample_probabilities(reloaded, accelerator)
    tolerance = TOLERANCE[precision_of(accelerator)]
    differences: dict[str, object] = {"reload": _check_close("the reloaded model", values, scores, tolerance)}
    if checkpoint.is_adapted(reloaded):
        differences["merged"] = _check_merged(reloaded, task, accelerator)
    return differences


def _check_merged(model: Any, task: Task, accelerator: Accelerator) -> float:  # noqa: ANN401
    """Merge a model's adapters into its weights, and compare it with what it was, both in float32.

    Returns:
        The largest difference of a probability.

    Raises:
        CheckError: it is above the tolerance.
    """
    scores = task.sample_probabilities(model, accelerator, exact=True)
    merged = task.sample_probabilities(model.merge_and_unload(), accelerator, exact=True)
    return _check_close("the merged model", merged, scores, TOLERANCE["float32"])


def _check_close(subject: str, probabilities: FloatArray, scores: FloatArray, tolerance: float) -> float:
    worst = float(np.abs(probabilities - scores).max())
    if not worst <= tolerance:
        raise CheckError(
            f"{subject} predicts otherwise than the trained one: probabilities differ by up to {worst:.2g}, "
            f"more than {tolerance:g}"
        )
    return worst


def _plain_name(name: str) -> str:
    """A weight's name before PEFT wrapped its layer."""
    name = re.sub(r"^base_model\.model\.", "", name)
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def _added_by_peft(name: str) -> bool:
    """Whether PEFT added a weight: an adapter's, or the trained copy of a head's."""
    return ".modules_to_save." in name or ".lora_" in name


def _in_head(name: str, base: PretrainedModel) -> bool:
    return any(name.startswith(f"{part}.") for part in (*base.roles.head, *base.new_modules))
