"""The loss attack: rows with a small loss are predicted to be members."""

from __future__ import annotations

from typing import Literal

from evenhand.judge.attacks import AttackInfo, Evidence, Needs
from evenhand.spec.base import Frozen
from evenhand.tables.schema import FloatArray

INFO = AttackInfo(
    title="loss",
    reference="Yeom et al. 2018, https://arxiv.org/abs/1709.01604; against a base model: Watson et al. 2022, "
    "https://arxiv.org/abs/2111.08440",
)


class Config(Frozen):
    """Options.

    Attributes:
        reference: `none` uses the loss itself; `base` its decrease from the loss of the model before
            training, so that a row that is easy for any model is not predicted to be a member.
    """

    reference: Literal["none", "base"] = "none"


def needs(config: Config) -> Needs:
    """Losses, and those before training if they are the reference."""
    return Needs(("loss",) if config.reference == "none" else ("loss", "base_loss"), "none")


def score(evidence: Evidence, config: Config) -> FloatArray:
    """[T, n] -loss, or base loss - loss, each the mean over views."""
    at = evidence.targets
    loss: FloatArray = evidence.loss[at].mean(axis=2)
    if config.reference == "none":
        return -loss
    assert evidence.base_loss is not None
    before: FloatArray = evidence.base_loss[at].mean(axis=2)
    return before - loss
