"""Weights of single layers, read from a model's files without the rest of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.finetune.methods import _lora

if TYPE_CHECKING:
    import torch

    from evenhand.finetune.models._roles import Roles

_END = ".weight"


def weights_in(
    place: Path, roles: Roles, patterns: Mapping[str, str]
) -> Callable[[str], torch.Tensor | None]:
    """Find the layers of a model in its files.

    Names in the files may be those of another version of transformers, so a layer is found by its role and
    the number of its block.

    Args:
        place: the folder.
        roles: of the model.
        patterns: how names of layers end, by role.

    Returns:
        Gives the weights of a layer by its name in the model; None where the files do not have them.
    """
    from safetensors import safe_open  # noqa: PLC0415

    found: dict[tuple[str, tuple[int, ...]], tuple[Path, str]] = {}
    for file in sorted(place.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118  (no dictionary)
                name = key.removesuffix(_END)
                for role, pattern in patterns.items():
                    if key.endswith(_END) and re.search(rf"(?:^|\.)(?:{pattern})$", name):
                        found[role, _lora.layer_of(f".{name}")] = file, key
    keys = {
        name: found.get((role, _lora.layer_of(f".{name}")))
        for role, names in roles.layers.items()
        for name in names
    }

    def weight(name: str) -> torch.Tensor | None:
        at = keys.get(name)
        if at is None:
            return None
        with safe_open(at[0], framework="pt") as opened:
            return opened.get_tensor(at[1])

    return weight
