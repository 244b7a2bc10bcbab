"""Which attacks the signals and references allow, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evenhand import registry
from evenhand.errors import TableError
from evenhand.judge.attacks import ATTACKS, Needs, attack_name, parse_attack
from evenhand.judge.privacy.settings import PrivacySettings
from evenhand.spec.base import Frozen
from evenhand.tables.signals.schema import SignalArm, Signals


@dataclass(frozen=True)
class Attack:
    """An attack with its options."""

    name: str
    module: str
    config: Frozen

    @property
    def needs(self) -> Needs:
        """What it is computed from."""
        needs: Needs = registry.load(ATTACKS, self.module).needs(self.config)
        return needs


#: What is tried when no attack is named, in this order; of two ways of one attack the first that is possible.
DEFAULTS = (("loss",), ("lira", "lira[mode=offline]"), ("rmia", "rmia[mode=offline]"))


def required_signals(settings: PrivacySettings) -> tuple[str, ...]:
    """The signals that the attacks of a call are computed from."""
    if settings.attacks:
        attacks = [Attack(attack_name(name, config), name, config) for name, config in settings.attacks]
    else:
        attacks = [_parse(text) for alternatives in DEFAULTS for text in alternatives]
    return tuple(dict.fromkeys(signal for attack in attacks for signal in attack.needs.signals))


def choose_attacks(signals: Signals, settings: PrivacySettings) -> list[Attack]:
    """The attacks that are asked for, or all that are possible.

    Raises:
        TableError: signals or references are lacking, or no reference can serve.
    """
    if settings.attacks:
        attacks = [Attack(attack_name(name, config), name, config) for name, config in settings.attacks]
        complaints = [line for attack in attacks for arm in signals.arms for line in _complaints(attack, arm)]
        if complaints:
            raise TableError(dict.fromkeys(complaints))
        return attacks
    possible = []
    for alternatives in DEFAULTS:
        candidates = (
            a for a in map(_parse, alternatives) if not any(list(_complaints(a, arm)) for arm in signals.arms)
        )
        possible += [a for a in [next(candidates, None)] if a is not None]
    return possible


def _parse(text: str) -> Attack:
    name, config = parse_attack(text)
    return Attack(attack_name(name, config), name, config)


def _complaints(attack: Attack, arm: SignalArm) -> Iterable[str]:
    """Say why an attack cannot be made on an arm."""
    needs = attack.needs
    for signal in needs.signals:
        if getattr(arm, signal) is None:
            yield f"{arm.name}: {attack.name} needs the column '{signal}', which a table of this arm lacks."
    if needs.references == "none":
        return
    if len(arm.runs) < 2:
        yield (
            f"{arm.name}: {attack.name} needs references, and there is one model only; give more runs, or "
            f"models "
            "with model_role 'reference 0', 'reference 1', ... (or ask for the attack loss, which needs "
            "none)."
        )
        return
    if arm.shared:
        return
    reference_member = arm.member[~arm.target]
    if needs.references == "out":
        # A row is compared with the references that never saw it: others may have.
        if reference_member.all():
            yield (
                f"{arm.name}: {attack.name} compares a row with references that were not trained on it, and "
                f"each of the {len(reference_member)} references was trained on all {reference_member.shape[1]:,} attacked rows; give "
                "references trained on other rows."
            )
    elif not reference_member.any():
        yield (
            f"{arm.name}: {attack.name} compares with references that were trained on a row, and none of "
            f"{len(reference_member)} was trained on any attacked row; ask for the attack with mode=offline."
        )
