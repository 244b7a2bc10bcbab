"""AdaLoRA: LoRA in the form of a singular value decomposition, whose ranks shrink where they matter least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from evenhand.finetune.methods import MethodInfo, _peft

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="AdaLoRA",
    trained="low-rank additions of adaptive rank to the target roles, and the classification head",
    paper="Zhang et al. 2023, https://arxiv.org/abs/2303.10512",
    learning_rate=3.0e-3,
    epochs=3,
    size="initial_rank",
    merges=True,
    layers=("Linear", "Conv1D", "Conv2d"),
    sharded=False,
)
_PLACEHOLDER_STEPS = 2**30


class Config(_peft.Targets):
    """Options, besides the adapted layers.

    Attributes:
        rank: mean rank of the layers at the end.
        initial_rank: rank of every layer at the start.
        alpha: scale of the adapter: its output is multiplied by alpha / initial_rank.
        dropout: dropout on the adapter's input, in training.
        start: share of the steps before ranks begin to shrink.
        end: share of the steps, the last ones, with the final ranks.
        interval: number of steps between two choices of ranks.
        sensitivity_average: weight of the past in the average of a parameter's importance.
        uncertainty_average: weight of the past in the average of its fluctuation.
        orthogonality: weight of the penalty that keeps the singular vectors orthogonal.
    """

    rank: Annotated[int, Field(ge=1)] = 8
    initial_rank: Annotated[int, Field(ge=2)] = 12
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    start: Annotated[float, Field(ge=0, lt=1)] = 0.1
    end: Annotated[float, Field(ge=0, lt=1)] = 0.2
    interval: Annotated[int, Field(ge=1)] = 1
    sensitivity_average: Annotated[float, Field(gt=0, lt=1)] = 0.85
    uncertainty_average: Annotated[float, Field(gt=0, lt=1)] = 0.85
    orthogonality: Annotated[float, Field(ge=0)] = 0.5

    @model_validator(mode="after")
    def _room_to_shrink(self) -> Config:
        if self.initial_rank <= self.rank:
            raise ValueError(
                f"initial_rank: got {self.initial_rank}, which must be above rank ({self.rank}), to which it "
                "shrinks; without adaptive ranks the method is lora"
            )
        if self.start + self.end >= 1:
            raise ValueError(f"start and end: got {self.start:g} and {self.end:g}; their sum must be below 1")
        return self


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the adapters with PEFT; the head is trained and saved with them."""
    return _peft.add_adapter(
        model, roles, config, "AdaLora", target_r=config.rank, init_r=config.initial_rank,
        lora_alpha=config.alpha, lora_dropout=config.dropout, deltaT=config.interval,
        beta1=config.sensitivity_average, beta2=config.uncertainty_average,
        orth_reg_weight=config.orthogonality, total_step=_PLACEHOLDER_STEPS,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the initial ranks to choose among: above the final rank, up to the narrowest width."""
    return range(config.rank + 1, _peft.narrowest(model, roles, config) + 1)


def before_training(model: PeftModel, config: Config, steps: int) -> None:
    """Set the schedule of the ranks, which depends on the number of steps."""
    settings: Any = model.peft_config["default"]
    settings.total_step = steps
    settings.tinit, settings.tfinal = int(config.start * steps), int(config.end * steps)


def after_step(model: PeftModel, step: int) -> None:
    """Measure the importance of the singular values by their gradients, and choose the ranks."""
    tuner: Any = model.base_model
    tuner.update_and_allocate(step)


def extra_loss(model: PeftModel) -> torch.Tensor:
    """Return the penalty on singular vectors that are not orthogonal (equation 4 of the paper).

    The weight times the mean over all matrices P of the Frobenius norm of P'P - 1. PEFT adds it only where
    transformers computes the loss.
    """
    import torch  # noqa: PLC0415

    penalties = []
    for name, p in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            product = p @ p.T if ".lora_A." in name else p.T @ p
            penalties.append(torch.linalg.norm(product - torch.eye(len(product), device=p.device)))
    settings: Any = model.peft_config["default"]
    penalty: torch.Tensor = settings.orth_reg_weight * torch.stack(penalties).mean()
    return penalty
