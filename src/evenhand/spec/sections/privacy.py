"""The section `privacy:` as settings of membership inference."""

from __future__ import annotations

from evenhand.errors import InputError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import ATTACKS, config_of, plugin
from evenhand.spec.study import Attack, Privacy, Study
from evenhand.spec.yaml.check import Complaints, select_fields, validated
from evenhand.spec.yaml.tree import Location, Node, format_value

#: Keys with the same form in a file and in a `Privacy`.
COPIED_KEYS = ("protocol", "references", "seed")
_EXAMPLE = "[loss, {lira: {}}]"


def read_privacy(node: Node, complaints: Complaints) -> Privacy | None:
    """Read the settings of membership inference.

    Args:
        node: the value of `privacy`; null means that models are not attacked.
        complaints: collects complaints.

    Returns:
        None without attacks, or after a complaint.
    """
    if node.value is None:
        return None
    if not isinstance(node.value, dict):
        keys = ", ".join(Privacy.model_fields)
        complaints.add(
            node.location, f"got {format_value(node.plain)}; must be a mapping with keys of: {keys}."
        )
        return None
    attacks, locations = _read_attacks(node, complaints)
    same = {key: value for key, value in node.value.items() if key != "attacks"}
    rest = validated(select_fields(Privacy, *COPIED_KEYS), node.under(same), complaints, ("attacks",))
    if not attacks or rest is None:
        return None
    privacy = Privacy(attacks=tuple(attacks), **dict(rest))
    for attack, location in zip(attacks, locations, strict=True):
        if privacy.protocol == "offline" and _needs_members(attack):
            complaints.add(
                location,
                f"'{attack.name}' with these options needs references that were trained on the attacked "
                "rows, and the protocol 'offline' has none; choose options without them (lira: {mode: "
                "offline}) or the protocol 'shared'.",
            )
    return privacy


def check_privacy(study: Study, node: Node, complaints: Complaints) -> None:
    """Check that the study has no settings that exclude attacks.

    Args:
        study: study with `privacy`.
        node: the value of `privacy`.
        complaints: collects complaints.
    """
    if study.tuned:
        complaints.add(
            node.location,
            "'tune' selects among trials after training, but the runs to attack are trained together with "
            "them; give the selected values in place of 'tune', or remove privacy.",
        )
    if study.resplit:
        complaints.add(
            node.location,
            "with 'resplit' every seed trains on other rows, so the runs do not share one set of members; "
            "remove one of the two.",
        )


def _needs_members(attack: Attack) -> bool:
    """Return True for an attack that needs models trained on a row, besides models that were not."""
    return bool(plugin(ATTACKS, attack.name).needs(attack.config).references == "both")


def _read_attacks(node: Node, complaints: Complaints) -> tuple[list[Attack], list[Location]]:
    """Read the valid attacks, in the order of the file, and their locations."""
    entry = node.value.get("attacks") if isinstance(node.value, dict) else None
    if entry is None:
        complaints.add(node.location.child("attacks"), f"is missing; must be a list such as {_EXAMPLE}.")
        return [], []
    if not isinstance(entry.value, list) or not entry.value:
        complaints.add(entry.location, f"got {format_value(entry.plain)}; must be a list such as {_EXAMPLE}.")
        return [], []
    attacks: list[Attack] = []
    locations: list[Location] = []
    for item in entry.value:
        attack = _read_attack(item, complaints)
        if attack in attacks:
            complaints.add(item.location, f"the attack {format_value(item.plain)} is given twice.")
        elif attack is not None:
            attacks.append(attack)
            locations.append(item.location)
    return attacks, locations


def _read_attack(node: Node, complaints: Complaints) -> Attack | None:
    """Read one attack: its name, or its name with its options."""
    name, options = node.value, node.under({})
    if isinstance(node.value, dict) and len(node.value) == 1:
        [(name, options)] = node.value.items()
    if not isinstance(name, str):
        complaints.add(
            node.location,
            f"got {format_value(node.plain)}; must be an attack's name, or a mapping of it to its options.",
        )
        return None
    try:
        config = config_of(ATTACKS, name)
    except InputError as error:
        for what in error.complaints:
            complaints.add(node.location, what)
        return None
    validated_options: Frozen | None = validated(config, options, complaints)
    return None if validated_options is None else Attack(name=name, config=validated_options)
