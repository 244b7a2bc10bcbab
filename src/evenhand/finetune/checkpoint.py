"""What a run leaves of its model: an adapter in PEFT's format, or the whole model as safetensors."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.finetune.base import Base

if TYPE_CHECKING:
    import torch

#: Another draw than any run's, so that a head that was not saved cannot look as if it was.
_OTHER_SEED = 2**31 - 1


def save(model: Any, folder: Path) -> Path:  # noqa: ANN401
    """Write what was trained.

    Args:
        model: a transformers model, or a PEFT model around one.
        folder: of the run.

    Returns:
        The folder `adapter` (with the head in it) or `model`.
    """
    place = folder / ("adapter" if is_adapted(model) else "model")
    # PEFT would ask the hub whether the embeddings have grown; they have not.
    model.save_pretrained(str(place), **({"save_embedding_layers": False} if is_adapted(model) else {}))
    if is_adapted(model):
        _sorted(place / "adapter_config.json")
    # PEFT adds a card about the machine's base path: of no use, and another text on every machine.
    (place / "README.md").unlink(missing_ok=True)
    return place


def _sorted(path: Path) -> None:
    """Give the sets in PEFT's file an order: the same bytes from every process."""
    told = json.loads(path.read_text(encoding="utf-8"))
    for name in ("target_modules", "modules_to_save"):
        if isinstance(told.get(name), list):
            told[name].sort()
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def reload(base: Base, place: Path) -> torch.nn.Module:
    """Load what `save` wrote, as a stranger would: onto a base whose head was drawn otherwise."""
    if place.name == "adapter":
        from peft import PeftModel  # noqa: PLC0415

        with warnings.catch_warnings():
            # PEFT asks transformers for what it calls by another name since.
            warnings.simplefilter("ignore", FutureWarning)
            adapted: torch.nn.Module = PeftModel.from_pretrained(base.copy(_OTHER_SEED), str(place))
        return adapted
    whole: torch.nn.Module = type(base.model).from_pretrained(
        str(place), use_safetensors=True, attn_implementation=base.model.config._attn_implementation
    )
    return whole


def is_adapted(model: Any) -> bool:  # noqa: ANN401
    """Whether PEFT put adapters into a model."""
    return hasattr(model, "peft_config")
