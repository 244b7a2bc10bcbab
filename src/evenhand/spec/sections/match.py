"""Arms matched by their number of trained parameters: `methods: {lokr: {match: {parameters: lora}}}`."""

from __future__ import annotations

from collections.abc import Sequence

from evenhand.spec.plugins import METHODS, plugin
from evenhand.spec.study import Arm, Match
from evenhand.spec.wording import suggestion
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.tree import Node, format_value

MATCH, PARAMETERS = "match", "parameters"
_EXAMPLES = "{parameters: lora}, an arm, or {parameters: 300000}, a number"


def read_match(method: str, block: Node, tune: Node | None, complaints: Complaints) -> Match | None:
    """Read the goal of an arm that is matched by the number of its trained parameters.

    Args:
        method: name of the arm's method.
        block: options of the arm.
        tune: options that its trials vary, if any.
        complaints: collects complaints.

    Returns:
        The goal; None without `match`, and after a complaint.
    """
    entries = block.value if isinstance(block.value, dict) else {}
    node = entries.get(MATCH)
    if node is None:
        return None
    goal = _read_goal(node, complaints)
    info = plugin(METHODS, method).INFO
    if not info.size:
        complaints.add(
            node.location,
            f"{info.title} has no option that determines its number of trained parameters; remove {MATCH}. "
            "Other arms can be matched to it.",
        )
        return None
    fixed = entries.get(info.size)
    tried = tune.value.get(info.size) if tune is not None and isinstance(tune.value, dict) else None
    for other in (fixed, tried):
        if other is not None:
            complaints.add(
                other.location, f"'{info.size}' is chosen by {MATCH}, and given too; remove one of them."
            )
            return None
    return None if goal is None else Match(parameters=goal, option=info.size)


def _read_goal(node: Node, complaints: Complaints) -> int | str | None:
    """Read the goal, a number or an arm's name; None after a complaint."""
    if not isinstance(node.value, dict) or not node.value:
        complaints.add(
            node.location,
            f"got {format_value(node.plain)}; must be a mapping with the key {PARAMETERS}: {_EXAMPLES}.",
        )
        return None
    for key, value in node.value.items():
        if key != PARAMETERS:
            complaints.add(value.location, f"unknown key. {suggestion(key, [PARAMETERS])}")
            return None
    goal = node.value[PARAMETERS].plain
    if isinstance(goal, float) and goal.is_integer():
        goal = int(goal)
    if isinstance(goal, str) and goal.strip():
        return goal
    if isinstance(goal, bool) or not isinstance(goal, int) or goal < 1:
        complaints.add(
            node.value[PARAMETERS].location,
            f"got {format_value(goal)}; must be the name of an arm, or a whole number of at least 1.",
        )
        return None
    return goal


def check_goals(arms: Sequence[Arm], methods: Node, complaints: Complaints) -> None:
    """Check that arms to which others are matched exist, train parameters, and are not matched themselves.

    Args:
        arms: all arms of the study.
        methods: the section with their blocks.
        complaints: collects complaints.
    """
    by_name = {arm.name: arm for arm in arms}
    for arm in arms:
        if arm.match is None or isinstance(arm.match.parameters, int):
            continue
        goal = arm.match.parameters
        location = methods.find_location((arm.entry, MATCH, PARAMETERS))
        free = [name for name, other in by_name.items() if other.match is None and _trains(other)]
        if goal not in by_name:
            complaints.add(
                location, f"got '{goal}', which is not an arm of this study. {suggestion(goal, free)}"
            )
        elif by_name[goal].match is not None:
            complaints.add(
                location,
                f"got '{goal}', which is matched itself; give an arm that is not, or a number. "
                f"{suggestion(goal, free)}",
            )
        elif not _trains(by_name[goal]):
            complaints.add(
                location,
                f"got '{goal}', which trains nothing besides a head, and the head does not count. "
                f"{suggestion(goal, free)}",
            )


def _trains(arm: Arm) -> bool:
    """Return True if an arm trains parameters besides those of a head."""
    info = plugin(METHODS, arm.method).INFO
    return not (info.ready or info.head_only or arm.method == "none")
