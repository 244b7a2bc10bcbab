"""Existing models: whole models or adapters that someone else has trained, one for each seed of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="existing models", trained="nothing in this study", paper="", learning_rate=1.0e-3, epochs=1,
    ready=True,
)  # fmt: skip


class Config(Frozen):
    """Options.

    Attributes:
        models: hub ids or folders, with @REVISION for a branch, tag or commit: one for each seed, in order.
        base: hub id or folder of the adapters' base, where it is not the one that they name.
        classes: the labels that the outputs mean, in their order, where the models have other names for them.
        lenient: accept settings of adapters that the installed PEFT does not know.
    """

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    base: str | None = None
    classes: tuple[str, ...] = ()
    lenient: bool = False


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PreTrainedModel:
    """Freeze everything; the model of a run is loaded instead of the study's."""
    return model.requires_grad_(False)
