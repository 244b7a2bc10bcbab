"""The section `audit:` as settings of the audit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.errors import plural
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import GENERATIVE_TASKS, metric_names
from evenhand.spec.sections.margins import (
    RATE_RANGE,
    alpha_fault,
    margin_fault,
    number_of,
    parse_share,
    range_of,
)
from evenhand.spec.study import Arm, Audit
from evenhand.spec.wording import suggestion
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.tree import Node, format_value


def read_audit(
    node: Node,
    arms: Sequence[Arm],
    attributes: Sequence[str],
    complaints: Complaints,
    *,
    task: str | None = None,
) -> Audit | None:
    """Read the settings of the audit.

    Args:
        node: the value of `audit`.
        arms: arms of the study; empty when they could not be read.
        attributes: attributes of the dataset; empty when they are unknown before it is loaded.
        complaints: collects complaints.
        task: task of the dataset; None when it is unknown.
    """
    names = [arm.name for arm in arms]
    default = "full" if "full" in names else (names or ["?"])[0]
    entries = node.value if isinstance(node.value, dict) else {}
    if isinstance(node.value, dict) or node.value is None:
        node = node.under({"reference": Node(default, node.location), **entries})
    node = _drop_text_numbers(node, complaints)
    audit = validated(Audit, node, complaints)
    reference = entries.get("reference")
    if names and reference and isinstance(reference.value, str) and reference.value not in names:
        complaints.add(
            reference.location, f"unknown arm {reference.value!r}. {suggestion(reference.value, names)}"
        )
    known = metric_names(task)
    what = (
        "not a metric or disparity" if task not in GENERATIVE_TASKS else f"not measured for the task {task}"
    )
    for key in ("metric", "primary"):
        _check_names(entries.get(key), known, what, complaints)
    _check_average(entries.get("average"), arms, getattr(audit, "reference", None), complaints, task=task)
    _check_margins(entries, known, what, complaints)
    alpha = entries.get("alpha")
    level = number_of(alpha.value) if alpha else None
    if alpha and level is not None and 0.5 < level < 1:
        complaints.add(alpha.location, str(alpha_fault(level)))
    _check_attributes(entries, attributes, complaints)
    return audit


def _drop_text_numbers(node: Node, complaints: Complaints) -> Node:
    """Remove margins and levels that are texts such as '2 %', with a complaint that gives the number.

    They are removed so that the model's own complaint about the type does not follow.
    """
    entries = dict(node.value) if isinstance(node.value, dict) else {}
    for key in ("margin", "alpha"):
        setting = entries.get(key)
        if setting is None:
            continue
        values = setting.value if isinstance(setting.value, dict) else {"": setting}
        texts = []
        for name, value in values.items():
            number = parse_share(value.value, level=key == "alpha") if isinstance(value.value, str) else None
            if number is not None:
                texts.append(name)
                must = f"must be a number, here {number}"
                complaints.add(value.location, f"got {format_value(value.value)}; {must}.")
        if "" in texts:
            del entries[key]
        elif texts:
            entries[key] = setting.under({k: v for k, v in values.items() if k not in texts})
    return node.under(entries) if isinstance(node.value, dict) else node


def _check_margins(entries: dict[str, Node], known: Sequence[str], what: str, complaints: Complaints) -> None:
    """Check that a loss can exceed each margin, and that each named metric is computed."""
    margin = entries.get("margin")
    if margin is None:
        return
    if not isinstance(margin.value, dict):
        _check_margin(margin, RATE_RANGE, "accuracy and other rates are", complaints)
        return
    computed = {
        item.value
        for key in ("metric", "primary")
        if (node := entries.get(key)) and isinstance(node.value, list)
        for item in node.value
    }
    named = entries.get("metric")
    for name, value in margin.value.items():
        if name not in known:
            complaints.add(value.location, f"{name!r} is {what}. {suggestion(name, known)}")
            continue
        _check_margin(value, range_of(name), f"{name} is", complaints)
        if named and named.value and name not in computed:
            complaints.add(value.location, f"'{name}' is not computed: audit.metric does not name it.")


def _check_margin(
    node: Node, limits: tuple[float, float] | None, subject: str, complaints: Complaints
) -> None:
    """Check that a margin is not too large; values that are not positive numbers fail in the model."""
    number = number_of(node.value)
    if number is None or not 0 < number < math.inf:
        return
    fault = margin_fault(number, limits, subject)
    if fault is not None:
        complaints.add(node.location, f"got {format_value(node.value)}; {fault}")


def _check_average(
    node: Node | None, arms: Sequence[Arm], reference: str | None, complaints: Complaints, *, task: str | None
) -> None:
    """Check that each average is a method with two candidate arms or more."""
    if node is None or not isinstance(node.value, list):
        return
    if node.value and task in GENERATIVE_TASKS:
        complaints.add(node.location, f"the arms of the task {task} are not averaged; leave it out.")
        return
    methods = list(dict.fromkeys(arm.method for arm in arms))
    _check_names(node, methods, "not a method of this study", complaints)
    for item in node.value:
        number = sum(arm.method == item.value and arm.name != reference for arm in arms)
        if item.value in methods and number < 2:
            complaints.add(
                item.location,
                f"{item.value!r} has {plural(number, 'arm')} beside the reference; an "
                "average takes two or more: give one of its options a list of values.",
            )


def _check_names(node: Node | None, known: Sequence[str], what: str, complaints: Complaints) -> None:
    """Check that the names in a list are known and distinct."""
    if node is None or not isinstance(node.value, list):
        return
    earlier: set[str] = set()
    for item in node.value:
        if not isinstance(item.value, str) or not item.value:
            continue
        if item.value in earlier:
            complaints.add(item.location, f"{item.value!r} is given twice.")
        elif known and item.value not in known:
            complaints.add(item.location, f"{item.value!r} is {what}. {suggestion(item.value, known)}")
        earlier.add(item.value)


def _check_attributes(entries: dict[str, Node], attributes: Sequence[str], complaints: Complaints) -> None:
    """Check the attributes of the audit and their crossings (`intersect`)."""
    what = "not an attribute of this dataset"
    by, intersect = entries.get("by"), entries.get("intersect")
    _check_names(by, attributes, what, complaints)
    if by and by.value == []:
        complaints.add(by.location, "got an empty list; leave it out to audit every attribute.")
    for crossing in intersect.value if intersect and isinstance(intersect.value, list) else []:
        _check_names(crossing, attributes, what, complaints)
        if isinstance(crossing.value, list) and len(crossing.value) < 2:
            complaints.add(crossing.location, "a crossing has two attributes or more, such as [race, sex].")
    weights = entries.get("attribute_weights")
    for name, value in (weights.value if weights and isinstance(weights.value, dict) else {}).items():
        judged = [*attributes, *_crossings(intersect), "overall"]
        if attributes and name not in judged:
            complaints.add(value.location, f"{name!r} is {what}. {suggestion(name, judged)}")
    taken = [str(item.value) for item in by.value] if by and isinstance(by.value, list) else [*attributes]
    crossed: dict[str, tuple[str, ...]] = {}
    for crossing in intersect.value if intersect and isinstance(intersect.value, list) else []:
        if not isinstance(crossing.value, list) or len(crossing.value) < 2:
            continue
        parts = tuple(str(item.value) for item in crossing.value)
        name = " x ".join(parts)
        if name in taken or crossed.setdefault(name, parts) != parts:
            complaints.add(
                crossing.location,
                f"this crossing is called '{name}', and so is another attribute; results are identified by "
                "this name: rename a column.",
            )


def _crossings(intersect: Node | None) -> list[str]:
    """Names of the crossings of attributes."""
    crossings = intersect.value if intersect and isinstance(intersect.value, list) else []
    return [" x ".join(str(part.value) for part in c.value) for c in crossings if isinstance(c.value, list)]


def known_attributes(card: tuple[str, ...], name: str, config: Frozen | None) -> tuple[str, ...]:
    """List the attributes of a dataset, as far as they are known before it is loaded.

    Args:
        card: attributes on the dataset's card; empty when its options define them.
        name: name of the dataset.
        config: options of the dataset.

    Returns:
        For tables, the attributes that the options name, of the texts or of the questions: a membership
        attribute is its pattern without the star and the underscore before it.
    """
    if card or name not in ("table", "text_snippets") or config is None:
        return card
    options = config.model_dump()
    if options.get("questions") is not None:
        options = options["questions"]
    patterns = [pattern.replace("*", "") for pattern in options.get("memberships", ())]
    return (*options["by"], *(pattern.rstrip("_") or pattern for pattern in patterns))
