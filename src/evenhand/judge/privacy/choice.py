"""The choice of attacks: those that were requested, or all that the signals and references allow."""

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
        """The signals and references that the attack is computed from."""
        needs: Needs = registry.load(ATTACKS, self.module).needs(self.config)
        return needs


#: Attacks that are tried when the call names none, in this order; of the variants of one attack, the first
#: that the signals and references allow.
DEFAULTS = (("loss",), ("lira", "lira[mode=offline]"), ("rmia", "rmia[mode=offline]"))


def required_signals(settings: PrivacySettings) -> tuple[str, ...]:
    """Return the signals that the attacks of a call are computed from."""
    if settings.attacks:
        attacks = [Attack(attack_name(name, config), name, config) for name, config in settings.attacks]
    else:
        attacks = [_parse(text) for alternatives in DEFAULTS for text in alternatives]
    return tuple(dict.fromkeys(signal for attack in attacks for signal in attack.needs.signals))


def choose_attacks(signals: Signals, settings: PrivacySettings) -> list[Attack]:
    """Return the requested attacks, or else all that are possible on every arm.

    Raises:
        TableError: a requested attack lacks signals or usable references.
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
    """Yield the reasons why an attack cannot be computed on an arm."""
    needs = attack.needs
    for signal in needs.signals:
        if getattr(arm, signal) is None:
            yield f"{arm.name}: {attack.name} needs the column '{signal}', which a table of this arm lacks."
    if needs.references == "none":
        return
    if len(arm.runs) < 2:
        yield (
            f"{arm.name}: {attack.name} needs reference models, and the table has one model only; add "
            "more runs, or models with model_role 'reference 0', 'reference 1', ... (or use the attack loss, "
            "which needs no references)."
        )
        return
    if arm.shared:
        return
    reference_member = arm.member[~arm.target]
    if needs.references == "out":
        # Only references that were not trained on a row serve for it, so each row needs one such reference.
        if reference_member.all():
            yield (
                f"{arm.name}: {attack.name} compares a row with references that were not trained on it, and "
                f"each of the {len(reference_member)} references was trained on all "
                f"{reference_member.shape[1]:,} attacked rows; give "
                "references trained on other rows."
            )
    elif not reference_member.any():
        yield (
            f"{arm.name}: {attack.name} compares with references that were trained on a row, and none of "
            f"{len(reference_member)} was trained on any attacked row; use the attack with mode=offline."
        )
