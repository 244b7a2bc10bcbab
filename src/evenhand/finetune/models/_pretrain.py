"""Pretraining of models that evenhand makes itself: without labels, seeded, on one core of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Share of a model's steps by strength. After fewer than half of them, the first token is less informative
#: than a random one.
_SHARE_OF_STEPS = {"none": 0.0, "weak": 0.6, "strong": 1.0}


class Pretraining(Frozen):
    """Options of a model that evenhand makes itself.

    Attributes:
        pretraining: `none` leaves the weights at their random values; `weak` takes three fifths of the steps
            of `strong`.
        seed: determines the initial weights and the examples.
    """

    pretraining: Literal["none", "weak", "strong"] = "strong"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def steps(self, strong: int) -> int:
        """Return the number of steps, given the number for `strong`."""
        return round(_SHARE_OF_STEPS[self.pretraining] * strong)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Make torch reproducible while the block runs: a seed, and one thread for a fixed order of sums."""
    import torch  # noqa: PLC0415

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def fit(network: torch.nn.Module, loss: Callable[[], torch.Tensor], steps: int, rate: float) -> None:
    """Minimise a loss with AdamW, the rate rising over a tenth of the steps and falling along a cosine.

    Args:
        network: the module to train.
        loss: returns the loss of the next batch.
        steps: number of optimiser steps.
        rate: the peak learning rate.
    """
    import torch  # noqa: PLC0415

    if not steps:
        return
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()


def save(model: PreTrainedModel, folder: Path) -> None:
    """Save a model's configuration and weights, without a progress bar."""
    import transformers  # noqa: PLC0415

    transformers.logging.disable_progress_bar()
    model.save_pretrained(str(folder))
