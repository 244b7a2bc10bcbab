"""Model families: one file each, with an `INFO` card and `ROLES`: where a family keeps what methods adapt.

A role is a word of ours for a kind of layer (`attention.query`); a family says by which patterns its layers
are called, in every version of transformers. Models that evenhand makes itself are files with a `Config` and
`build` as well. Files that begin with an underscore are no families.
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
#: Of these, what lies before the layers and is in none of them.
ROLES_OUTSIDE_LAYERS = ("embedding",)


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a family.

    Attributes:
        title: its name in reports.
        task: what its models read.
        model_types: the `model_type` of the configurations that belong to it.
        reads: what the head reads: the first token, the last one that is no padding, or what the base pools.
        source: paper or address.
        writes: whether its models predict the next token, so that they can write text.
    """

    title: str
    task: Literal["text", "image"]
    model_types: tuple[str, ...]
    reads: Literal["first", "last", "pooled"]
    source: str
    writes: bool = False
