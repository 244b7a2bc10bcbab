"""The section `methods:` as arms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from evenhand.errors import InputError, UnknownNameError
from evenhand.spec.base import Frozen
from evenhand.spec.names import combination_name
from evenhand.spec.plugins import METHODS, config_of, plugin
from evenhand.spec.sections.existing import expand_short_form
from evenhand.spec.sections.match import MATCH, check_goals, read_match
from evenhand.spec.sections.sweep import expand_lists
from evenhand.spec.study import Arm, Match, Trial
from evenhand.spec.wording import suggestion
from evenhand.spec.yaml.check import Complaints, select_fields, validated
from evenhand.spec.yaml.tree import Location, Node, Plain, format_value

RATES = ("learning_rate", "epochs")
TUNE = "tune"
#: A key of `tune`: learning rates as multiples of the method's default one.
RATE_FACTOR = "learning_rate_factor"
#: Significant digits of such a rate, so that 3 times 0.0001 is 0.0003.
_RATE_DIGITS = 12
_NAME = re.compile(r"\w[\w.+-]{0,99}")


def read_arms(node: Node, complaints: Complaints) -> list[Arm]:
    """Read the methods of a study.

    Args:
        node: the value of `methods`.
        complaints: collects complaints.

    Returns:
        The valid arms, in the order of the file.
    """
    if not isinstance(node.value, dict) or not node.value:
        example = "{full: {}, lora: {rank: [1, 8]}}"
        complaints.add(node.location, f"got {format_value(node.plain)}; must be a mapping such as {example}.")
        return []
    arms: list[Arm] = []
    locations: list[Location] = []
    for name, block in node.value.items():
        block_arms = _read_block(name, block, complaints)
        arms += block_arms
        locations += [block.location] * len(block_arms)
    _check_duplicates(arms, locations, complaints)
    _check_trial_counts(arms, locations, complaints)
    check_goals(arms, node, complaints)
    return arms


def _read_block(name: str, node: Node, complaints: Complaints) -> list[Arm]:
    """Read the arms of one entry."""
    if not _NAME.fullmatch(name):
        complaints.add(
            node.location,
            f"got the name {format_value(name)}; must be letters, digits, '_', '.', '+' and '-', beginning "
            "with a letter or a digit, at most 100 characters.",
        )
        return []
    if node.value is None:
        node = node.under({})
    if not isinstance(node.value, dict):
        complaints.add(
            node.location, f"got {format_value(node.plain)}; must be a mapping of options, or nothing."
        )
        return []
    node = expand_short_form(node)
    assert isinstance(node.value, dict)
    named = node.value.get("method")
    method = name if named is None else named.value
    if not isinstance(method, str):
        complaints.add(
            named.location if named else node.location,
            f"got {format_value(method)}; must be a method's name.",
        )
        return []
    try:
        config = config_of(METHODS, method)
    except InputError as error:
        is_custom_name = named is None and isinstance(error, UnknownNameError)
        hint = " (A name that is not a method's needs a key 'method'.)" if is_custom_name else ""
        for what in error.complaints:
            complaints.add(named.location if named else node.location, f"{what}{hint}")
        return []
    others = {"method", TUNE, MATCH}
    options = node.under({key: value for key, value in node.value.items() if key not in others})
    info = plugin(METHODS, method).INFO
    defaults = {key: Node(getattr(info, key), node.location.child(key)) for key in RATES}
    tune = _expand_factors(node.value.get(TUNE), info.learning_rate, complaints)
    match = read_match(method, node, tune, complaints)
    trial_values = _read_trial_values(tune, options, config, complaints)
    if trial_values is None:
        return []
    arms = []
    for choice in expand_lists(options, (select_fields(Arm, *RATES), config), complaints):
        varied = {key: choice.entries[key].plain for key in choice.varied}
        trials = [
            trial
            for values in trial_values
            if (
                trial := _make_trial(
                    config, options.under({**defaults, **choice.entries}), values, complaints
                )
            )
        ]
        if trials:
            arms.append(_make_arm(name, method, varied, trials, match))
    return arms


def _expand_factors(node: Node | None, default: float, complaints: Complaints) -> Node | None:
    """Replace the factors in a `tune` by the learning rates that they mean: multiples of the default one.

    Good rates of methods differ by orders of magnitude, so one grid of factors gives all the same budget.
    """
    if node is None or not isinstance(node.value, dict) or RATE_FACTOR not in node.value:
        return node
    factors = node.value[RATE_FACTOR]
    others = {key: value for key, value in node.value.items() if key != RATE_FACTOR}
    if RATES[0] in others:
        complaints.add(factors.location, f"'{RATES[0]}' is given too; give one of them.")
        return node.under(others)
    numbers = factors.value if isinstance(factors.value, list) else [factors]
    rates = []
    for number in numbers:
        value = number.plain
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            complaints.add(number.location, f"got {format_value(value)}; must be a number above 0.")
            continue
        rates.append(Node(float(f"{value * default:.{_RATE_DIGITS}g}"), number.location))
    return node.under({RATES[0]: Node(rates, factors.location), **others}) if rates else node.under(others)


def _read_trial_values(
    node: Node | None, options: Node, config: type[Frozen], complaints: Complaints
) -> list[Mapping[str, Node]] | None:
    """Read the values that each trial of a block sets, by option; one empty trial where nothing is tuned.

    Returns:
        None after a complaint.
    """
    if node is None:
        return [{}]
    if not isinstance(node.value, dict) or not node.value:
        example = "{learning_rate: [1.0e-4, 3.0e-4]}"
        complaints.add(node.location, f"got {format_value(node.plain)}; must be a mapping such as {example}.")
        return None
    before = len(complaints)
    models = (select_fields(Arm, *RATES), config)
    known = [*RATES, RATE_FACTOR, *config.model_fields]
    combinations = expand_lists(node, models, complaints)
    varied = combinations[0].varied if combinations else ()
    fixed = options.value if isinstance(options.value, dict) else {}
    for key, values in node.value.items():
        if key not in known:
            complaints.add(values.location, f"unknown key. {suggestion(key, known)}")
        elif key in fixed:
            complaints.add(values.location, f"'{key}' is given outside of tune too; remove one of them.")
        elif combinations and key not in varied:
            kind = "a list of lists" if isinstance(values.value, list) else "a list"
            complaints.add(
                values.location, f"got {format_value(values.plain)}; must be {kind} of values to try."
            )
    if not combinations or len(complaints) > before:
        return None
    names = [combination_name("", _plain(choice.entries)) for choice in combinations]
    if len(set(names)) < len(names):
        complaints.add(node.location, "tries the same values twice; remove one of the equal values.")
        return None
    return [choice.entries for choice in combinations]


def _make_trial(
    config: type[Frozen], node: Node, values: Mapping[str, Node], complaints: Complaints
) -> Trial | None:
    """Build a trial from the options of an arm and the values that it tries."""
    entries = node.value if isinstance(node.value, dict) else {}
    parts = _read_options(config, node.under({**entries, **values}), complaints)
    if parts is None:
        return None
    rates, options = parts
    plain = _plain(values)
    name = combination_name("", plain)[1:-1] or "-"
    return Trial.model_validate({"name": name, "values": plain, "config": options, **dict(rates)})


def _make_arm(
    entry: str, method: str, varied: Mapping[str, Plain], trials: Sequence[Trial], match: Match | None
) -> Arm:
    """Build an arm; a single trial without values means that the arm is not tuned."""
    first = trials[0]
    tuned = tuple(trials) if first.values else ()
    return Arm(
        name=combination_name(entry, varied), method=method, config=first.config,
        learning_rate=first.learning_rate, epochs=first.epochs, trials=tuned, varied=dict(varied),
        match=match,
    )  # fmt: skip


def _plain(values: Mapping[str, Node]) -> dict[str, Plain]:
    """Strip the locations from values."""
    return {key: node.plain for key, node in values.items()}


def _read_options(config: type[Frozen], node: Node, complaints: Complaints) -> tuple[Frozen, Frozen] | None:
    """Read the rates (learning rate, epochs) and the options of one arm."""
    entries = node.value if isinstance(node.value, dict) else {}
    rate_entries = {key: value for key, value in entries.items() if key in RATES}
    rates = validated(select_fields(Arm, *RATES), node.under(rate_entries), complaints)
    rest = {key: value for key, value in entries.items() if key not in RATES}
    options = validated(config, node.under(rest), complaints, (*RATES, "method", TUNE, MATCH))
    return None if rates is None or options is None else (rates, options)


def _check_duplicates(arms: list[Arm], locations: list[Location], complaints: Complaints) -> None:
    """Check that arms have distinct names, and differ in more than their names."""
    names: dict[str, Location] = {}
    contents: dict[str, str] = {}
    for arm, location in zip(arms, locations, strict=True):
        if arm.name in names:
            complaints.add(location, f"makes the arm '{arm.name}' twice; remove one of the equal values.")
            continue
        names[arm.name] = location
        content = arm.model_dump_json(exclude={"name", "varied"})
        if content in contents:
            complaints.add(
                location,
                f"the arm '{arm.name}' repeats '{contents[content]}': the same method, options, learning "
                "rate and epochs, so the same runs; change or remove one of them.",
            )
        contents.setdefault(content, arm.name)


def _check_trial_counts(arms: list[Arm], locations: list[Location], complaints: Complaints) -> None:
    """Check that tuned arms have equally many trials: a method that may try more has an advantage."""
    tuned = [(arm, location) for arm, location in zip(arms, locations, strict=True) if arm.trials]
    reported: set[int] = set()
    for arm, location in tuned:
        first, count = tuned[0][0], len(arm.trials)
        if count != len(first.trials) and count not in reported:
            reported.add(count)
            complaints.add(
                location.child(TUNE),
                f"'{arm.name}' has {count} trials, and '{first.name}' {len(first.trials)}; every method that "
                "is tuned must have the same number.",
            )
