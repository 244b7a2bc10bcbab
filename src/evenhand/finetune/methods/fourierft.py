"""FourierFT: an update whose spectrum (2-D Fourier transform) has a few trained entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="FourierFT",
    trained="entries of the spectrum of each layer's update, and the classification head",
    paper="Gao et al. 2024, https://arxiv.org/abs/2405.03003",
    learning_rate=1.0e-2,
    epochs=3,
    size="n_frequency",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv1D"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        n_frequency: number of trained entries for each layer; their places are drawn from the run's seed.
        scaling: factor of the update.
        initialisation: `zero` starts at the base; `gaussian` at random entries, as in the paper.
    """

    n_frequency: Annotated[int, Field(ge=1)] = 1000
    scaling: Annotated[float, Field(gt=0)] = 150.0
    initialisation: Literal["zero", "gaussian"] = "zero"


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "FourierFT", n_frequency=config.n_frequency, scaling=config.scaling,
        init_weights=config.initialisation == "zero", random_loc_seed=_peft.draw_seed(),
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the numbers of entries to choose among: up to the entries of the smallest target layer."""
    return range(1, min(n_in * n_out for n_in, n_out in _peft.shapes(model, roles, config).values()) + 1)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    return _peft.count_complaint("n_frequency", config.n_frequency, _peft.shapes(model, roles, config))
