"""Arms of models that exist already: `methods: {theirs: {existing: [org/a-seed1, org/a-seed2]}}`."""

from __future__ import annotations

from evenhand.errors import plural
from evenhand.spec.study import Study
from evenhand.spec.yaml.check import Complaints
from evenhand.spec.yaml.tree import Location, Node

#: Name of the method, which is also the key of its short form; and of the option with the models.
EXISTING, EXISTING_MODELS = "existing", "models"


def expand_short_form(node: Node) -> Node:
    """Return the block of an arm with `existing: [...]` written as its method and the option `models`."""
    entries = node.value
    if not isinstance(entries, dict) or EXISTING not in entries:
        return node
    rest = {key: value for key, value in entries.items() if key != EXISTING}
    models = entries[EXISTING]
    several = models if isinstance(models.value, list) else Node([models], models.location)
    return node.under({"method": Node(EXISTING, models.location), EXISTING_MODELS: several, **rest})


def check_existing(study: Study, location: Location, complaints: Complaints) -> None:
    """Check that an arm of existing models has one for each seed, and that nothing asks to train them."""
    for arm in (arm for arm in study.arms if arm.method == EXISTING):
        models: tuple[str, ...] = getattr(arm.config, EXISTING_MODELS)
        if len(models) != len(study.seeds):
            complaints.add(
                location.child(arm.entry),
                f"has {plural(len(models), 'model')}, and the study {plural(len(study.seeds), 'seed')}; give "
                "one for each seed: a model is one run, and the runs of all arms are compared.",
            )
        if arm.trials:
            complaints.add(location.child(arm.entry), "trains nothing, so nothing can be tuned; remove tune.")
        if study.privacy is not None:
            complaints.add(
                location.child(arm.entry),
                "cannot be attacked: an attack trains models on random halves of the rows; remove the arm or "
                "privacy.",
            )
        if len(study.models) > 1:
            complaints.add(
                location.child(arm.entry), "does not vary with the study's models; give a single model."
            )
