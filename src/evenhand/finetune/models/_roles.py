"""The layers of one model by role."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.errors import InputError, nearest


@dataclass(frozen=True)
class Roles:
    """The layers of one model by role.

    Attributes:
        layers: names of the modules of each role, in the order of the model.
        widths: the smaller dimension of each of these modules' matrices.
        head: names of the modules of the classification head; empty for models that generate.
    """

    layers: Mapping[str, tuple[str, ...]]
    widths: Mapping[str, int]
    head: tuple[str, ...]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the numbered modules that contain layers with roles, in the order of the model."""
        matches = (re.match(r"(.*\.\d+)\.", name) for names in self.layers.values() for name in names)
        return tuple(dict.fromkeys(match[1] for match in matches if match))

    def of(self, roles: Sequence[str]) -> list[str]:
        """Return the names of the modules with any of several roles.

        Raises:
            InputError: the model lacks one of the roles.
        """
        unknown = [role for role in roles if role not in self.layers]
        if unknown:
            raise InputError(
                [
                    f"targets: the model has no role '{role}'; {nearest(role, list(self.layers))}"
                    for role in unknown
                ]
            )
        chosen = {name for role in roles for name in self.layers[role]}
        # A matrix with several roles, as in GPT-2, is one module.
        return list(dict.fromkeys(name for names in self.layers.values() for name in names if name in chosen))


def find_roles(model: Any, roles: Mapping[str, str], head: Sequence[str]) -> Roles:
    """Find a model's layers.

    Args:
        model: a transformers model.
        roles: regular expression for the end of the modules' names, by role.
        head: names of the head's modules.
    """
    modules: dict[str, list[str]] = {role: [] for role in roles}
    widths: dict[str, int] = {}
    for name, module in model.named_modules():
        for role, pattern in roles.items():
            if re.search(rf"(?:^|\.)(?:{pattern})$", name):
                modules[role].append(name)
                widths[name] = min(module.weight.shape[0], module.weight[0].numel())
    layers = {role: tuple(names) for role, names in modules.items() if names}
    return Roles(layers, widths, tuple(head))
