"""Resolved studies as JSON in study folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evenhand.errors import InputError, SpecError
from evenhand.spec.base import Frozen
from evenhand.spec.names import recover_varied
from evenhand.spec.plugins import ATTACKS, DATASETS, METHODS, config_of
from evenhand.spec.study import Arm, Study

SCHEMA = "evenhand.spec/1"


def as_plain(study: Study) -> dict[str, Any]:
    """Convert a study to plain data for JSON, including all defaults."""
    return {"schema": SCHEMA, **study.model_dump(mode="json")}


def load(path: str | Path) -> Study:
    """Read a study that was stored as the JSON of `as_plain`.

    Raises:
        SpecError: the file cannot be read, it is not a stored study, or a plug-in that it names was not found
            or has other options in this version.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise SpecError(f"{path}: is not valid JSON; was it changed by hand?") from None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        schema_name = plain.get("schema") if isinstance(plain, dict) else None
        raise SpecError(f"{path}: got schema {schema_name!r}; must be '{SCHEMA}'.")
    del plain["schema"]
    try:
        return Study.model_validate(_restore_options(plain))
    except ValidationError as error:
        complaints = [
            f"{path}, {'.'.join(map(str, detail['loc']))}: {detail['msg']}." for detail in error.errors()
        ]
        raise SpecError(complaints) from None
    except (KeyError, TypeError, AttributeError):
        raise SpecError(f"{path}: is not a study that this version of evenhand can read.") from None
    except InputError as error:
        raise SpecError([f"{path}: {what}" for what in error.complaints]) from None


def _restore_options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the options of plug-ins by instances of their `Config`."""
    dataset = {**plain["dataset"]}
    dataset["config"] = _restore_config(DATASETS, dataset["name"], dataset["config"])
    restored = {**plain, "dataset": dataset, "arms": [_restore_arm(arm) for arm in plain["arms"]]}
    if plain.get("privacy") is not None:
        attacks = [
            {**attack, "config": _restore_config(ATTACKS, attack["name"], attack["config"])}
            for attack in plain["privacy"]["attacks"]
        ]
        restored["privacy"] = {**plain["privacy"], "attacks": attacks}
    return restored


def _restore_arm(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the options of an arm and of its trials by instances of the method's `Config`.

    The varied options of a study that was stored without them are recovered from the arm's name.
    """
    trials = [
        {**trial, "config": _restore_config(METHODS, plain["method"], trial["config"])}
        for trial in plain.get("trials", ())
    ]
    config = _restore_config(METHODS, plain["method"], plain["config"])
    restored = {**plain, "config": config, "trials": trials}
    if "varied" not in plain:
        restored["varied"] = recover_varied(plain["name"], Arm.model_construct(**restored).options)
    return restored


def _restore_config(package: str, name: str, options: object) -> Frozen:
    """Build the options of a plug-in."""
    return config_of(package, name).model_validate_json(json.dumps(options), strict=True)
