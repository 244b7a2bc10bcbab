"""Checks of a trained model before its run counts; each one raises, or returns what it measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune.hardware.devices import precision_of
from evenhand.finetune.hardware.quantised import quantised_layers
from evenhand.finetune.modeling import checkpoint
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.tasks import Task
from evenhand.tables.schema import FloatArray

#: Largest accepted difference of a probability. In float32 only the order of sums differs; bfloat16 has a
#: significand of 8 bits.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


class CheckError(Exception):
    """A trained model fails a check."""


def copy_frozen_weights(base: PretrainedModel, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copy every weight that the method does not train, by name, before training.

    A method may start by moving a part of the base into its adapter (PiSSA), or by quantising it; the
    remainder is copied here, or the packed weights with their scales.
    `check_saved` verifies that the adapter fits the original base nevertheless.

    Raises:
        CheckError: a weight of the base was not found in the adapted model.
    """
    current = _weights_of_base(model)
    weights = {}
    for name, pretrained in base.model.named_parameters():
        if _in_head(name, base):
            continue
        if name not in current:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not current[name].requires_grad:
            # An unchanged weight is shared with the base, which is never trained: no copy is needed.
            now, before = current[name].detach().cpu(), pretrained.detach()
            same = now.dtype == before.dtype and torch.equal(now, before)
            weights[name] = before if same else now.clone()
    return weights


def check_frozen_weights(start: Mapping[str, torch.Tensor], model: torch.nn.Module) -> int:
    """Compare every weight that the method does not train with its value before training, bit for bit.

    Args:
        start: the result of `copy_frozen_weights`.
        model: the trained model.

    Returns:
        Number of scalar weights compared; of quantised weights and their scales, the bytes.

    Raises:
        CheckError: a weight differs or was not found.
    """
    current = _weights_of_base(model)
    for name, before in start.items():
        if name not in current:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not torch.equal(current[name].detach().cpu(), before):
            raise CheckError(f"the frozen weight '{name}' changed in training")
    return sum(before.numel() for before in start.values())


def check_saved(
    base: PretrainedModel,
    path: Path,
    task: Task,
    scores: FloatArray,
    accelerator: Accelerator,
    *,
    merges: bool,
) -> dict[str, object]:
    """Reload the saved model, and compare its probabilities with the trained model's.

    Args:
        base: the pretrained model.
        path: folder of the saved model or adapter.
        task: the task of the run.
        scores: the trained model's probabilities for the sample of the task.
        accelerator: device and precision.
        merges: True if an adapter of the run's method can be merged into the base.

    Returns:
        Largest difference of a probability: `reload`, and for an adapter that merges also `merged`.

    Raises:
        CheckError: a difference exceeds the tolerance, or the saved model cannot be loaded.
    """
    try:
        reloaded = checkpoint.reload(base, path).to(accelerator.device)
    except Exception as error:
        raise CheckError(f"the saved model cannot be reloaded ({type(error).__name__}: {error})") from error
    values = task.sample_probabilities(reloaded, accelerator)
    tolerance = TOLERANCE[precision_of(accelerator)]
    differences: dict[str, object] = {"reload": _check_close("the reloaded model", values, scores, tolerance)}
    if merges and checkpoint.is_adapted(reloaded):
        differences["merged"] = _check_merged(reloaded, task, accelerator)
    return differences


def _check_merged(model: Any, task: Task, accelerator: Accelerator) -> float:
    """Merge a model's adapters into its weights, and compare predictions before and after in float32.

    Returns:
        The largest difference of a probability.

    Raises:
        CheckError: the difference exceeds the tolerance.
    """
    scores = task.sample_probabilities(model, accelerator, exact=True)
    merged = task.sample_probabilities(model.merge_and_unload(), accelerator, exact=True)
    return _check_close("the merged model", merged, scores, TOLERANCE["float32"])


def _check_close(subject: str, probabilities: FloatArray, scores: FloatArray, tolerance: float) -> float:
    worst = float(np.abs(probabilities - scores).max())
    # `not <=` instead of `>`, so that NaN fails as well.
    if not worst <= tolerance:
        raise CheckError(
            f"predictions of {subject} differ from the trained model's: probabilities differ by up to "
            f"{worst:.2g}, more than {tolerance:g}"
        )
    return worst


def _weights_of_base(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a model by their names before PEFT wrapped its layers.

    The weights that PEFT added have names that no base has. Of a quantised layer, the packed weights and
    their scales are returned as bytes.
    """
    base = model.get_base_model() if checkpoint.is_adapted(model) else model
    weights: dict[str, torch.Tensor] = dict(base.named_parameters())
    weights |= {f"{name}.weight": layer.packed() for name, layer in quantised_layers(base)}
    return {
        name.replace(".base_layer.", ".").replace(".original_module.", "."): p for name, p in weights.items()
    }


def _in_head(name: str, base: PretrainedModel) -> bool:
    return any(name.startswith(f"{part}.") for part in (*base.roles.head, *base.new_modules))
