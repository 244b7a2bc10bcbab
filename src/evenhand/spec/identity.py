"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from evenhand.spec.study import Arm, Model, Study

#: Rises when the same words come to mean another result; runs of older versions are then done again.
VERSION = 1
#: Ways to train that came after version 1, as they were before.
_LATER_TRAINING = {"parallel": "data"}
#: Of how it is trained: what spends time to save memory, and moves no number.
_NEUTRAL = {"gradient_checkpointing"}
#: Options that methods got after version 1: left at their defaults they change nothing.
_LATER = {
    "lora": ("alpha_per_rank", "layer_fraction", "layer_order", "initialisation", "rank_stabilised"),
}

#: The same of options of datasets.
_LATER_ROWS: Mapping[str, Mapping[str, Any]] = {
    "winomt": {"prompt": None},
    "table": {"without_group": "refuse"},
    "text_snippets": {"without_group": "refuse"},
}
#: The same of questions that a dataset takes from a table.
_LATER_QUESTIONS: Mapping[str, Any] = {
    "parse": {}, "meaning": None, "together": [], "without_group": "refuse",
}  # fmt: skip


def run_id(
    study: Study, model: Model, arm: Arm, seed: int, *, membership: Mapping[str, Any] | None = None
) -> str:
    """Name a run after all that can change its results, and nothing else.

    Rows and their split, the model with its options, the method with its options, rates and passes, how it is
    trained, and the seed. Not: names and descriptions of the study and the arm, the model's label, the family
    that is said to know it, how the study is judged, what is done about leaks, other arms and seeds. A file
    or folder counts by the name that is given; what was in it is recorded with the run. A trial is the run of
    an arm with its values.

    Nor the machine: its device, and how many processes do a run together, move numbers by their rounding
    (and the draws of dropout). The study does not say them, so they are recorded with the run instead.

    Args:
        study: whose dataset and training it is.
        model: one of its models.
        arm: one of its arms; of one with trials, `arm.tried(trial)`.
        seed: of the run.
        membership: of a run that is attacked, or that an attack learns from: how its rows are drawn.

    Returns:
        The version and 16 hexadecimal digits, such as `1-0f3c...`.
    """
    parts = {
        "version": VERSION,
        "dataset": _rows(study, seed),
        "model": {"name": model.name, "options": {k: v for k, v in model.options.items() if k != "family"}},
        "arm": {**arm.model_dump(mode="json", exclude={"name", "trials"}), "config": _options(arm)},
        "training": _training(study),
        "seed": seed,
    }
    if membership is not None:
        parts["membership"] = dict(membership)
    content = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{VERSION}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _rows(study: Study, seed: int) -> dict[str, Any]:
    """Which rows there are and what is asked, without later options that are not used."""
    rows = study.dataset.model_copy(update={"split": study.split(seed)})
    plain = rows.model_dump(mode="json", exclude={"leaks"})
    if not plain["smoke"]:
        del plain["smoke"]
    later = _LATER_ROWS.get(rows.name, {})
    plain["config"] = {k: v for k, v in plain["config"].items() if k not in later or v != later[k]}
    questions = plain["config"].get("questions")
    if isinstance(questions, dict):
        kept = {k: v for k, v in questions.items() if k not in _LATER_QUESTIONS or v != _LATER_QUESTIONS[k]}
        plain["config"]["questions"] = kept
    return plain


def _training(study: Study) -> dict[str, Any]:
    """How it is trained, without later ways that are not used, and what moves no number."""
    plain = study.training.model_dump(mode="json", exclude=_NEUTRAL)
    return {name: value for name, value in plain.items() if (name, value) not in _LATER_TRAINING.items()}


def _options(arm: Arm) -> dict[str, Any]:
    """Options of an arm's method, without later ones that are not used."""
    fields = type(arm.config).model_fields
    unused = {
        name
        for name in _LATER.get(arm.method, ())
        if name in fields and getattr(arm.config, name) == fields[name].default
    }
    return arm.config.model_dump(mode="json", exclude=unused)


def _canonical(value: Any) -> Any:  # noqa: ANN401  (plain data)
    """Plain data in which equal numbers are written alike."""
    if isinstance(value, dict):
        return {key: _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
