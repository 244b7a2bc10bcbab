"""A resolved study as JSON, and back: what a study's folder keeps of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evenhand.errors import InputError, SpecError
from evenhand.spec.base import Frozen
from evenhand.spec.plugins import ATTACKS, DATASETS, METHODS, config_of
from evenhand.spec.study import Study

SCHEMA = "evenhand.spec/1"


def study_json(study: Study) -> str:
    """Write a study as JSON, every default with it."""
    plain = {"schema": SCHEMA, **study.model_dump(mode="json")}
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: str | Path) -> Study:
    """Read a study that `study_json` wrote.

    Raises:
        SpecError: the file cannot be read, or is none, or a plug-in that it names is not there or has other
            options today.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise SpecError(f"{path}: is no JSON; was it changed by hand?") from None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        found = plain.get("schema") if isinstance(plain, dict) else None
        raise SpecError(f"{path}: got schema {found!r}; must be '{SCHEMA}'.")
    del plain["schema"]
    try:
        return Study.model_validate(_with_options(plain))
    except ValidationError as error:
        told = [f"{path}, {'.'.join(map(str, one['loc']))}: {one['msg']}." for one in error.errors()]
        raise SpecError(told) from None
    except (KeyError, TypeError, AttributeError):
        raise SpecError(f"{path}: is no study of this version of evenhand.") from None
    except InputError as error:
        raise SpecError([f"{path}: {what}" for what in error.complaints]) from None


def _with_options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The study with the options of its plug-ins as they were made."""
    dataset = {**plain["dataset"]}
    dataset["config"] = _config(DATASETS, dataset["name"], dataset["config"])
    made = {**plain, "dataset": dataset, "arms": [_arm(arm) for arm in plain["arms"]]}
    if plain.get("privacy") is not None:
        attacks = [
            {**one, "config": _config(ATTACKS, one["name"], one["config"])}
            for one in plain["privacy"]["attacks"]
        ]
        made["privacy"] = {**plain["privacy"], "attacks": attacks}
    return made


def _arm(plain: Mapping[str, Any]) -> dict[str, Any]:
    """An arm, and its trials, with the options of its method."""
    trials = [
        {**trial, "config": _config(METHODS, plain["method"], trial["config"])}
        for trial in plain.get("trials", ())
    ]
    return {**plain, "config": _config(METHODS, plain["method"], plain["config"]), "trials": trials}


def _config(package: str, name: str, options: object) -> Frozen:
    """Options of a plug-in."""
    return config_of(package, name).model_validate_json(json.dumps(options), strict=True)
