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


def at_start(base: PretrainedModel, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight that the method does not train, by name, before training.

    A method may begin by moving a part of the base into its adapter; what it leaves is copied here. That the
    adapter fits the original base all the same is for `reloads` to show.

    Raises:
        CheckError: a weight of the base cannot be found.
    """
    now = {_plain(name): p for name, p in model.named_parameters() if not _copied(name)}
    kept = {}
    for name, pretrained in base.model.named_parameters():
        if _head(name, base):
            continue
        if name not in now:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not now[name].requires_grad:
            same = torch.equal(now[name].detach().cpu(), pretrained.detach())
            kept[name] = pretrained.detach() if same else now[name].detach().cpu().clone()
    return kept


def base_frozen(start: Mapping[str, torch.Tensor], model: torch.nn.Module) -> int:
    """Compare every weight that the method does not train with what it was at the start, bit for bit.

    Args:
        start: what `at_start` gave.
        model: trained.

    Returns:
        How many weights (numbers) were compared.

    Raises:
        CheckError: one differs, or cannot be found.
    """
    now = {_plain(name): p for name, p in model.named_parameters() if not _copied(name)}
    for name, before in start.items():
        if name not in now:
            raise CheckError(f"the weight '{name}' of the base is no longer in the model")
        if not torch.equal(now[name].detach().cpu(), before):
            raise CheckError(f"the frozen weight '{name}' changed in training")
    return sum(before.numel() for before in start.values())


def of_saved(
    base: PretrainedModel, place: Path, goal: Task, scores: FloatArray, accelerator: Accelerator
) -> dict[str, object]:
    """Load what was saved, and compare it with the trained model, which is needed no more.

    Args:
        base: the pretrained model.
        place: what was saved.
        goal: what the run is for.
        scores: the trained model's probabilities of the goal's sample.
        accelerator: device and precision.

    Returns:
        Largest differences of a probability: `reload`, and `merged` of an adapter.

    Raises:
        CheckError: one is above the tolerance, or what was saved cannot be loaded.
    """
    try:
        again = checkpoint.reload(base, place).to(accelerator.device)
    except Exception as error:
        raise CheckError(
            f"the reloaded model: what was saved cannot be loaded ({type(error).__name__}: {error})"
        ) from error
    values = goal.values(again, accelerator)
    allowed = TOLERANCE[precision_of(accelerator)]
    found: dict[str, object] = {"reload": _close("the reloaded model", values, scores, allowed)}
    if checkpoint.is_adapted(again):
        found["merged"] = _merges(again, goal, accelerator)
    return found


def _merges(model: Any, goal: Task, accelerator: Accelerator) -> float:  # noqa: ANN401
    """Merge a model's adapters into its weights, and compare it with what it was, both in float32.

    Returns:
        The largest difference of a probability.

    Raises:
        CheckError: it is above the tolerance.
    """
    scores = goal.values(model, accelerator, exact=True)
    found = goal.values(model.merge_and_unload(), accelerator, exact=True)
    return _close("the merged model", found, scores, TOLERANCE["float32"])


def _close(what: str, found: FloatArray, scores: FloatArray, allowed: float) -> float:
    worst = float(np.abs(found - scores).max())
    if not worst <= allowed:
        raise CheckError(
            f"{what} predicts otherwise than the trained one: probabilities differ by up to {worst:.2g}, "
            f"more than {allowed:g}"
        )
    return worst


def _plain(name: str) -> str:
    """A weight's name before PEFT wrapped its layer."""
    name = re.sub(r"^base_model\.model\.", "", name)
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def _copied(name: str) -> bool:
    """Whether PEFT added a weight: an adapter's, or the trained copy of a head's."""
    return ".modules_to_save." in name or ".lora_" in name


def _head(name: str, base: PretrainedModel) -> bool:
    return any(name.startswith(f"{part}.") for part in (*base.roles.head, *base.new_modules))
