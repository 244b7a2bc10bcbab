"""Weights of single layers, read from a model's files without the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.finetune.methods import _peft
from evenhand.finetune.models._roles import roles_of_name

if TYPE_CHECKING:
    import torch

    from evenhand.finetune.models._roles import Roles

_WEIGHT_SUFFIX = ".weight"


def weights_in(folder: Path, roles: Roles) -> Callable[[str], torch.Tensor | None]:
    """Locate the layers of a model in its files.

    Names in the files may lack the backbone's name, or be those of another version of transformers: a layer
    whose name is not there is identified by its role and the numbers in its name, if only one fits.

    Args:
        folder: of the model.
        roles: layers of the model by role.

    Returns:
        A function that reads the weights of a layer by its name; it returns None if the files lack them.
    """
    from safetensors import safe_open  # noqa: PLC0415

    files: dict[str, Path] = {}
    by_role: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            files |= {key: file for key in opened.keys() if key.endswith(_WEIGHT_SUFFIX)}  # noqa: SIM118
    for key in files:
        name = key.removesuffix(_WEIGHT_SUFFIX)
        for role in roles_of_name(name):
            by_role.setdefault((role, _peft.layer_of(f".{name}")), []).append(key)

    def key_of(name: str) -> str | None:
        for exact in (name, name.removeprefix(f"{roles.backbone}.")):
            if f"{exact}{_WEIGHT_SUFFIX}" in files:
                return f"{exact}{_WEIGHT_SUFFIX}"
        of_layer = [role for role, names in roles.layers.items() if name in names]
        fitting = {key for role in of_layer for key in by_role.get((role, _peft.layer_of(f".{name}")), [])}
        return fitting.pop() if len(fitting) == 1 else None

    def weight(name: str) -> torch.Tensor | None:
        key = key_of(name)
        if key is None:
            return None
        with safe_open(files[key], framework="pt") as opened:
            return opened.get_tensor(key)

    return weight
