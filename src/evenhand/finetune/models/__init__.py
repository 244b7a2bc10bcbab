"""Model families with facts that a model itself does not state; most families need no file here.

A role is a common name for a kind of layer (`attention.query`), found from the model (`_roles.py`). A file
has an `INFO` card. Optional are `TINY`, the configuration of a stand-in for smoke runs; `SHAPES`,
configurations of well-known models for sizes without a network; and `ROLES`, patterns of the layers' names
where these are not the usual ones. Models that evenhand makes itself have a `Config` and `build`. Files that
begin with an underscore are not families.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Every role that a family may have, in the order of a forward pass.
ROLES = (
    "embedding",
    "attention.query",
    "attention.key",
    "attention.value",
    "attention.output",
    "mlp.gate",
    "mlp.up",
    "mlp.down",
    "all-linear",
)
#: The role of all linear layers besides the head's, which every model has.
ALL_LINEAR = "all-linear"
#: The layers that low-rank methods adapt by default.
DEFAULT_TARGETS = ("attention.query", "attention.value")
#: Roles of modules before the numbered layers.
ROLES_OUTSIDE_LAYERS = ("embedding",)


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a family.

    Attributes:
        title: its name in reports.
        task: kind of input of its models.
        model_types: `model_type` of the configurations that belong to it.
        source: paper or address.
    """

    title: str
    task: Literal["text", "image"]
    model_types: tuple[str, ...]
    source: str
