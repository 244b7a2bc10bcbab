"""SHiRA: a small share of the weights' entries, drawn at random, is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="SHiRA",
    trained="a share of the entries of each layer of the target roles, and the classification head",
    paper="Bhardwaj et al. 2024, https://arxiv.org/abs/2406.13175",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
    layers=("Linear",),
)


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: number of entries, as that of the parameters of LoRA with this rank: rank (inputs + outputs).
            Their places are drawn from the run's seed.
    """

    rank: Annotated[int, Field(ge=1)] = 8


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    import torch  # noqa: PLC0415

    # PEFT's positions are valid; without this call torch warns that it does not verify them.
    torch.sparse.check_sparse_tensor_invariants.disable()
    seed, names = _peft.draw_seed(), _peft.target_modules(roles, config)
    return _peft.add_to_modules(
        model, roles, names, "Shira", {"mask_fn": _mask}, r=config.rank, random_seed=seed
    )


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the ranks to choose among: until a target layer has no more entries."""
    shapes = _peft.shapes(model, roles, config).values()
    return range(1, min(n_in * n_out // (n_in + n_out) for n_in, n_out in shapes) + 1)


def _mask(layer: Any, rank: int, random_seed: int, **_: object) -> torch.Tensor:
    """Mark the trained entries of a layer, as PEFT does; on the meta device as many, for their number."""
    import torch  # noqa: PLC0415
    from peft.tuners.shira.mask_functions import random_mask  # noqa: PLC0415

    if not layer.weight.is_meta:
        return random_mask(layer, rank, random_seed)
    marks = torch.zeros(layer.weight.shape, dtype=torch.bool, device="cpu")
    marks.view(-1)[: rank * sum(marks.shape)] = True
    return marks


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the options do not fit this model; empty if none."""
    for name, (n_in, n_out) in _peft.shapes(model, roles, config).items():
        if config.rank * (n_in + n_out) > n_in * n_out:
            role = _peft.role_of(roles, name, config)
            return [
                f"rank: got {config.rank}, but '{role}' has only {n_in * n_out} "
                f"entries, and the method trains rank ({n_in} + {n_out}) of them; give at most "
                f"{n_in * n_out // (n_in + n_out)}"
            ]
    return []
