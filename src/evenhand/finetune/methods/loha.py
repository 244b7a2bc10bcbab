"""LoHa: the Hadamard (element by element) product of two low-rank matrices beside the frozen weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="LoHa",
    trained="two low-rank matrices for each layer of the target roles, and the classification head",
    paper="Hyeon-Woo et al. 2022, https://arxiv.org/abs/2108.06098; Yeh et al. 2024, https://arxiv.org/abs/2309.14859",
    learning_rate=3.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear", "Conv2d"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of each of the two matrices; their product has up to the square of this rank.
        alpha: scale of the adapter: its output is multiplied by alpha / rank.
        rank_dropout: share of the rows of the update that are set to 0 in a training pass.
        module_dropout: share of training passes that skip an adapter.
        effective_conv2d: give convolutions with kernels above 1 x 1 a decomposition of their own.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 8.0
    rank_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    module_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    effective_conv2d: bool = False


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "LoHa", r=config.rank, alpha=config.alpha, rank_dropout=config.rank_dropout,
        module_dropout=config.module_dropout, use_effective_conv2d=config.effective_conv2d,
    )  # fmt: skip
