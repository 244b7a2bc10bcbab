"""`privacy:` to how the models of a study are attacked."""

from __future__ import annotations

from evenhand.errors import InputError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import ATTACKS, config_of, plugin
from evenhand.spec.study import Attack, Privacy, Study
from evenhand.spec.yaml.check import Complaints, picked, validated
from evenhand.spec.yaml.tree import Node, Place, shown

#: Keys that stand in a file as they stand in a study.
SAME = ("protocol", "references", "seed")
_EXAMPLE = "[loss, {lira: {}}]"


def read_privacy(node: Node, complaints: Complaints) -> Privacy | None:
    """Read how models are attacked.

    Args:
        node: what stands under `privacy`; nothing means that none is.
        complaints: takes what is wrong.
    """
    if node.value is None:
        return None
    if not isinstance(node.value, dict):
        keys = ", ".join(Privacy.model_fields)
        complaints.add(node.place, f"got {shown(node.plain)}; must be a mapping with keys of: {keys}.")
        return None
    attacks, places = _attacks(node, complaints)
    same = {key: value for key, value in node.value.items() if key != "attacks"}
    rest = validated(picked(Privacy, *SAME), node.under(same), complaints, ("attacks",))
    if not attacks or rest is None:
        return None
    privacy = Privacy(attacks=tuple(attacks), **dict(rest))
    for attack, place in zip(attacks, places, strict=True):
        if privacy.protocol == "offline" and _needs_members(attack):
            complaints.add(
                place,
                f"'{attack.name}' as it is set learns from references that were trained on the attacked rows "
                "too, and in the protocol 'offline' none is; set it to do without (lira: {mode: offline}) or "
                "take the protocol 'shared'.",
            )
    return privacy


def check_privacy(study: Study, node: Node, complaints: Complaints) -> None:
    """Complain of what cannot stand beside attacks.

    Args:
        study: has privacy.
        node: what stands under `privacy`.
        complaints: takes what is wrong.
    """
    if study.tuned:
        complaints.add(
            node.place,
            "'tune' chooses among trials after training, and what is attacked is trained with them; give the "
            "chosen values in place of 'tune', or take privacy out.",
        )
    if study.resplit:
        complaints.add(
            node.place,
            "with 'resplit' every seed trains on other rows, so there is no one set of rows whose members "
            "are looked for; take one of the two out.",
        )


def _needs_members(attack: Attack) -> bool:
    """Whether an attack learns from models that were trained on a row, besides those that were not."""
    return bool(plugin(ATTACKS, attack.name).needs(attack.config).references == "both")


def _attacks(node: Node, complaints: Complaints) -> tuple[list[Attack], list[Place]]:
    """The attacks that can be used, in the order of the file, and where they stand."""
    given = node.value.get("attacks") if isinstance(node.value, dict) else None
    if given is None:
        complaints.add(node.place.child("attacks"), f"is missing; must be a list such as {_EXAMPLE}.")
        return [], []
    if not isinstance(given.value, list) or not given.value:
        complaints.add(given.place, f"got {shown(given.plain)}; must be a list such as {_EXAMPLE}.")
        return [], []
    attacks: list[Attack] = []
    places: list[Place] = []
    for item in given.value:
        one = _attack(item, complaints)
        if one in attacks:
            complaints.add(item.place, f"the attack {shown(item.plain)} is given twice.")
        elif one is not None:
            attacks.append(one)
            places.append(item.place)
    return attacks, places


def _attack(node: Node, complaints: Complaints) -> Attack | None:
    """One attack: its name, or its name with its options."""
    name, options = node.value, node.under({})
    if isinstance(node.value, dict) and len(node.value) == 1:
        [(name, options)] = node.value.items()
    if not isinstance(name, str):
        complaints.add(
            node.place,
            f"got {shown(node.plain)}; must be an attack's name, or a mapping of it to its options.",
        )
        return None
    try:
        config = config_of(ATTACKS, name)
    except InputError as error:
        for what in error.complaints:
            complaints.add(node.place, what)
        return None
    made: Frozen | None = validated(config, options, complaints)
    return None if made is None else Attack(name=name, config=made)
