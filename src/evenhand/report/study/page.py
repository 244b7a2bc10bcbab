"""Page and terminal summary of a study: audit, trends, base models, training and costs of each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evenhand.report import wording
from evenhand.report.audit.page import audit_view
from evenhand.report.audit.terminal import comparisons, print_paragraph, print_paths
from evenhand.report.cells import change_cell, count_cell, metric_cell, p_cell
from evenhand.report.document import Document, Row, arms, number
from evenhand.report.language import wording as generative_wording
from evenhand.report.language.page import generative_view
from evenhand.report.privacy import wording as privacy_wording
from evenhand.report.privacy.page import privacy_view
from evenhand.report.privacy.terminal import leakage, privacy_comparisons
from evenhand.report.rendering import Cell, Table, build_table, fast_charts, figure, render
from evenhand.report.study import calibration_wording, relations_wording
from evenhand.report.study import charts as study_charts
from evenhand.report.study import wording as study_wording
from evenhand.report.study.calibration import calibration_view
from evenhand.report.study.relations import sizes_view, tuning_table, utility_panels

if TYPE_CHECKING:
    from rich.console import Console

#: Largest numbers of table rows and of list lines in the terminal.
_MOST_ROWS = 8
_MOST_LINES = 5
_REST = "the report has all"


def build_study_page(result: Mapping[str, Any]) -> str:
    """Build the page of a study.

    Args:
        result: the document of a study, schema `evenhand.study/1`.

    Returns:
        A complete HTML document without external references.
    """
    with fast_charts():
        view = _view(result)
    return render("study.html.j2", view)


def summarise_study(
    result: Mapping[str, Any], console: Console, written: Mapping[str, str] | None = None
) -> None:
    """Print the summary of a study.

    Args:
        result: the document of a study, schema `evenhand.study/1`.
        console: where to print; 80 columns are enough.
        written: paths of the files that were written, by kind.
    """
    models = result["models"]
    sentence = str(result["verdict"]["sentence"])
    print_paragraph(console, sentence, style="bold")
    if len(models) > 1:
        console.print()
    for model in models:
        _summarise_model(model, sentence, console, models=len(models))
    _list(console, study_wording.interaction_summary(result.get("interactions", ()), most=2))
    _tell(console, "Remarks:", [str(p) for p in _problems(result)])
    _tell(console, study_wording.failed_line(result), [study_wording.failure(f) for f in result["failed"]])
    print_paths(console, written or {})


def _summarise_model(model: Row, sentence: str, console: Console, *, models: int) -> None:
    """Print the summary of one model: leakage first if it was attacked, then the comparisons of arms."""
    judged, privacy, several = judged_of(model), model.get("privacy"), models > 1
    sentences = [str(document["verdict"]["sentence"]) for document in (privacy, judged) if document]
    for line in sentences or [study_wording.NOTHING_FINISHED]:
        if several or line not in sentence:
            print_paragraph(console, f"{model['model']}: {line}" if several else line)
    most = max(_MOST_ROWS // models, 3)
    if privacy:
        console.print()
        leakage(privacy, console, rest=_REST)
        if privacy["comparisons"]:
            privacy_comparisons(privacy, console, most=most, rest=_REST)
        if judged:
            print_paragraph(console, study_wording.UTILITY, style="bold")
    trends = study_wording.trend_summary(model.get("trends", ()), most=2)
    written = generative_wording.summary(judged) if judged and judged.get("kind") else []
    for lines in (trends, written):
        if lines:
            console.print()
        for line in lines:
            print_paragraph(console, f"- {line}")
    if judged and judged["comparisons"]:
        comparisons(judged, console, most=most, rest=_REST)
    else:
        console.print()


def judged_of(model: Row) -> Document | None:
    """Return the judgement of a model's answers: the audit of predictions, or that of generated answers."""
    document: Document | None = model.get("audit") or model.get("generative")
    return document


def _tell(console: Console, heading: str, lines: Sequence[str]) -> None:
    """Print a heading and the first lines of a list; nothing if empty."""
    if not lines:
        return
    print_paragraph(console, heading, style="bold")
    more = len(lines) - _MOST_LINES
    _list(console, [*lines[:_MOST_LINES], *([f"and {more} more, in the report."] if more > 0 else [])])


def _list(console: Console, lines: Sequence[str]) -> None:
    """Print lines as a list, and an empty line after it; nothing if empty."""
    for line in lines:
        print_paragraph(console, f"- {line}")
    if lines:
        console.print()


def _problems(result: Document) -> list[str]:
    """List the remarks on the data and on every audit, each once."""
    judged = [d for m in result["models"] for d in (judged_of(m), m.get("privacy")) if d]
    audits = [document.get("problems", ()) for document in judged]
    every = (result.get("problems", ()), result["dataset"].get("problems", ()), *audits)
    return list(dict.fromkeys(str(line) for lines in every for line in lines))


def _view(result: Document) -> dict[str, Any]:
    """Prepare the template variables; the template computes nothing."""
    several = len(result["models"]) > 1
    models = [_model(m, i if several else None) for i, m in enumerate(result["models"], 1)]
    interactions = result.get("interactions", ())
    sentence = str(result["verdict"]["sentence"])
    return {
        "document": result,
        "title": str(result["name"]),
        "description": str(result.get("description") or ""),
        "sentence": sentence if several or not (models and models[0]["judged"]) else "",
        "failed_line": study_wording.failed_line(result),
        "summary": study_wording.interaction_summary(interactions),
        "nothing": study_wording.NOTHING_FINISHED,
        "utility": study_wording.UTILITY,
        "several": several,
        "models": models,
        "data_line": study_wording.parts_line(result["dataset"]),
        "runs_line": study_wording.runs_line(result),
        "interactions": _interactions(interactions) if interactions else None,
        "failed": _failed(result["failed"]) if result.get("failed") else None,
        "data": _data(result, models),
        "how": _how(result, models),
    }


def _model(model: Row, index: int | None) -> dict[str, Any]:
    """Prepare the template variables of one model; `index` ends its section ids if not None."""
    audit, trends = judged_of(model), model.get("trends", ())
    generative = model.get("generative")
    curves, tuning = model.get("curves", ()), model.get("tuning", ())
    options = _options(audit, model.get("series", ()), trends) if audit else []
    no_trends = study_wording.NO_TRENDS_WRITTEN if generative else study_wording.NO_TRENDS
    return {
        "label": str(model["model"]),
        "suffix": "" if index is None else f"-{index}",
        "of": "" if index is None else f" · {model['model']}",
        "judged": bool(audit or model.get("privacy")),
        "audit": audit_view(audit) if audit else None,
        "generative": generative_view(generative) if generative else None,
        "summary": study_wording.trend_summary(trends) or ([no_trends] if options else []),
        "options": options,
        "options_caption": study_wording.trend_caption(arms(audit)[0]) if audit and audit["rates"] else "",
        "trends": _trends(trends) if trends else None,
        "no_trends": no_trends,
        "sizes": sizes_view(audit, model.get("sizes", ())) if audit else None,
        "utility": utility_panels(audit) if audit else [],
        "utility_caption": relations_wording.UTILITY_CAPTION,
        "calibration": calibration_view(audit, model.get("reliability", ())) if audit else None,
        "privacy": privacy_view(model["privacy"]) if model.get("privacy") else None,
        "tuning": tuning_table(tuning) if tuning else None,
        "tuning_line": f"{relations_wording.TUNING_CAPTION} {relations_wording.tuning_line(tuning)}"
        if tuning
        else "",
        "curves": study_charts.training_curves(curves),
        "cost": _cost(model, audit) if model.get("cost") else None,
    }


def _options(
    audit: Document, every: Sequence[Row], trends: Sequence[Row]
) -> list[tuple[str, Sequence[study_charts.Curves]]]:
    """Draw charts along every numeric option that differs between arms, each with its heading."""
    sections: list[tuple[str, Sequence[study_charts.Curves]]] = []
    for series in every:
        if sum(v > 0 for v in series["values"]) > 1:
            blocks = study_charts.option_curves(audit, series, _of(series, trends))
            if blocks:
                sections.append((f"{series['method']}, by {series['parameter']}", blocks))
    return sections


def _of(series: Row, trends: Sequence[Row]) -> list[Row]:
    return [r for r in trends if all(r[key] == series[key] for key in ("method", "parameter"))]


def _trends(rows: Sequence[Row]) -> Table:
    names = ["group", "metric", "method", "values", "slope per doubling (interval)"]
    body = [
        [
            Cell(wording.subject(row)),
            metric_cell(row),
            Cell(str(row["method"])),
            Cell(f"{row['parameter']} {', '.join(f'{v:g}' for v in row['values'])}"),
            change_cell(row, "slope", fine=True),
            p_cell(row),
            count_cell(row),
            Cell(study_wording.trend_finding(row), title=str(row.get("reason") or "")),
        ]
        for row in sorted(rows, key=lambda r: not study_wording.excludes_zero(r))
    ]
    caption = "Slopes; those that differ from 0 come first"
    return build_table(caption, [*names, "adjusted p", "rows", "finding"], body)


def _interactions(rows: Sequence[Row]) -> Table:
    pairs = list(dict.fromkeys(f"{r['model_high']} − {r['model_low']}" for r in rows))
    several = len(pairs) > 1
    names = ["group", "metric", "arm − reference", *(["base models"] if several else [])]
    body = [
        [
            Cell(wording.subject(row)),
            metric_cell(row),
            Cell(f"{row['arm']} − {row['reference']}"),
            *([Cell(f"{row['model_high']} − {row['model_low']}")] if several else []),
            change_cell(row),
            p_cell(row),
            count_cell(row),
            Cell(study_wording.interaction_finding(row)),
        ]
        for row in sorted(rows, key=lambda r: not study_wording.excludes_zero(r))
    ]
    caption = "Change of the difference between base models; those that differ from 0 come first"
    caption = caption if several else f"{caption}: {pairs[0]}"
    return build_table(caption, [*names, "change (interval)", "adjusted p", "rows", "finding"], body)


def _cost(model: Row, audit: Document | None) -> Table:
    """Make the table of the cost of each arm, with ratios to the reference."""
    rows = model["cost"]
    reference = arms(audit)[0] if audit and audit["rates"] else str(rows[0]["arm"])
    base: Row = next((r for r in rows if r["arm"] == reference), {})
    base_seconds, base_peak = number(base, "seconds"), number(base, "peak_memory_bytes")
    names = ["arm", "runs", "parameters", "trainable", "share", "training, per run", f"against {reference}"]
    names += ["all runs", "peak memory", f"against {reference}"]
    body = []
    for row in rows:
        trainable, seconds, total, peak = (
            number(row, k) for k in ("trainable_parameters", "seconds", "seconds_total", "peak_memory_bytes")
        )
        body.append(
            [
                Cell(str(row["arm"])),
                *(count_cell(row, k) for k in ("runs", "parameters", "trainable_parameters")),
                figure(trainable, study_wording.share(trainable, number(row, "parameters"))),
                figure(seconds, study_wording.duration(seconds)),
                figure(seconds, study_wording.times(seconds, base_seconds)),
                figure(total, study_wording.duration(total)),
                figure(peak, study_wording.memory(peak)),
                figure(peak, study_wording.times(peak, base_peak)),
            ]
        )
    return build_table(study_wording.COST, names, body)


def _failed(rows: Sequence[Row]) -> Table:
    keys = ("run_id", "model", "arm", "run", "error")
    body = [[Cell(str(r[k]), css="long" if k == "error" else "") for k in keys] for r in rows]
    return build_table("Runs that did not finish", ("run", "model", "arm", "seed", "reason"), body)


def _data(result: Document, models: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Collect the problems of the data and of every audit; lines name the affected models."""
    problems = [str(p) for p in (*result.get("problems", ()), *result["dataset"].get("problems", ()))]
    remarks: dict[str, list[str]] = {"problems": [], "unusable": [], "left_out": []}
    for key, lines in remarks.items():
        by_line: dict[str, list[str]] = {line: [] for line in (problems if key == "problems" else ())}
        for model in models:
            listed = [view[key] for view in (model["audit"], model["privacy"]) if view]
            for line in dict.fromkeys(line for lines in listed for line in lines):
                by_line.setdefault(line, []).append(model["label"])
        for line, labels in by_line.items():
            everywhere = len(labels) in (0, len(models))
            lines.append(line if everywhere else f"{', '.join(labels)}: {line}")
    return remarks


def _how(result: Document, models: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    paragraphs: list[tuple[str, str]] = next((list(m["audit"]["how"]) for m in models if m["audit"]), [])
    paragraphs += next((list(m["generative"]["how"]) for m in models if m["generative"]), [])
    audits = [judged for m in result["models"] if (judged := judged_of(m))]
    alpha = float(audits[0].get("settings", {}).get("alpha", 0.05)) if audits else 0.05
    level = wording.percent(1 - alpha)
    if any(m.get("trends") for m in result["models"]):
        paragraphs.append(("Slopes along an option", study_wording.trend_method(level)))
    if any(m.get("sizes") for m in result["models"]):
        paragraphs.append(("Group sizes", relations_wording.size_method(level)))
    if any(m["calibration"] for m in models):
        paragraphs.append(("Calibration", calibration_wording.calibration_method(level)))
    privacy = next((m["privacy"] for m in result["models"] if m.get("privacy")), None)
    if privacy:
        paragraphs += [
            (f"Membership inference: {head}", text) for head, text in privacy_wording.how_computed(privacy)
        ]
    if result.get("interactions"):
        paragraphs.append(("Base models", study_wording.interaction_method(level)))
    return paragraphs
