"""`methods:` to arms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evenhand.errors import InputError, UnknownNameError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import METHODS, config_of, plugin
from evenhand.spec.sections.sweep import choices, labelled
from evenhand.spec.study import Arm, Trial
from evenhand.spec.wording import guessed
from evenhand.spec.yaml.check import Complaints, picked, validated
from evenhand.spec.yaml.tree import Node, Place, Plain, shown

RATES = ("learning_rate", "epochs")
TUNE = "tune"
_NAME = re.compile(r"\w[\w.+-]{0,99}")


def read_arms(node: Node, complaints: Complaints) -> list[Arm]:
    """Read the methods of a study.

    Args:
        node: what stands under `methods`.
        complaints: takes what is wrong.

    Returns:
        The arms that can be used, in the order of the file.
    """
    if not isinstance(node.value, dict) or not node.value:
        example = "{full: {}, lora: {rank: [1, 8]}}"
        complaints.add(node.place, f"got {shown(node.plain)}; must be a mapping such as {example}.")
        return []
    arms: list[Arm] = []
    places: list[Place] = []
    for name, block in node.value.items():
        found = _block(name, block, complaints)
        arms += found
        places += [block.place] * len(found)
    _distinct(arms, places, complaints)
    _even(arms, places, complaints)
    return arms


def _block(name: str, node: Node, complaints: Complaints) -> list[Arm]:
    """The arms of one entry."""
    if not _NAME.fullmatch(name):
        complaints.add(
            node.place,
            f"got the name {shown(name)}; must be letters, digits, '_', '.', '+' and '-', beginning with a "
            "letter or a digit, 100 characters at most.",
        )
        return []
    if node.value is None:
        node = node.under({})
    if not isinstance(node.value, dict):
        complaints.add(node.place, f"got {shown(node.plain)}; must be a mapping of options, or nothing.")
        return []
    named = node.value.get("method")
    method = name if named is None else named.value
    if not isinstance(method, str):
        complaints.add(named.place if named else node.place, f"got {shown(method)}; must be a method's name.")
        return []
    try:
        config = config_of(METHODS, method)
    except InputError as error:
        own = named is None and isinstance(error, UnknownNameError)
        hint = " (A name of your own needs a key 'method'.)" if own else ""
        for what in error.complaints:
            complaints.add(named.place if named else node.place, f"{what}{hint}")
        return []
    options = node.under({key: value for key, value in node.value.items() if key not in {"method", TUNE}})
    info = plugin(METHODS, method).INFO
    defaults = {key: Node(getattr(info, key), node.place.child(key)) for key in RATES}
    tried = _tuned(node.value.get(TUNE), options, config, complaints)
    if tried is None:
        return []
    arms = []
    for choice in choices(options, (picked(Arm, *RATES), config), complaints):
        varied = {key: choice.entries[key].plain for key in choice.varied}
        trials = [
            trial
            for values in tried
            if (trial := _trial(config, options.under({**defaults, **choice.entries}), values, complaints))
        ]
        if trials:
            arms.append(_arm(labelled(name, varied), method, trials))
    return arms


def _tuned(
    node: Node | None, options: Node, config: type[Frozen], complaints: Complaints
) -> list[Mapping[str, Node]] | None:
    """What the trials of a block set, each by option: one of nothing where nothing is tuned.

    Returns:
        None when there was something to complain of.
    """
    if node is None:
        return [{}]
    if not isinstance(node.value, dict) or not node.value:
        example = "{learning_rate: [1.0e-4, 3.0e-4]}"
        complaints.add(node.place, f"got {shown(node.plain)}; must be a mapping such as {example}.")
        return None
    before = len(complaints)
    models = (picked(Arm, *RATES), config)
    known = [*RATES, *config.model_fields]
    found = choices(node, models, complaints)
    varied = found[0].varied if found else ()
    given = options.value if isinstance(options.value, dict) else {}
    for key, values in node.value.items():
        if key not in known:
            complaints.add(values.place, f"there is no such key. {guessed(key, known)}")
        elif key in given:
            complaints.add(values.place, f"'{key}' is given beside tune too; take one of them out.")
        elif found and key not in varied:
            kind = "a list of lists" if isinstance(values.value, list) else "a list"
            complaints.add(values.place, f"got {shown(values.plain)}; must be {kind} of values to try.")
    if not found or len(complaints) > before:
        return None
    names = [labelled("", _plain(choice.entries)) for choice in found]
    if len(set(names)) < len(names):
        complaints.add(node.place, "tries the same values twice; take one of the equal values out.")
        return None
    return [choice.entries for choice in found]


def _trial(
    config: type[Frozen], node: Node, values: Mapping[str, Node], complaints: Complaints
) -> Trial | None:
    """One trial: the options of an arm, and what is tried of them."""
    entries = node.value if isinstance(node.value, dict) else {}
    made = _read(config, node.under({**entries, **values}), complaints)
    if made is None:
        return None
    rates, chosen = made
    plain = _plain(values)
    name = labelled("", plain)[1:-1] or "-"
    return Trial.model_validate({"name": name, "values": plain, "config": chosen, **dict(rates)})


def _arm(name: str, method: str, trials: Sequence[Trial]) -> Arm:
    """An arm of its trials; a single one that sets nothing is none."""
    first = trials[0]
    tuned = tuple(trials) if first.values else ()
    return Arm(
        name=name, method=method, config=first.config, learning_rate=first.learning_rate, epochs=first.epochs,
        trials=tuned,
    )  # fmt: skip


def _plain(values: Mapping[str, Node]) -> dict[str, Plain]:
    """Values without their places."""
    return {key: node.plain for key, node in values.items()}


def _read(config: type[Frozen], node: Node, complaints: Complaints) -> tuple[Frozen, Frozen] | None:
    """Rates and options of one arm."""
    entries = node.value if isinstance(node.value, dict) else {}
    given = {key: value for key, value in entries.items() if key in RATES}
    rates = validated(picked(Arm, *RATES), node.under(given), complaints)
    rest = {key: value for key, value in entries.items() if key not in RATES}
    options = validated(config, node.under(rest), complaints, (*RATES, "method", TUNE))
    return None if rates is None or options is None else (rates, options)


def _distinct(arms: list[Arm], places: list[Place], complaints: Complaints) -> None:
    """Refuse arms of one name, and arms that differ in nothing but their names."""
    names: dict[str, Place] = {}
    contents: dict[str, str] = {}
    for arm, place in zip(arms, places, strict=True):
        if arm.name in names:
            complaints.add(place, f"makes the arm '{arm.name}' twice; take one of the equal values out.")
            continue
        names[arm.name] = place
        content = arm.model_dump_json(exclude={"name"})
        if content in contents:
            complaints.add(
                place,
                f"the arm '{arm.name}' is '{contents[content]}' again: the same method, options, learning "
                "rate and epochs, so the same runs; change one of them, or take it out.",
            )
        contents.setdefault(content, arm.name)


def _even(arms: list[Arm], places: list[Place], complaints: Complaints) -> None:
    """Refuse unlike numbers of trials: the more a method may try, the better it looks."""
    tuned = [(arm, place) for arm, place in zip(arms, places, strict=True) if arm.trials]
    told: set[int] = set()
    for arm, place in tuned:
        first, count = tuned[0][0], len(arm.trials)
        if count != len(first.trials) and count not in told:
            told.add(count)
            complaints.add(
                place.child(TUNE),
                f"'{arm.name}' has {count} trials, and '{first.name}' {len(first.trials)}; every method that "
                "is tuned must have the same number.",
            )
