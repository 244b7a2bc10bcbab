"""RandLoRA: sums of shared random matrices with trained scales, whose update has full rank."""

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
    title="RandLoRA",
    trained="scales of random low-rank matrices for each target layer, and the classification head",
    paper="Albert et al. 2025, https://arxiv.org/abs/2502.00987",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    weight_decay=False,
    layers=("Linear", "Conv1D"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of each random matrix; a lower rank means more of them, and more trained parameters.
        alpha: scale of the adapter: its output is multiplied by alpha / rank.
        dropout: dropout on the adapter's input, in training.
        sparsity: `dense` random matrices, `sparse` ones with entries -1, 0, 1 (two thirds are 0), or
            `very_sparse` ones (all but a share of 1 / sqrt(width) are 0). They are drawn from the run's seed
            and saved.
    """

    rank: Annotated[int, Field(ge=1)] = 32
    alpha: Annotated[float, Field(gt=0)] = 640.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sparsity: Literal["dense", "sparse", "very_sparse"] = "dense"


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "RandLora", r=config.rank, randlora_alpha=config.alpha,
        randlora_dropout=config.dropout, sparse=config.sparsity == "sparse",
        very_sparse=config.sparsity == "very_sparse", projection_prng_key=_peft.draw_seed(),
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: the lowest one for each number of random matrices.

    Their number is the narrowest width divided by the rank, rounded up; a higher rank of the same number
    trains more scales of the same updates.
    """
    width = _peft.narrowest(model, roles, config)
    return sorted({-(-width // n) for n in range(1, width + 1)})
