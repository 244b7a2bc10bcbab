"""Identity of runs: a versioned hash of everything that can change their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from evenhand.spec.study import Arm, Model, Study

#: Incremented when the same study would give other results; runs of older versions are then repeated.
VERSION = 1
#: Training options that were added after version 1, with the values that reproduce earlier behaviour.
_ADDED_TRAINING_OPTIONS = {"parallel": "data"}
#: Training options without an effect on results: they trade time for memory.
_WITHOUT_EFFECT = {"gradient_checkpointing"}
#: Fields of an arm that only name it, or name its trials, which are runs of their own; and the goal behind an
#: option, whose value counts as if it were given.
_NAMES_OF_ARMS = {"name", "trials", "varied", "match"}
#: Options of methods that were added after version 1; at their defaults they do not change results.
_ADDED_METHOD_OPTIONS = {
    "lora": ("alpha_per_rank", "layer_fraction", "layer_order", "initialisation", "rank_stabilised"),
}

#: Options of datasets that were added after version 1, with the values that reproduce earlier behaviour.
_ADDED_DATASET_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "winomt": {"prompt": None},
    "table": {"without_group": "refuse"},
    "text_snippets": {"without_group": "refuse"},
}
#: The same for the options of `questions`.
_ADDED_QUESTION_OPTIONS: Mapping[str, Any] = {
    "parse": {}, "meaning": None, "together": [], "without_group": "refuse",
}  # fmt: skip


def run_id(
    study: Study, model: Model, arm: Arm, seed: int, *, membership: Mapping[str, Any] | None = None
) -> str:
    """Compute the id of a run from everything that can change its results, and nothing else.

    Included are the rows and their split, the model and the method with their options, learning rate and
    epochs, the training options, and the seed. Not included are names and descriptions of the study and the
    arm, the model's label and family, the settings of the audit, the handling of leaks, and other arms and
    seeds. A file or folder is identified by the given name; digests of its content are recorded with the run.
    A trial is a run of the arm with the trial's values.

    The device and the number of processes are not included either: they change results by rounding (and by
    the draws of dropout), but are not part of the study, so they are recorded with the run instead.

    Options that were added after version 1 are included only where they differ from earlier behaviour, so
    that the ids of older runs stay valid.

    Args:
        study: study with the dataset and the training options.
        model: one of its models.
        arm: one of its arms; for an arm with trials, `arm.with_trial(trial)`.
        seed: seed of the run.
        membership: draw of the training rows, for runs that are attacked or that an attack learns from.

    Returns:
        The version and 16 hexadecimal digits, such as `1-0f3c...`.
    """
    parts = {
        "version": VERSION,
        "dataset": _dataset_content(study, seed),
        "model": {"name": model.name, "options": {k: v for k, v in model.options.items() if k != "family"}},
        "arm": {**arm.model_dump(mode="json", exclude=_NAMES_OF_ARMS), "config": _method_options(arm)},
        "training": _training_content(study),
        "seed": seed,
    }
    if membership is not None:
        parts["membership"] = dict(membership)
    content = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{VERSION}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _dataset_content(study: Study, seed: int) -> dict[str, Any]:
    """Collect the dataset, its split and its prompts, without unused options that were added later."""
    rows = study.dataset.model_copy(update={"split": study.split(seed)})
    plain = rows.model_dump(mode="json", exclude={"leaks"})
    if not plain["smoke"]:
        del plain["smoke"]
    later = _ADDED_DATASET_OPTIONS.get(rows.name, {})
    plain["config"] = {k: v for k, v in plain["config"].items() if k not in later or v != later[k]}
    questions = plain["config"].get("questions")
    if isinstance(questions, dict):
        used = {
            k: v
            for k, v in questions.items()
            if k not in _ADDED_QUESTION_OPTIONS or v != _ADDED_QUESTION_OPTIONS[k]
        }
        plain["config"]["questions"] = used
    return plain


def _training_content(study: Study) -> dict[str, Any]:
    """Collect the training options, without unused later ones and those without an effect on results."""
    plain = study.training.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    return {
        name: value for name, value in plain.items() if (name, value) not in _ADDED_TRAINING_OPTIONS.items()
    }


def _method_options(arm: Arm) -> dict[str, Any]:
    """Collect the options of an arm's method, without unused options that were added later."""
    fields = type(arm.config).model_fields
    unused = {
        name
        for name in _ADDED_METHOD_OPTIONS.get(arm.method, ())
        if name in fields and getattr(arm.config, name) == fields[name].default
    }
    return arm.config.model_dump(mode="json", exclude=unused)


def _canonical(value: Any) -> Any:  # noqa: ANN401  (plain data)
    """Convert plain data to a form in which equal numbers are written alike (1.0 as 1)."""
    if isinstance(value, dict):
        return {key: _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
