"""The judgement of a study: an audit of every model, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evenhand._version import __version__
from evenhand.errors import CallError, Complaint, nearest
from evenhand.judge.core.learnt import sentences, warning
from evenhand.judge.result import THESE_RUNS, WORDS
from evenhand.judge.settings import MARGIN, Settings
from evenhand.spec.study import Audit, Study
from evenhand.store.folder import StudyFolder
from evenhand.study.data import sizes as data_sizes
from evenhand.study.plan import TABLES
from evenhand.study.results import collect
from evenhand.study.results.collect import Collected
from evenhand.study.results.privacy import attack
from evenhand.study.results.tuning import uneven
from evenhand.tables.groups import oversized_intersections, refuse_impossible
from evenhand.tables.schema import Columns

SCHEMA = "evenhand.study/1"
#: The method that trains nothing.
UNTRAINED = "none"

Files = Mapping[str, Sequence[Path]]


def judge(study: Study, folder: StudyFolder) -> dict[str, Any]:
    """Judge what is finished of a study.

    Args:
        study: the study.
        folder: where its runs are.

    Returns:
        The document `evenhand.study/1`: plain data.
    """
    data, runs = folder.read_data(), folder.runs()
    found = collect.collect(study, runs)
    try:
        settings, columns = settings_of(study.audit), columns_of(study, data)
    except CallError as error:
        told = [f"{folder.study}, audit: {what}" for what in error.complaints]
        raise CallError([*told, "Run the study with another value: nothing is trained anew."]) from None
    problems = [*folder.remarks(), *collect.remarks(found), *collect.lost(found), *uneven(study.arms)]
    models, files, idle = [], {}, list[str]()
    for one in found:
        seeds, left_out = collect.comparable(one, study.audit.reference)
        problems += left_out
        judged: dict[str, Any] = {"audit": None, "trends": [], "reliability": [], "sizes": []}
        privacy, left_out = attack(study, one, seeds, runs, columns, data)
        problems += [f"{one.model}: {what}" for what in left_out]
        if study.audit.reference in seeds:
            written = collect.tables(one, seeds, runs, data["task"])
            if data["task"] in TABLES:
                judged |= {"generative": _judge_written(written, columns, settings, folder.path)}
            else:
                files[one.model] = written
                judged = _judge_model(written, columns, settings, folder.path, data["classes"])
                idle += _nothing_learnt(study, one.model, judged["audit"])
        else:
            problems.append(
                f"{one.model}: no run of the reference, {study.audit.reference}, is finished, so nothing is "
                "said of this model."
            )
        curves, left_out = collect.curves(one, runs)
        problems += left_out
        models.append(
            {
                "model": one.model,
                **judged,
                "privacy": _plain(privacy),
                "tuning": list(one.tuning),
                "cost": collect.costs(one),
                "curves": curves,
            }
        )
    return {
        "schema": SCHEMA,
        "evenhand": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": study.name,
        "description": study.description,
        "dataset": {k: data[k] for k in ("name", "title", "task", "rows", "problems")}
        | {"parts": data_sizes(data), "resplit": study.resplit},
        "models": models,
        "interactions": _interactions(files, columns, settings, data["classes"]),
        "failed": _failed(found),
        "problems": list(dict.fromkeys([*idle, *problems])),
        "verdict": _verdict(models),
    }


def settings_of(audit: Audit) -> Settings:
    """How to judge, in the judge's words."""
    margins = audit.margin if isinstance(audit.margin, dict) else {}
    return Settings(
        reference=audit.reference,
        metrics=audit.metric,
        primary=audit.primary,
        margin=MARGIN if isinstance(audit.margin, dict) else audit.margin,
        margins=margins,
        alpha=audit.alpha,
        min_group_size=audit.min_group_size,
    )


def columns_of(study: Study, data: Mapping[str, Any]) -> Columns:
    """Which columns of the predictions hold the attributes to judge."""
    by = study.audit.by
    chosen = [a for a in data["attributes"] if by is None or a["name"] in by]
    return Columns(
        by=tuple(a["name"] for a in chosen if a["kind"] == "partition"),
        memberships=tuple(f"{a['name']}_*" for a in chosen if a["kind"] == "memberships"),
        intersect=study.audit.intersect,
        run="run",
        split="test",
        resplit=study.resplit,
    )


def attribute_faults(study: Study, data: Mapping[str, Any]) -> list[str]:
    """Say which attributes cannot be judged, or not told apart in the result: asked before training.

    Args:
        study: the study.
        data: facts of its rows.
    """
    kinds = {a["name"]: a["kind"] for a in data["attributes"]}
    names = [a["name"] for a in data["attributes"]]
    faults: list[str] = [
        Complaint(
            f"dataset {study.dataset.name}: two attributes are called '{name}', and results are told apart "
            "by this name; rename a column.",
            "dataset",
        )
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    columns = [n for n in names if kinds[n] == "partition"]
    columns += [
        f"{a['name']}_{g}" for a in data["attributes"] if a["kind"] == "memberships" for g in a["groups"]
    ]
    faults += [
        Complaint(
            f"dataset {study.dataset.name}: '{name}' is an attribute of its own and a group of another one; "
            "rename a column.",
            "dataset",
        )
        for name in sorted({name for name in columns if columns.count(name) > 1})
        if not faults
    ]
    for number, crossing in enumerate(study.audit.intersect):
        place = ("audit", "intersect", str(number))
        for name in crossing:
            if name not in kinds:
                what = f"audit.intersect: there is no attribute '{name}'; {nearest(name, names)}"
                faults.append(Complaint(what, *place, name))
            elif kinds[name] != "partition":
                what = (
                    f"audit.intersect: the groups of '{name}' may overlap, so it cannot be crossed; cross "
                    "attributes of one column each."
                )
                faults.append(Complaint(what, *place, name))
    if not faults:
        asked, groups = columns_of(study, data), {a["name"]: a["groups"] for a in data["attributes"]}
        try:
            refuse_impossible(asked)
        except CallError as error:
            faults += [Complaint(what, "audit") for what in error.complaints]
        faults += [Complaint(what, "audit", "intersect") for what in oversized_intersections(asked, groups)]
    return faults


def _judge_model(
    files: Files, columns: Columns, settings: Settings, folder: Path, classes: Sequence[str]
) -> dict[str, Any]:
    """The audit of one model's arms; trends, reliability, and the sizes of its groups."""
    from evenhand.judge.across_arms.group_size import size_trends  # noqa: PLC0415
    from evenhand.judge.across_arms.series import series_of  # noqa: PLC0415
    from evenhand.judge.across_arms.trends import trends  # noqa: PLC0415
    from evenhand.judge.core.reliability import reliability  # noqa: PLC0415  (numpy and duckdb)
    from evenhand.judge.run import judge_predictions  # noqa: PLC0415
    from evenhand.tables.predictions.read import load  # noqa: PLC0415

    predictions = load(dict(files), columns, need_scores=True, class_names=classes)
    audit = judge_predictions(predictions, columns, settings).to_dict()
    for given in audit["inputs"]:
        given["path"] = str(Path(given["path"]).relative_to(folder))
    series = series_of(list(files))
    told = {
        "audit": audit,
        "trends": trends(predictions, series, settings) if series else [],
        "reliability": reliability(predictions, settings),
        "sizes": size_trends(audit["comparisons"], seed=settings.rng),
    }
    return {name: _plain(rows) for name, rows in told.items()}


def _nothing_learnt(study: Study, model: str, audit: dict[str, Any]) -> list[str]:
    """Take the remarks on arms that have learnt nothing out of an audit, for the front of the study's own.

    An audit does not know which arms were trained: that is set right here.
    """
    rows = audit["nothing_learnt"]
    said = audit["verdict"]["sentence"].removeprefix(warning(rows))
    audit["problems"] = audit["problems"][len(sentences(rows)) :]
    trained = {arm.name: arm.method != UNTRAINED for arm in study.arms}
    rows = [{**row, "trained": trained[row["arm"]]} for row in rows]
    audit |= {"nothing_learnt": rows, "verdict": {**audit["verdict"], "sentence": warning(rows) + said}}
    lead = f"{model}: " if len(study.models) > 1 else ""
    return [lead + line for line in sentences(rows)]


def _judge_written(files: Files, columns: Columns, settings: Settings, folder: Path) -> dict[str, Any]:
    """The judgement of what a model's arms wrote or chose."""
    from evenhand.judge.language.run import run_generative  # noqa: PLC0415  (numpy and duckdb)
    from evenhand.tables.detect import detect_kind  # noqa: PLC0415

    asked = replace(columns, split=None)
    found: dict[str, Any] = run_generative(
        dict(files), asked, settings, kind=detect_kind(dict(files), asked)
    ).to_dict()
    for given in found["inputs"]:
        given["path"] = str(Path(given["path"]).relative_to(folder))
    return found


def _interactions(
    files: Mapping[str, Files], columns: Columns, settings: Settings, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Whether methods differ more on one model than on another."""
    if len(files) < 2:
        return []
    from evenhand.judge.across_arms.trends import interactions, load_bases  # noqa: PLC0415

    predictions, names = load_bases(files, columns, settings, classes)
    rows: list[dict[str, Any]] = _plain(interactions(predictions, names, settings))
    return rows


def _plain(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """A document as JSON can hold it: what is no number is null."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failed(found: Sequence[Collected]) -> list[dict[str, Any]]:
    """Runs that failed, and those that have not ended."""
    rows = []
    for one in found:
        for planned, state in one.every:
            if state.status == "finished":
                continue
            error = state.fault or f"the run is {state.status}"
            if state.record is not None:
                error = collect.last_line(state.record["error"])
            rows.append(
                {
                    "run_id": planned.run_id,
                    "model": one.model,
                    "arm": planned.what,
                    "run": str(planned.job.seed),
                    "error": error,
                }
            )
    return rows


def _verdict(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdicts of all models together: of leakage first where the study attacks, then of the rest."""
    documents = [(m["model"], m.get("privacy"), m["audit"] or m.get("generative")) for m in models]
    leaks = {model: leak["verdict"] for model, leak, _ in documents if leak}
    answers = {model: judged["verdict"] for model, _, judged in documents if judged}
    parts = [part for part in (leaks, answers) if part]
    every = [v for part in parts for v in part.values()]
    about = {v.get("about") for v in every} - {None}
    idle = [m for m, _, one in documents if one and warning(one.get("nothing_learnt", ()))]
    return {
        "question": "leakage" if leaks else "answers",
        "about": THESE_RUNS if THESE_RUNS in about else next(iter(about), None),
        "counts": {word: sum(v["counts"][word] for v in every) for word in WORDS},
        "worst": next((w for part in parts if (w := _worst(part))), None),
        "sentence": " ".join(
            _sentence(part, len(models), () if part is leaks else idle, leaks=part is leaks) for part in parts
        )
        or "Nothing could be judged: no run of the reference is finished.",
    }


def _worst(verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The largest certain harm of all models."""
    worst = [{"model": label, **v["worst"]} for label, v in verdicts.items() if v["worst"]]
    return max(worst, key=lambda row: min(abs(row["low"]), abs(row["high"])), default=None)


def _sentence(
    verdicts: Mapping[str, Mapping[str, Any]], models: int, idle: Sequence[str], *, leaks: bool
) -> str:
    """One sentence for all models: each has its own in its audit. Arms of some, `idle`, learnt nothing."""
    if models == 1:
        [only] = verdicts.values()
        return str(only["sentence"])
    counts = {word: sum(v["counts"][word] for v in verdicts.values()) for word in WORDS}
    harmed = [label for label, v in verdicts.items() if v["counts"]["harm"]]
    tally = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "none could be judged"
    where = f" Harm on {', '.join(harmed)}." if harmed else ""
    where += f" Nothing was learnt by arms of {', '.join(idle)} (see the remarks)." if idle else ""
    few = {v.get("about") for v in verdicts.values()} & {THESE_RUNS}
    lead = f"{'Leakage of ' if leaks else ''}{len(verdicts)} models"
    lead = f"In these runs, {lead[:1].lower()}{lead[1:]}" if few else lead
    return f"{lead}, {sum(counts.values())} comparisons by group: {tally}.{where}"
