"""What must be true of a trained model before its run counts; each check raises or says what it measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.finetune import checkpoint
from evenhand.finetune.base import Base
from evenhand.finetune.devices import precision_of
from evenhand.finetune.goals import Goal
from evenhand.tables.schema import FloatArray

#: Largest difference of a probability: float32 sums in another order; bfloat16 has 8 bits.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


class CheckError(Exception):
    """A trained model is not what it must be."""


def at_start(base: Base, model: torch.nn.Module) -> dict[str, torch.Tensor]:
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


def of_trained(
    model: Any,  # noqa: ANN401
    start: Mapping[str, torch.Tensor],
    goal: Goal | None,
    accelerator: Accelerator,
) -> dict[str, object]:
    """Make every check of a trained model that applies to it; afterwards it is used up, and can be let go.

    Args:
        model: trained; its adapters are merged into its weights.
        start: what `at_start` gave.
        goal: what the run is for; None where nothing was trained or asked.
        accelerator: device and precision.

    Returns:
        What each check measured, by its name.

    Raises:
        CheckError: the model is not what it must be.
    """
    found: dict[str, object] = {"base_frozen": base_frozen(start, model)} if start else {}
    if goal is not None and checkpoint.is_adapted(model):
        found["merged"] = merges(model.to(accelerator.device), goal, accelerator)
    return found


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


def reloads(base: Base, place: Path, goal: Goal, scores: FloatArray, accelerator: Accelerator) -> float:
    """Compare a reloaded model's probabilities with those of the trained one.

    Args:
        base: the pretrained model.
        place: what was saved.
        goal: what the run is for.
        scores: the trained model's probabilities of the goal's sample.
        accelerator: device and precision.

    Returns:
        The largest difference.

    Raises:
        CheckError: it is above the tolerance, or what was saved cannot be loaded.
    """
    try:
        again = checkpoint.reload(base, place).to(accelerator.device)
    except Exception as error:
        raise CheckError(
            f"the reloaded model: what was saved cannot be loaded ({type(error).__name__}: {error})"
        ) from error
    found = goal.values(again, accelerator)
    return _close("the reloaded model", found, scores, TOLERANCE[precision_of(accelerator)])


def merges(model: Any, goal: Goal, accelerator: Accelerator) -> float:  # noqa: ANN401
    """Compare a model whose adapters are merged into its weights with what it was, both in float32.

    The merging is done in the model itself: a copy would take as much memory again.

    Returns:
        The largest difference of a probability.

    Raises:
        CheckError: it is above the tolerance.
    """
    scores = goal.values(model, accelerator, exact=True)
    merged = model.merge_and_unload()
    found = goal.values(merged, accelerator, exact=True)
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


def _head(name: str, base: Base) -> bool:
    return any(name.startswith(f"{part}.") for part in (*base.roles.head, *base.fresh))
