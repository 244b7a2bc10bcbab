"""Membership inference attacks: scores of how likely a row was in a model's training set.

Each file here is an attack of the same name. It defines `INFO` (an `AttackInfo`), `Config` (its options),
`needs(config) -> Needs` and `score(evidence, config) -> [T, n]`, one score per attacked model and row: higher
means more likely a member, NaN where the attack has no score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand import registry
from evenhand.errors import CallError, UnknownNameError, nearest
from evenhand.spec.base import Frozen
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

ATTACKS = "evenhand.judge.attacks"

#: Elements of each array that an attack works on at once: few enough to stay in the processor's cache.
MAX_MATRIX_ELEMENTS = 1 << 19

_NAME = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<options>[^\[\]]*)\])?")


@dataclass(frozen=True)
class AttackInfo:
    """Facts about an attack.

    Attributes:
        title: its name in a report.
        reference: definition or source.
    """

    title: str
    reference: str


@dataclass(frozen=True)
class Needs:
    """Signals and references that an attack is computed from.

    Attributes:
        signals: of `loss`, `margin`, `base_loss`.
        references: `none`; models that were not trained on a row (`out`); or those and models that were
            (`both`).
        least: smallest number of references of each kind for a row.
        somewhere: smallest number for at least one row, where rows share a variance.
    """

    signals: tuple[Literal["loss", "margin", "base_loss"], ...]
    references: Literal["none", "out", "both"]
    least: int = 1
    somewhere: int = 1


@dataclass(frozen=True)
class Evidence:
    """Signals of the models of one arm.

    Attributes:
        member: [R, n] mask: the row was in the model's training set.
        targets: [T] indices of the attacked models.
        shared: every model is a target in turn and a reference for all others; else the references are the
            models that are not targets.
        loss: [R, n, views] cross-entropy of the true class.
        margin: [R, n, views] logit of the true class minus the log-sum-exp of the others, or None.
        base_loss: [R, n, views] loss under the model before training, or None.
    """

    member: BoolArray
    targets: IntArray
    shared: bool
    loss: FloatArray
    margin: FloatArray | None = None
    base_loss: FloatArray | None = None

    @property
    def references(self) -> IntArray:
        """[K] indices of the reference models; where models are shared, without the target itself."""
        if self.shared:
            return np.arange(len(self.member))
        return np.setdiff1d(np.arange(len(self.member)), self.targets)

    def chunks(self) -> Iterator[slice]:
        """Yield slices of rows, of a size that does not depend on the number of rows."""
        models, rows, views = self.loss.shape
        step = max(MAX_MATRIX_ELEMENTS // max(models * views, 1), 16)
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))


def attack_name(name: str, config: Frozen) -> str:
    """Return the name of an attack with its options: `lira`, `lira[mode=offline]`."""
    options = [
        f"{key}={getattr(config, key)}"
        for key, field in type(config).model_fields.items()
        if getattr(config, key) != field.default
    ]
    return f"{name}[{','.join(options)}]" if options else name


def parse_attack(text: str) -> tuple[str, Frozen]:
    """Parse an attack and its options from its name.

    Raises:
        CallError: the attack or option is unknown, or a value is not allowed.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    match = _NAME.fullmatch(text.strip())
    if match is None:
        raise CallError(
            f"{text!r} is not an attack; write a name, or a name with options, as lira[mode=offline]."
        )
    name = match["name"].strip()
    try:
        module = registry.load(ATTACKS, name)
    except UnknownNameError:
        raise CallError(f"{name!r} is not an attack: {nearest(name, registry.names(ATTACKS))}") from None
    options = {}
    for part in filter(None, (match["options"] or "").split(",")):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise CallError(f"{text!r}: write options as key=value, as in lira[mode=offline].")
        if key not in module.Config.model_fields:
            known = tuple(module.Config.model_fields)
            raise CallError(f"{text!r}: {key!r} is not an option of {name}: {nearest(key, known)}")
        options[key] = value
    try:
        return name, module.Config(**options)
    except ValidationError as error:
        raise CallError(
            f"{text!r}: {'.'.join(map(str, e['loc']))}: got {e['input']!r}; {e['msg']}."
            for e in error.errors()
        ) from None
