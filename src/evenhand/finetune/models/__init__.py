"""Model families: one file each, with an `INFO` card and `ROLES`, the layers that methods can adapt.

A role is a common name for a kind of layer (`attention.query`); a family gives the pattern of its modules'
names for each role, in every version of transformers. Models that evenhand makes itself also have a `Config`
and `build`. Files that begin with an underscore are not families.
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
)
#: Roles of modules before the numbered layers.
ROLES_OUTSIDE_LAYERS = ("embedding",)


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a family.

    Attributes:
        title: its name in reports.
        task: kind of input of its models.
        model_types: `model_type` of the configurations that belong to it.
        reads: input of the head: the first token, the last one other than padding, or the base's pooled
            output.
        source: paper or address.
        writes: True if its models predict the next token, so that they can generate text.
    """

    title: str
    task: Literal["text", "image"]
    model_types: tuple[str, ...]
    reads: Literal["first", "last", "pooled"]
    source: str
    writes: bool = False
