"""VeRA: random matrices that all layers share, and trained vectors that scale them in each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="VeRA",
    trained="two vectors of factors for each layer of the target roles, and the classification head",
    paper="Kopiczko et al. 2024, https://arxiv.org/abs/2310.11454",
    learning_rate=3.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv1D"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of the shared random matrices, which are drawn from the run's seed and saved.
        dropout: dropout on the adapter's input, in training.
        scale: value at which the factors of the rank start; those of the output start at 0.
    """

    rank: Annotated[int, Field(ge=1)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scale: Annotated[float, Field(gt=0)] = 0.1


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "Vera", r=config.rank, vera_dropout=config.dropout, d_initial=config.scale,
        projection_prng_key=_peft.draw_seed(),
    )  # fmt: skip
