"""LoRA: a product of two thin matrices beside the frozen weights, and the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from evenhand.finetune.methods import MethodInfo, _lora, _peft
from evenhand.finetune.models import ROLES_OUTSIDE_LAYERS

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

#: What a start takes from the weights.
_VECTORS = {"pissa": "singular vectors", "olora": "orthogonal columns"}

INFO = MethodInfo(
    title="LoRA",
    trained="low-rank additions to the target roles, and the classification head",
    paper="Hu et al. 2022, https://arxiv.org/abs/2106.09685",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
)


class Config(_lora.LowRank):
    """Options, besides those of every low-rank adapter.

    Attributes:
        initialisation: `kaiming` draws A at random and sets B to 0; `orthogonal` draws both from orthogonal
            rows, so that their product is 0. `pissa` starts from the largest singular vectors of the weights
            and freezes the residual (Meng et al. 2024, https://arxiv.org/abs/2404.02948), `olora` from the
            first columns of their QR decomposition (Buyukakyuz 2024, https://arxiv.org/abs/2406.01775); both
            are saved as an ordinary adapter of twice the rank for the original base.
        rank_stabilised: scale by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023,
            https://arxiv.org/abs/2312.03732).
    """

    initialisation: Literal["kaiming", "orthogonal", "pissa", "olora"] = "kaiming"
    rank_stabilised: bool = False

    @model_validator(mode="after")
    def _pairs_of_rows(self) -> Config:
        if self.initialisation == "orthogonal" and self.rank % 2:
            raise ValueError(f"rank: got {self.rank}, which must be even with initialisation: orthogonal")
        return self


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    start = True if config.initialisation == "kaiming" else config.initialisation
    return _lora.add_adapters(model, roles, config, start=start, rank_stabilised=config.rank_stabilised)


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: up to the narrowest width, even for pairs of rows."""
    step = 2 if config.initialisation == "orthogonal" else 1
    return range(step, _peft.narrowest(model, roles, config) + 1, step)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    wrong: list[str] = []
    start, names = config.initialisation, roles.of(config.targets)
    if start not in _VECTORS:
        return wrong
    if outside := [role for role in config.targets if role in ROLES_OUTSIDE_LAYERS]:
        wrong.append(
            f"targets: '{outside[0]}' is a lookup table, which {start} cannot initialise; remove it from "
            "targets, or leave initialisation at kaiming"
        )
    kinds = {_peft.kind_of(model.get_submodule(name)) for name in names}
    if start == "olora" and (others := sorted(kinds - {"Linear", "Embedding"})):
        wrong.append(
            f"initialisation: olora decomposes layers of the kind Linear, but some targets are {others[0]} "
            "in this model; choose pissa, or leave initialisation at kaiming"
        )
    return wrong + _lora.rank_complaints(roles, config, names, start, _VECTORS[start])


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options for this model."""
    return _lora.remarks(roles, config, "lora")
