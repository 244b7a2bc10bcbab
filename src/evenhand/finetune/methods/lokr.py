"""LoKr: the Kronecker product of two small matrices beside the frozen weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="LoKr",
    trained="two small matrices for each layer of the target roles, and the classification head",
    paper="Edalati et al. 2022, https://arxiv.org/abs/2212.10650; Yeh et al. 2024, https://arxiv.org/abs/2309.14859",
    learning_rate=3.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear", "Conv2d"),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: rank of the second matrix, where it is wide enough to be decomposed again.
        alpha: scale of the adapter: its output is multiplied by alpha / rank.
        decompose_factor: height of the first matrix at most; -1 takes the divisor closest to the square root.
        decompose_both: also decompose the first matrix.
        rank_dropout: share of the rows of the update that are set to 0 in a training pass.
        module_dropout: share of training passes that skip an adapter.
        effective_conv2d: give convolutions with kernels above 1 x 1 a decomposition of their own.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 8.0
    decompose_factor: Annotated[int, Field(ge=-1)] = -1
    decompose_both: bool = False
    rank_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    module_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    effective_conv2d: bool = False

    @field_validator("decompose_factor")
    @classmethod
    def _not_zero(cls, value: int) -> int:
        if value == 0:
            raise ValueError("got 0, which divides nothing; give -1 or a positive number")
        return value


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "LoKr", r=config.rank, alpha=config.alpha, rank_dropout=config.rank_dropout,
        module_dropout=config.module_dropout, use_effective_conv2d=config.effective_conv2d,
        decompose_both=config.decompose_both, decompose_factor=config.decompose_factor,
    )  # fmt: skip
