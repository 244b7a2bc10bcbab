"""DoRA: LoRA on the direction of every weight column, and a separate magnitude for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evenhand.finetune.methods import MethodInfo, _lora, _peft

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

_MAX_LISTED = 3

INFO = MethodInfo(
    title="DoRA",
    trained="low-rank directions and magnitudes of the target roles, and the classification head",
    paper="Liu et al. 2024, https://arxiv.org/abs/2402.09353",
    learning_rate=1.0e-3,
    epochs=3,
    size="rank",
    merges=True,
)


class Config(_lora.LowRank):
    """Options: those of every low-rank adapter."""


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _lora.add_adapters(model, roles, config, decomposed=True)


def weight_complaints(
    model: PreTrainedModel, roles: Roles, config: Config, weight: Callable[[str], torch.Tensor | None]
) -> list[str]:
    """Return the reasons why the weights of a model do not fit; empty if none.

    DoRA divides weights by their norms (Liu et al. 2024, equation 5), so none of these may be 0.

    Args:
        model: for the kinds of its layers.
        roles: the layers of the model.
        config: the options.
        weight: returns the weights of a layer by its name; None if they are not available.
    """
    # A random choice of layers depends on the seed, so no layer may have such rows.
    drawn = config.layer_order == "random"
    names = roles.of(config.targets) if drawn else _peft.target_modules(roles, config)
    counts = [(name, *_count_zero_norms(model.get_submodule(name), weight(name))) for name in names]
    degenerate = [(_peft.role_of(roles, name, config), name, n, lines) for name, n, lines in counts if n]
    if not degenerate:
        return []
    shown = ", ".join(
        f"'{role}'{_describe_layer(name)} has {n} {lines} of zeros"
        for role, name, n, lines in degenerate[:_MAX_LISTED]
    )
    more = (
        f", and so have {len(degenerate) - _MAX_LISTED} more layers" if len(degenerate) > _MAX_LISTED else ""
    )
    role = degenerate[0][0]
    return [f"targets: {shown}{more}, by whose norm DoRA divides; remove '{role}' from targets, or use lora"]


def _count_zero_norms(module: Any, weight: torch.Tensor | None) -> tuple[int, str]:
    """Count the outputs of a layer whose weights have the norm 0, and say if they are rows or columns."""
    import torch  # noqa: PLC0415

    if weight is None:
        return 0, ""
    columns = type(module).__name__ in ("Conv1D", "Embedding")
    norms = torch.linalg.vector_norm(weight.float(), dim=0 if columns else tuple(range(1, weight.ndim)))
    return int((norms == 0).sum()), "columns" if columns else "rows"


def _describe_layer(name: str) -> str:
    """Return ` of layer N` for a sentence; empty outside of layers."""
    numbers = _peft.layer_of(name)
    return f" of layer {'.'.join(map(str, numbers))}" if numbers else ""


def remarks(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return notes on unusual options for this model."""
    return _lora.remarks(roles, config, "dora")
