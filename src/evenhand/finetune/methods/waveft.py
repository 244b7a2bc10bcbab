"""WaveFT: an update whose wavelet transform has a few trained entries."""

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
    title="WaveFT",
    trained="wavelet coefficients of each layer's update, and the classification head",
    paper="Bilican et al. 2025, https://arxiv.org/abs/2505.12532",
    learning_rate=3.0e-3,
    epochs=3,
    size="n_frequency",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv1D"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        n_frequency: number of trained coefficients for each layer; their places are drawn from the run's
            seed.
        scaling: factor of the update.
        wavelet: family of the wavelets: Daubechies of order 1 (Haar) to 12.
        transform: transform the coefficients back; otherwise they are entries of the update itself
            (SHiRA-like).
        proportional: number of coefficients in proportion to the size of a layer, and `n_frequency` on
            average.
        initialisation: `zero` starts at the base; `gaussian` at small random coefficients.
    """

    n_frequency: Annotated[int, Field(ge=1)] = 2592
    scaling: Annotated[float, Field(gt=0)] = 25.0
    wavelet: Literal[
        "db1", "db2", "db3", "db4", "db5", "db6", "db7", "db8", "db9", "db10", "db11", "db12"
    ] = "db1"  # fmt: skip
    transform: bool = True
    proportional: bool = False
    initialisation: Literal["zero", "gaussian"] = "zero"


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "WaveFT", n_frequency=config.n_frequency, scaling=config.scaling,
        wavelet_family=config.wavelet, use_idwt=config.transform, proportional_parameters=config.proportional,
        init_weights=config.initialisation == "zero", random_loc_seed=_peft.draw_seed(),
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the numbers of entries to choose among: up to the entries of the smallest target layer."""
    return range(1, min(n_in * n_out for n_in, n_out in _peft.shapes(model, roles, config).values()) + 1)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    return _peft.count_complaint("n_frequency", config.n_frequency, _peft.shapes(model, roles, config))
