"""Pilots from results: files that `evenhand audit` or `evenhand run` wrote, or the same in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenhand.errors import TableError
from evenhand.judge.planning.forecast import Pilot, pilot_of

AUDIT, STUDY = "evenhand.audit/1", "evenhand.study/1"


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        TableError: the file cannot be read, or is no result.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError):
        raise TableError(
            f"{path}: is not valid JSON; give a result.json, or the folder of a study."
        ) from None
    return document if isinstance(document, dict) else {}


def pilots_of(document: Mapping[str, Any], name: str) -> list[Pilot]:
    """Take the pilots of a result: one for each base model.

    Args:
        document: the result of an audit or of a study.
        name: of the result, for messages.

    Raises:
        TableError: it is another document, was written by a version that stored no variances, or compares
            nothing.
    """
    schema = document.get("schema")
    if schema == AUDIT:
        pilots = [pilot_of(document)]
    elif schema == STUDY:
        pilots = [
            pilot_of(judged, model=str(model["model"]), seconds=_seconds(model))
            for model in document["models"]
            if (judged := model.get("audit") or model.get("generative"))
        ]
    else:
        raise TableError(
            f"{name}: got the schema {schema!r}; a plan takes the result of an audit ({AUDIT}) or of a study "
            f"({STUDY})."
        )
    rows = [row for pilot in pilots for row in pilot.rows]
    if not rows:
        what = (
            "no primary comparison has an interval"
            if any(p.left_out for p in pilots)
            else "nothing is compared"
        )
        raise TableError(f"{name}: {what}, so nothing can be planned; give a result with two arms or more.")
    if any("critical" not in row for row in rows):
        raise TableError(
            f"{name}: it has no variances, because an earlier version of evenhand wrote it; audit again, "
            "or rebuild "
            "a study with `evenhand report`."
        )
    return pilots


def _seconds(model: Mapping[str, Any]) -> float | None:
    """Time of one more run of every arm, from the runs of a study; None where an arm's is not recorded."""
    costs = {row["arm"]: row["seconds_total"] / row["runs"] for row in model.get("cost") or []}
    return sum(costs.values()) if costs else None
