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

_WEIGHT_SUFFIX = ".weight"


def weights_in(
    folder: Path, roles: Roles, patterns: Mapping[str, str]
) -> Callable[[str], torch.Tensor | None]:
    """Locate the layers of a model in its files.

    Names in the files may be those of another version of transformers, so a layer is identified by its role
    and the number of its block.

    Args:
        folder: of the model.
        roles: layers of the model by role.
        patterns: regular expression for the end of a layer's name, by role.

    Returns:
        A function that reads the weights of a layer by its name; it returns None if the files lack them.
    """
    from safetensors import safe_open  # noqa: PLC0415

    locations: dict[tuple[str, tuple[int, ...]], tuple[Path, str]] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118  (no dictionary)
                name = key.removesuffix(_WEIGHT_SUFFIX)
                for role, pattern in patterns.items():
                    if key.endswith(_WEIGHT_SUFFIX) and re.search(rf"(?:^|\.)(?:{pattern})$", name):
                        locations[role, _lora.layer_of(f".{name}")] = file, key
    keys = {
        name: locations.get((role, _lora.layer_of(f".{name}")))
        for role, names in roles.layers.items()
        for name in names
    }

    def weight(name: str) -> torch.Tensor | None:
        location = keys.get(name)
        if location is None:
            return None
        with safe_open(location[0], framework="pt") as opened:
            return opened.get_tensor(location[1])

    return weight
