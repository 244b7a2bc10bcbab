"""Judge a study: an audit of every model, and the results across models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.errors import CallError, Complaint, nearest, plural
from evenhand.judge.core.learnt import run_sentences, sentences, warning
from evenhand.judge.documents import head, without_nan
from evenhand.judge.result import THESE_RUNS, WORDS
from evenhand.judge.settings import MARGIN, Settings
from evenhand.spec.study import Audit, Study
from evenhand.store.folder import StudyFolder
from evenhand.study.data import sizes as data_sizes
from evenhand.study.matching import rows_of_sizes, sentence_of_size
from evenhand.study.plan import TABLES
from evenhand.study.results import collect
from evenhand.study.results.collect import Collected
from evenhand.study.results.privacy import attack
from evenhand.study.results.series import series_of
from evenhand.study.results.tuning import remark_on_uneven_tuning
from evenhand.tables.groups import oversized_intersections, refuse_impossible
from evenhand.tables.schema import Columns

if TYPE_CHECKING:
    from evenhand.judge.across_arms.trends import Series

SCHEMA = "evenhand.study/1"
#: The method without training.
UNTRAINED = "none"

Files = Mapping[str, Sequence[Path]]


def judge(study: Study, folder: StudyFolder) -> dict[str, Any]:
    """Judge the finished runs of a study.

    Args:
        study: the study.
        folder: the folder with its runs.

    Returns:
        The document `evenhand.study/1` as plain data.
    """
    data, runs = folder.read_data(), folder.runs()
    collected_models = collect.collect(study, runs)
    try:
        settings, columns = settings_of(study.audit), columns_of(study, data)
    except CallError as error:
        complaints = [f"{folder.study}, audit: {what}" for what in error.complaints]
        raise CallError(
            [*complaints, "Run the study with another value: nothing is trained again."]
        ) from None
    problems = [
        *folder.remarks(),
        *collect.remarks(collected_models),
        *collect.lost_models(collected_models),
        *remark_on_uneven_tuning(study.arms),
    ]
    models, files, idle = [], {}, list[str]()
    for collected in collected_models:
        seeds, left_out = collect.comparable(collected, study.audit.reference)
        series = series_of([arm for arm in study.arms if arm.name in seeds])
        problems += left_out
        judged: dict[str, Any] = {"audit": None, "trends": [], "reliability": [], "sizes": []}
        privacy, left_out = attack(study, collected, seeds, runs, columns, data)
        problems += [f"{collected.model}: {what}" for what in left_out]
        if study.audit.reference in seeds:
            written = collect.tables(collected, seeds, runs, data["task"])
            if data["task"] in TABLES:
                judged |= {"generative": _judge_written(written, columns, settings, folder.path)}
            else:
                files[collected.model] = written
                judged = _judge_model(written, series, columns, settings, folder.path, data["classes"])
                idle += _nothing_learnt(study, collected.model, judged["audit"])
        else:
            problems.append(
                f"{collected.model}: no run of the reference, {study.audit.reference}, is finished, so this "
                "model is not judged."
            )
        curves, left_out = collect.curves(collected, runs)
        problems += left_out
        matched = rows_of_sizes(study.arms, collected.model)
        several = f"{collected.model}: " if len(collected_models) > 1 else ""
        problems += [several + sentence_of_size(row) for row in matched]
        models.append(
            {
                "model": collected.model,
                **judged,
                "series": without_nan([asdict(s) for s in series]),
                "privacy": without_nan(privacy),
                "tuning": list(collected.tuning),
                "cost": collect.costs(collected),
                "curves": curves,
                **({"matched": matched} if matched else {}),
            }
        )
    return {
        **head(SCHEMA),
        "name": study.name,
        "description": study.description,
        "dataset": {k: data[k] for k in ("name", "title", "task", "rows", "problems")}
        | {"parts": data_sizes(data), "resplit": study.resplit},
        "models": models,
        "interactions": _interactions(files, columns, settings, data["classes"]),
        "failed": _failed(collected_models),
        "problems": list(dict.fromkeys([*idle, *problems])),
        "verdict": _verdict(models),
    }


def settings_of(audit: Audit) -> Settings:
    """Convert the audit section of a study to settings of the judge."""
    margins = audit.margin if isinstance(audit.margin, dict) else {}
    return Settings(
        reference=audit.reference,
        metrics=audit.metric,
        primary=audit.primary,
        average=audit.average,
        margin=MARGIN if isinstance(audit.margin, dict) else audit.margin,
        margins=margins,
        alpha=audit.alpha,
        error_rate=audit.error_rate,
        attribute_weights=audit.attribute_weights,
        min_group_size=audit.min_group_size,
    )


def columns_of(study: Study, data: Mapping[str, Any]) -> Columns:
    """Name the columns of the predictions that hold the attributes to judge."""
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
    """List attributes that cannot be judged, or have ambiguous names; called before training.

    Args:
        study: the study.
        data: facts of its rows.
    """
    kinds = {a["name"]: a["kind"] for a in data["attributes"]}
    names = [a["name"] for a in data["attributes"]]
    faults: list[str] = [
        Complaint(
            f"dataset {study.dataset.name}: two attributes have the name '{name}', which identifies their "
            "results; rename a column.",
            "dataset",
        )
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    column_names = [n for n in names if kinds[n] == "partition"]
    column_names += [
        f"{a['name']}_{g}" for a in data["attributes"] if a["kind"] == "memberships" for g in a["groups"]
    ]
    faults += [
        Complaint(
            f"dataset {study.dataset.name}: '{name}' is both an attribute and a group of another attribute; "
            "rename a column.",
            "dataset",
        )
        for name in sorted({name for name in column_names if column_names.count(name) > 1})
        if not faults
    ]
    for number, crossing in enumerate(study.audit.intersect):
        option = ("audit", "intersect", str(number))
        for name in crossing:
            if name not in kinds:
                what = f"audit.intersect: unknown attribute '{name}'; {nearest(name, names)}"
                faults.append(Complaint(what, *option, name))
            elif kinds[name] != "partition":
                what = (
                    f"audit.intersect: the groups of '{name}' may overlap, so it cannot be crossed; cross "
                    "attributes of one column each."
                )
                faults.append(Complaint(what, *option, name))
    if not faults:
        columns, groups = columns_of(study, data), {a["name"]: a["groups"] for a in data["attributes"]}
        try:
            refuse_impossible(columns)
        except CallError as error:
            faults += [Complaint(what, "audit") for what in error.complaints]
        faults += [Complaint(what, "audit", "intersect") for what in oversized_intersections(columns, groups)]
    return faults


def _judge_model(
    files: Files,
    series: Sequence[Series],
    columns: Columns,
    settings: Settings,
    folder: Path,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Judge the arms of one model: audit, trends, reliability, and sizes of the groups."""
    from evenhand.judge.across_arms.group_size import size_trends  # noqa: PLC0415
    from evenhand.judge.across_arms.trends import trends  # noqa: PLC0415
    from evenhand.judge.core.reliability import reliability  # noqa: PLC0415  (numpy and duckdb)
    from evenhand.judge.run import judge_predictions  # noqa: PLC0415
    from evenhand.tables.predictions.read import load  # noqa: PLC0415

    predictions = load(dict(files), columns, need_scores=True, class_names=classes)
    audit = judge_predictions(predictions, columns, settings).to_dict()
    for entry in audit["inputs"]:
        entry["path"] = str(Path(entry["path"]).relative_to(folder))
    parts = {
        "audit": audit,
        "trends": trends(predictions, series, settings) if series else [],
        "reliability": reliability(predictions, settings),
        "sizes": size_trends(audit["comparisons"], seed=settings.rng),
    }
    return {name: without_nan(rows) for name, rows in parts.items()}


def _nothing_learnt(study: Study, model: str, audit: dict[str, Any]) -> list[str]:
    """Move the remarks on arms and runs that learnt nothing from an audit to the front of the study's.

    An audit cannot know which arms were trained; the study can, and corrects the remarks.
    """
    rows, runs = audit["nothing_learnt"], audit["runs_not_learnt"]
    sentence = audit["verdict"]["sentence"].removeprefix(warning(rows))
    audit["problems"] = audit["problems"][len(sentences(rows)) + len(run_sentences(runs)) :]
    trained = {arm.name: arm.method != UNTRAINED for arm in study.arms}
    rows = [{**row, "trained": trained[row["arm"]]} for row in rows]
    runs = [row for row in runs if trained[row["arm"]]]
    audit |= {"nothing_learnt": rows, "runs_not_learnt": runs}
    audit["verdict"] = {**audit["verdict"], "sentence": warning(rows) + sentence}
    lead = f"{model}: " if len(study.models) > 1 else ""
    return [lead + line for line in (*sentences(rows), *run_sentences(runs, study=True))]


def _judge_written(files: Files, columns: Columns, settings: Settings, folder: Path) -> dict[str, Any]:
    """Judge the generated texts or the likelihoods of a model's arms."""
    from evenhand.judge.language.run import run_generative  # noqa: PLC0415  (numpy and duckdb)
    from evenhand.tables.detect import detect_kind  # noqa: PLC0415

    unsplit = replace(columns, split=None)
    document: dict[str, Any] = run_generative(
        dict(files), unsplit, settings, kind=detect_kind(dict(files), unsplit)
    ).to_dict()
    for entry in document["inputs"]:
        entry["path"] = str(Path(entry["path"]).relative_to(folder))
    return document


def _interactions(
    files: Mapping[str, Files], columns: Columns, settings: Settings, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare the effects of methods between models."""
    if len(files) < 2:
        return []
    from evenhand.judge.across_arms.trends import interactions, load_bases  # noqa: PLC0415

    predictions, names = load_bases(files, columns, settings, classes)
    rows: list[dict[str, Any]] = without_nan(interactions(predictions, names, settings))
    return rows


def _failed(models: Sequence[Collected]) -> list[dict[str, Any]]:
    """List runs that failed or have not ended, with their errors."""
    rows = []
    for collected in models:
        for planned, state in collected.every:
            if state.status == "finished":
                continue
            error = state.fault or f"the run is {state.status}"
            if state.record is not None:
                error = collect.last_line(state.record["error"])
            rows.append(
                {
                    "run_id": planned.run_id,
                    "model": collected.model,
                    "arm": planned.what,
                    "run": str(planned.job.seed),
                    "error": error,
                }
            )
    return rows


def _verdict(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the verdicts of all models: first on leakage, if the study has attacks, then on the rest."""
    documents = [(m["model"], m.get("privacy"), m["audit"] or m.get("generative")) for m in models]
    leaks = {model: leak["verdict"] for model, leak, _ in documents if leak}
    answers = {model: judged["verdict"] for model, _, judged in documents if judged}
    parts = [part for part in (leaks, answers) if part]
    every = [v for part in parts for v in part.values()]
    about = {v.get("about") for v in every} - {None}
    idle = [m for m, _, judged in documents if judged and warning(judged.get("nothing_learnt", ()))]
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
    """Return the harm whose interval is farthest from 0, over all models."""
    worst = [{"model": label, **v["worst"]} for label, v in verdicts.items() if v["worst"]]
    return max(worst, key=lambda row: min(abs(row["low"]), abs(row["high"])), default=None)


def _sentence(
    verdicts: Mapping[str, Mapping[str, Any]], models: int, idle: Sequence[str], *, leaks: bool
) -> str:
    """Write one sentence for all models; `idle` lists the models with arms that learnt nothing."""
    if models == 1:
        [only] = verdicts.values()
        return str(only["sentence"])
    counts = {word: sum(v["counts"][word] for v in verdicts.values()) for word in WORDS}
    harmed = [label for label, v in verdicts.items() if v["counts"]["harm"]]
    tally = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "none could be judged"
    where = f" Harm on {', '.join(harmed)}." if harmed else ""
    where += f" Nothing was learnt by arms of {', '.join(idle)} (see the remarks)." if idle else ""
    few = {v.get("about") for v in verdicts.values()} & {THESE_RUNS}
    lead = f"{'Leakage of ' if leaks else ''}{plural(len(verdicts), 'model')}"
    lead = f"In these runs, {lead[:1].lower()}{lead[1:]}" if few else lead
    return f"{lead}, {plural(sum(counts.values()), 'comparison')} by group: {tally}.{where}"
