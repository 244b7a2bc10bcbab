"""`audit:` to how the runs are judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenhand.spec.base import Frozen
from evenhand.spec.plugins import WRITTEN, judged
from evenhand.spec.sections.margins import RATE, alpha_fault, margin_fault, number_of, range_of, rewritten
from evenhand.spec.study import Arm, Audit
from evenhand.spec.wording import guessed
from evenhand.spec.yaml.check import Complaints, validated
from evenhand.spec.yaml.tree import Node, shown


def read_audit(
    node: Node,
    arms: Sequence[Arm],
    attributes: Sequence[str],
    complaints: Complaints,
    *,
    task: str | None = None,
) -> Audit | None:
    """Read how a study is judged.

    Args:
        node: what stands under `audit`.
        arms: of the study; empty when they could not be read.
        attributes: of the dataset; empty when they are not known before it is loaded.
        complaints: takes what is wrong.
        task: of the dataset; None when it is not known.
    """
    names = [arm.name for arm in arms]
    default = "full" if "full" in names else (names or ["?"])[0]
    entries = node.value if isinstance(node.value, dict) else {}
    if isinstance(node.value, dict) or node.value is None:
        node = node.under({"reference": Node(default, node.place), **entries})
    node = _readable(node, complaints)
    audit = validated(Audit, node, complaints)
    reference = entries.get("reference")
    if names and reference and isinstance(reference.value, str) and reference.value not in names:
        complaints.add(
            reference.place, f"there is no arm {reference.value!r}. {guessed(reference.value, names)}"
        )
    known = judged(task)
    what = "no metric and no disparity" if task not in WRITTEN else f"not measured of a {task}"
    for key in ("metric", "primary"):
        _known(entries.get(key), known, what, complaints)
    _margins(entries, known, what, complaints)
    alpha = entries.get("alpha")
    level = number_of(alpha.value) if alpha else None
    if alpha and level is not None and 0.5 < level < 1:
        complaints.add(alpha.place, str(alpha_fault(level)))
    _attributes(entries, attributes, complaints)
    return audit


def _readable(node: Node, complaints: Complaints) -> Node:
    """The entries without margins and levels that are texts, whose complaint says how they are written."""
    entries = dict(node.value) if isinstance(node.value, dict) else {}
    for key in ("margin", "alpha"):
        given = entries.get(key)
        if given is None:
            continue
        inside = given.value if isinstance(given.value, dict) else {"": given}
        texts = []
        for name, value in inside.items():
            meant = rewritten(value.value, level=key == "alpha") if isinstance(value.value, str) else None
            if meant is not None:
                texts.append(name)
                must = f"must be a number, which is {meant} here"
                complaints.add(value.place, f"got {shown(value.value)}; {must}.")
        if "" in texts:
            del entries[key]
        elif texts:
            entries[key] = given.under({k: v for k, v in inside.items() if k not in texts})
    return node.under(entries) if isinstance(node.value, dict) else node


def _margins(entries: dict[str, Node], known: Sequence[str], what: str, complaints: Complaints) -> None:
    """Complain of margins that no loss could exceed, and of those of metrics that are not judged."""
    margin = entries.get("margin")
    if margin is None:
        return
    if not isinstance(margin.value, dict):
        _refuse_margin(margin, RATE, "accuracy and other rates lie", complaints)
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
            complaints.add(value.place, f"{name!r} is {what}. {guessed(name, known)}")
            continue
        _refuse_margin(value, range_of(name), f"{name} lies", complaints)
        if named and named.value and name not in computed:
            complaints.add(value.place, f"'{name}' is not computed: audit.metric does not name it.")


def _refuse_margin(
    node: Node, limits: tuple[float, float] | None, subject: str, complaints: Complaints
) -> None:
    """Complain of a margin that is a number above 0, as its model demands, and too large."""
    number = number_of(node.value)
    if number is None or not 0 < number < math.inf:
        return
    fault = margin_fault(number, limits, subject)
    if fault is not None:
        complaints.add(node.place, f"got {shown(node.value)}; {fault}")


def _known(node: Node | None, known: Sequence[str], what: str, complaints: Complaints) -> None:
    """Complain of names in a list that stand for nothing, or stand there twice."""
    if node is None or not isinstance(node.value, list):
        return
    seen: set[str] = set()
    for item in node.value:
        if not isinstance(item.value, str) or not item.value:
            continue
        if item.value in seen:
            complaints.add(item.place, f"{item.value!r} is given twice.")
        elif known and item.value not in known:
            complaints.add(item.place, f"{item.value!r} is {what}. {guessed(item.value, known)}")
        seen.add(item.value)


def _attributes(entries: dict[str, Node], attributes: Sequence[str], complaints: Complaints) -> None:
    """Check the attributes that are judged, and those that are crossed."""
    what = "no attribute of this dataset"
    by, intersect = entries.get("by"), entries.get("intersect")
    _known(by, attributes, what, complaints)
    if by and by.value == []:
        complaints.add(by.place, "got an empty list; leave it out to judge every attribute.")
    for crossing in intersect.value if intersect and isinstance(intersect.value, list) else []:
        _known(crossing, attributes, what, complaints)
        if isinstance(crossing.value, list) and len(crossing.value) < 2:
            complaints.add(crossing.place, "a crossing has two attributes or more, such as [race, sex].")
    taken = [str(item.value) for item in by.value] if by and isinstance(by.value, list) else [*attributes]
    crossed: dict[str, tuple[str, ...]] = {}
    for crossing in intersect.value if intersect and isinstance(intersect.value, list) else []:
        if not isinstance(crossing.value, list) or len(crossing.value) < 2:
            continue
        parts = tuple(str(item.value) for item in crossing.value)
        name = " x ".join(parts)
        if name in taken or crossed.setdefault(name, parts) != parts:
            complaints.add(
                crossing.place,
                f"this crossing is called '{name}', and so is another attribute; results are told apart by "
                "this name: rename a column.",
            )


def attributes_of(card: tuple[str, ...], name: str, config: Frozen | None) -> tuple[str, ...]:
    """Attributes of a dataset, as far as they are known before it is loaded.

    Args:
        card: those that the dataset's card names; none when its options decide.
        name: of the dataset.
        config: its options.

    Returns:
        For a table those that its options name, of the texts or of the questions about them: a pattern
        without its star and the underscore before it.
    """
    if card or name not in ("table", "text_snippets") or config is None:
        return card
    options = config.model_dump()
    if options.get("questions") is not None:
        options = options["questions"]
    patterns = [pattern.replace("*", "") for pattern in options.get("memberships", ())]
    return (*options["by"], *(pattern.rstrip("_") or pattern for pattern in patterns))
